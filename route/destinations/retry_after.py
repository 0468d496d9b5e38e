"""What a destination asks for in ``Retry-After`` (RFC 9110, 10.2.3)."""

from datetime import UTC
from email.utils import parsedate_to_datetime


def retry_after_s(value: str | None, now: float, max_s: float) -> float:
    """Seconds to wait by the header's value: a number of them, or a date.

    ``now`` is seconds since the epoch. 0 if there is none, if it lies in the past or can't be read; at most ``max_s``,
    so that no answer holds tickets up for days.
    """
    text = (value or "").strip()
    if not text:
        return 0.0
    if text.isascii() and text.isdigit():
        return min(max_s, float(int(text[:18])))
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return min(max_s, max(0.0, moment.timestamp() - now))
    except (ValueError, OverflowError):
        return 0.0

"""Whether this machine's clock is right, by what destinations say of the time and by the newest records of the topics.

Receivers refuse signatures that are minutes off, and a Retry-After may be a date.
"""

from collections.abc import Sequence
from statistics import median

from plaint.diagnosis.check import Check, checked, skipped
from plaint.diagnosis.destinations import Date
from plaint.diagnosis.finding import Finding, fail, warn
from plaint.terminal import span

NAME = "clock"
OFF_S = 60.0
MEND = "set this machine's clock: `timedatectl set-ntp true`, or chrony; receivers refuse signatures that are 5 min off"


def check(dates: Sequence[Date], newest: tuple[str, float] | None, now: float) -> Check:
    """``newest`` is the topic and time of the youngest record that was found; times in seconds since 1970."""
    if not dates and newest is None:
        return skipped(NAME, "no destination answered with the time, and no topic holds a record")
    found = _against(dates)
    if newest is not None and newest[1] - now > OFF_S:
        topic, ahead = newest[0], newest[1] - now
        what = f"the newest record of {topic} is dated {span(ahead)} ahead: this clock is behind, or its writer's ahead"
        found.append(warn(NAME, what, MEND + "; or that of whoever writes there"))
    by = [f"{one.host} ({one.ahead_s:+.0f} s)" for one in dates] + ([f"records of {newest[0]}"] if newest else [])
    return checked(NAME, f"against {', '.join(by)}", found)


def _against(dates: Sequence[Date]) -> list[Finding]:
    """Where most agree that this machine is off, it is; else those that are alone."""
    if not dates:
        return []
    middle = median(date.ahead_s for date in dates)
    if abs(middle) > OFF_S:
        way = "ahead of" if middle > 0 else "behind"
        hosts = ", ".join(date.host for date in dates if abs(date.ahead_s) > OFF_S)
        what = f"this machine's clock is {span(abs(middle))} {way} that of {hosts}"
        return [fail(NAME, what, MEND + ("" if len(dates) > 1 else "; unless it is the other clock that is wrong"))]
    return [
        warn(
            NAME,
            f"the clock of {date.host} is {span(abs(date.ahead_s))} {'behind' if date.ahead_s > 0 else 'ahead of'} this one",
            "tell its owner: it will refuse signatures, or let old ones pass",
        )
        for date in dates
        if abs(date.ahead_s) > OFF_S
    ]

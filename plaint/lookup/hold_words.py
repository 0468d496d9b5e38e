"""What keeps tickets back, in words. What a destination answered is in them: escape them for wherever they are shown."""

from plaint.lookup.explanation import Hold


def hold_words(hold: Hold) -> str:
    """Why it waits: ``helpdesk is disabled since 2026-05-01 12:00:00Z: it answered that it is gone: 410``."""
    since = f" since {hold.since:%Y-%m-%d %H:%M:%S}Z" if hold.since else ""
    if hold.cause == "disabled":
        by = " by a person" if hold.by == "person" else ""
        return f"{hold.destination} is disabled{by}{since}: {hold.why}"
    if hold.cause == "breaker":
        said = f"; it says: {hold.why}" if hold.why else ""
        return f"{hold.destination} is taken to be down{since}{said}"
    until = f", at the earliest {hold.until:%Y-%m-%d %H:%M:%S}Z" if hold.until else ""
    return f"{hold.cause}{until}: {hold.why}"


def hold_in_short(hold: Hold) -> str:
    """The same in a few words, for a row: ``waiting: helpdesk is disabled``."""
    if hold.cause == "disabled":
        return f"waiting: {hold.destination} is disabled"
    if hold.cause == "breaker":
        return f"waiting: {hold.destination} is taken to be down"
    return f"waiting for {hold.cause}" + (f" until {hold.until:%H:%M:%S}Z" if hold.until else "")


def hold_notice(hold: Hold) -> tuple[str, str]:
    """What a list says once of a destination that gets nothing, and what to do about it."""
    return f"! {hold_words(hold)}; its tickets wait", f"    → {hold.mend}"

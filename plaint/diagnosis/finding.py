"""One thing that is wrong, and what to do about it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Severity = Literal["fail", "warn"]


class Finding(BaseModel):
    """``place`` is a stage, a topic or a setting; ``what`` says what was seen, ``mend`` what to do about it.

    ``warn``: it works all the same, for now.
    """

    model_config = ConfigDict(frozen=True)

    severity: Severity
    place: str
    what: str
    mend: str


def fail(place: str, what: str, mend: str) -> Finding:
    """Something that does not work."""
    return Finding(severity="fail", place=place, what=what, mend=mend)


def warn(place: str, what: str, mend: str) -> Finding:
    """Something that will be felt later."""
    return Finding(severity="warn", place=place, what=what, mend=mend)


def ago(seconds: float) -> str:
    """A span of time in one unit, as people say it: ``40 s``, ``12 min``, ``3 h``, ``2 days``."""
    for unit, length, until in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < length * until:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def count(number: int, what: str) -> str:
    """``1 post``, ``12 posts``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"

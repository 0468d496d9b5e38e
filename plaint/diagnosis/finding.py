"""One thing that is wrong, and what to do about it."""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from schemas.faults import Fault

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


def failures(faults: Iterable[Fault]) -> list[Finding]:
    """What the settings' own checks found."""
    return [fail(fault.place, fault.what, fault.mend) for fault in faults]


def warn(place: str, what: str, mend: str) -> Finding:
    """Something that will be felt later."""
    return Finding(severity="warn", place=place, what=what, mend=mend)


def count(number: int, what: str) -> str:
    """``1 post``, ``12 posts``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"

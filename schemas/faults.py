"""What stops plaint and can be mended from outside: what a person set up is wrong, or something can't be had now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: ``place`` is file, line and key; ``what`` says what is wrong; ``mend`` what to do instead."""

    place: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}; {self.mend}"


class Unusable(Exception):
    """What a person set up can't be used, and trying again won't change that; the message says what and what mends it."""


class FaultsFound(Unusable):
    """The same of something that is looked through to its end; ``faults`` are all that was found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


class Unavailable(Exception):
    """Something outside of plaint can't be had now; the message says what and what mends it."""


def one_of(wrong: str, known: Iterable[str]) -> str:
    """The mend of a name that isn't known: the nearest known one, else all of them."""
    names = {name.casefold(): name for name in known}
    near = get_close_matches(wrong.casefold(), names, n=1, cutoff=0.6)
    return f'did you mean "{names[near[0]]}"?' if near else f"known are {', '.join(names.values()) or 'none'}"


def shown(value: object) -> str:
    """A value as YAML would have it, short enough for a message."""
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

"""What is wrong with something that a person set up, such as a file of settings: where, what, and how to mend it."""

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


class FaultsFound(Exception):
    """What a person set up can't be used; ``faults`` are all that was found, and trying again won't change them."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


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

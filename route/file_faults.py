"""The faults of a file of routes, each with its line, and in words for whoever wrote it."""

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from route.yamlfile import KeyPath, Lines
from schemas.faults import Fault, one_of, shown

MAX_FAULTS = 200
"""More are counted, not told."""


class FileFaults:
    """Collects faults and knows where each key stands."""

    def __init__(self, name: str, lines: Lines) -> None:
        self.name = name
        self._lines = lines
        self._found: list[tuple[int, Fault]] = []

    def fault(self, path: KeyPath, what: str, mend: str, label: str = "", own: int = 0) -> None:
        """Note what is wrong at ``path``, whose first ``own`` steps are those of ``label``."""
        key = ".".join(map(str, path[own:]))
        place = ", ".join(part for part in (self.place(path), label, key) if part)
        self._found.append((self.line(path), Fault(place, what, mend)))

    def line(self, path: KeyPath) -> int:
        """Where a key stands; one that isn't there has the line of what it is missing in."""
        return next((self._lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self._lines), 1)

    def place(self, path: KeyPath) -> str:
        """File and line of a key."""
        return f"{self.name}:{self.line(path)}"

    def faults(self) -> list[Fault]:
        """All that was found, in the order of the file."""
        found = [fault for _, fault in sorted(self._found, key=lambda found: found[0])]
        if len(found) > MAX_FAULTS:
            more = len(found) - MAX_FAULTS
            found[MAX_FAULTS:] = [Fault(self.name, f"has {more:,} faults more", f"mend these {MAX_FAULTS} first")]
        return found


def in_words(error: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    """What is wrong and the mend, for what pydantic found in a rule or a silence."""
    key = str(error["loc"][0])
    fields = _fields(model)
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key {shown(key)}", one_of(key, fields)
        case "missing":
            return "is missing", f"add it: {about(key, model)}"
        case "literal_error":
            return f"can't be {shown(error['input'])}", f"write {error['ctx']['expected']}"
        case "string_pattern_mismatch":
            return f"can't be {shown(error['input'])}", "use a-z, 0-9, - and _, at most 63 characters"
        case "string_type" if isinstance(error["input"], bool | int | float):
            return f"takes text, not {shown(error['input'])}", "put it in quotes"
        case "datetime_type" | "date_type":
            mend = "write it like 2026-06-01 or 2026-06-01T18:00:00+02:00, without quotes"
            return f"takes a time, not {shown(error['input'])}", mend
    return error["msg"][0].lower() + error["msg"][1:], about(key, model) if key in fields else "mend it"


def _fields(model: type[BaseModel]) -> dict[str, str]:
    """Each key of the file and what it is."""
    return {field.alias or name: field.description or "" for name, field in model.model_fields.items()}


def about(key: str, model: type[BaseModel]) -> str:
    """What a key says, for a mend: the first sentence of its description."""
    text = _fields(model)[key]
    return text.partition(". ")[0].rstrip(".").lower()

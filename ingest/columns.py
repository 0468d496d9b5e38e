"""Which cell of a table's row is which field of a post."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ingest.settings import POST_FIELDS
from schemas.faults import Fault

NEEDED = ("id", "text")
_OTHER_SIGNS = {";": "semicolons", "\t": "tabs"}
"""What spreadsheets put between cells where the comma stands in numbers, or in a table that is called text."""


class Columns:
    """A header read once: takes rows that are as long as the header and gives the fields of a post.

    ``columns`` names the column of each field; empty, columns that are named like a field are that field.
    """

    def __init__(self, header: Sequence[str], columns: Mapping[str, str], constants: Mapping[str, str]) -> None:
        names = [name.strip() for name in header]
        wanted = columns or {field: field for field in POST_FIELDS if field in names and field not in constants}
        self.faults = _faults(names, wanted, constants)
        self.count = len(names)
        self._cells = [(names.index(column), *_split(field)) for field, column in wanted.items() if column in names]
        self._constants = [(*_split(field), value) for field, value in constants.items()]

    def fields(self, cells: Sequence[str]) -> dict[str, Any]:
        """The fields that the row gives; an empty cell gives none, but an empty text is a text."""
        found: dict[str, Any] = {}
        for outer, inner, value in self._constants:
            _put(found, outer, inner, value)
        for index, outer, inner in self._cells:
            value = cells[index]
            if value or outer == "text":
                _put(found, outer, inner, value)
        return found


def _split(field: str) -> tuple[str, str]:
    outer, _, inner = field.partition(".")
    return outer, inner


def _put(fields: dict[str, Any], outer: str, inner: str, value: str) -> None:
    if inner:
        fields.setdefault(outer, {})[inner] = value
    elif outer == "brands":
        fields[outer] = [name.strip() for name in value.split(",")]
    else:
        fields[outer] = value


def _faults(names: Sequence[str], wanted: Mapping[str, str], constants: Mapping[str, str]) -> list[Fault]:
    if len(names) == 1 and (signs := next((word for sign, word in _OTHER_SIGNS.items() if sign in names[0]), "")):
        return [
            Fault("format", f"the header is separated by {signs}", "export the table with commas between its cells")
        ]
    has = f"the header has {', '.join(map(repr, names))[:500]}"
    times = Counter(names)
    found = [
        Fault(
            f"columns.{field}",
            f"there is no column {column!r}" if not times[column] else f"there are {times[column]} columns {column!r}",
            has if not times[column] else "give them different names",
        )
        for field, column in wanted.items()
        if times[column] != 1
    ]
    found += [
        Fault(f"columns.{field}", f"no column is the {field}", f"set it to the name of a column; {has}")
        for field in NEEDED
        if field not in wanted and field not in constants
    ]
    return found

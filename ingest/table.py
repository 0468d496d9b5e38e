"""Lines of a CSV table → rows, such that a damaged row costs itself only."""

import csv
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from ingest.lines import Line
from ingest.source import Extent, not_utf8, too_large
from schemas.reasons import DeadReason


class Row(NamedTuple):
    """``number`` is its first physical line: a quoted cell may span several."""

    number: int
    cells: list[str]
    raw: bytes


class BadRow(NamedTuple):
    """Lines that make no row. ``whole`` is given where ``raw`` is only the beginning of them."""

    number: int
    reason: DeadReason
    detail: str
    raw: bytes
    whole: Extent | None = None


class _TooMuch(Exception):
    """A row goes on for longer than any record may."""


class Rows:
    """Iterates the rows, the header among them, once. Blank lines are left out.

    Quoting that doesn't add up can swallow good rows after it, so only the line where it began is given up and the
    lines after it are read anew.
    """

    def __init__(self, lines: Iterator[Line], limit: int) -> None:
        self._lines = lines
        self._limit = limit
        self._again: deque[Line] = deque()
        self._taken: list[Line] = []
        self._not_text = ""
        # The module's own limit, one for the whole process: never reached before ours is.
        csv.field_size_limit(max(csv.field_size_limit(), limit + 1))

    def __iter__(self) -> Iterator[Row | BadRow]:
        reader = csv.reader(self._feed(), strict=True)
        while True:
            self._taken.clear()
            self._not_text = ""
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, _TooMuch) as error:
                yield self._bad(error)
                reader = csv.reader(self._feed(), strict=True)
            else:
                raw = b"".join(line.data for line in self._taken).removesuffix(b"\n")
                if self._not_text:
                    yield BadRow(self._taken[0].number, DeadReason.UNREADABLE_LINE, self._not_text, raw)
                elif cells:
                    yield Row(self._taken[0].number, cells, raw)

    def _feed(self) -> Iterator[str]:
        size = 0
        while line := self._again.popleft() if self._again else next(self._lines, None):
            size = len(line.data) + (size if self._taken else 0)
            self._taken.append(line)
            if line.whole or size > self._limit + 1:  # the one is the end of a line
                raise _TooMuch
            try:
                text = line.data.decode()
            except UnicodeDecodeError as error:
                self._not_text = not_utf8(error)
                text = line.data.decode(errors="replace")  # only to find where the row ends
            yield text

    def _bad(self, error: Exception) -> BadRow:
        first, *rest = self._taken
        self._again.extendleft(reversed(rest))
        if first.whole:
            return BadRow(first.number, DeadReason.TOO_LARGE, too_large(first.whole.size), first.data, first.whole)
        why = f"over {self._limit} bytes without an end" if isinstance(error, _TooMuch) else str(error)
        detail = f"the row's quoting is damaged: {why}"
        return BadRow(first.number, DeadReason.UNREADABLE_LINE, detail, first.data.removesuffix(b"\n"))

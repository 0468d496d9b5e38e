"""The source that reads a file or standard input: JSON Lines or a CSV table, plain or gzip."""

import os
import stat
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from threading import Event

from ingest.columns import Columns
from ingest.decode import post_from_fields, post_from_json
from ingest.lines import STDIN, Line, Lines
from ingest.settings import SourceSettings
from ingest.source import Found, Item, Refused, SourceFailed, not_utf8, too_large
from ingest.table import BadRow, Row, Rows
from schemas.faults import Fault
from schemas.reasons import DeadReason
from schemas.record import MAX_RECORD_BYTES, RecordInvalid


class FileSource:
    """Reads in order, once or again and again. A line that is no post is refused and the next one is read.

    Blank lines are skipped. Places are ``path:line``, the first line of a row that spans several.
    """

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._shown = "stdin" if settings.path == STDIN else settings.path
        self.name = settings.name or ("stdin" if settings.path == STDIN else f"file:{Path(settings.path).name}")

    def faults(self) -> list[Fault]:
        """What keeps it from starting; a table's header is looked at, unless that would take it out of a stream."""
        path = self._settings.path
        if path == STDIN:
            return []
        try:
            mode = Path(path).stat().st_mode
            if stat.S_ISDIR(mode):
                return [Fault("path", f"{path} is a directory", "give a file in it")]
            if not os.access(path, os.R_OK):
                return [Fault("path", f"{path} may not be read", "give this user the right to read it")]
            return self._header_faults() if stat.S_ISREG(mode) and self._settings.is_csv else []
        except OSError as error:
            mend = "give the path of a file, or - for standard input"
            return [Fault("path", f"{path}: {error.strerror or error}", mend)]

    def items(self, stop: Event) -> Iterator[Item]:
        """Posts and refused lines. Raises SourceFailed if the file can't be read or a table's header does not fit."""
        rounds = 0
        more = True
        while more and not stop.is_set():
            rounds += 1
            more = False
            for item in self._round(stop):
                if stop.is_set():
                    return
                yield item if rounds == 1 else _renamed(item, rounds)
                more = self._settings.loop

    def _round(self, stop: Event) -> Iterator[Item]:
        try:
            with closing(Lines(self._settings.path, stop, MAX_RECORD_BYTES)) as lines:
                tail: list[Line] = []
                sound = _until_damage(lines, stop, tail)
                for item in self._rows(sound) if self._settings.is_csv else self._objects(sound):
                    yield item._replace(as_of=lines.written) if isinstance(item, Found) else item
                if lines.damage:
                    yield self._damaged(lines, tail)
        except OSError as error:
            raise SourceFailed(f"{self._shown}: {error.strerror or error}") from error

    def _objects(self, lines: Iterator[Line]) -> Iterator[Item]:
        for number, data, whole in lines:
            if whole:
                yield Refused(DeadReason.TOO_LARGE, self._place(number), too_large(whole.size), data, whole)
            elif not data.isspace():
                raw = data.removesuffix(b"\n")
                try:
                    yield Found(post_from_json(raw), self._place(number), raw)
                except RecordInvalid as refusal:
                    yield self._refused(number, raw, refusal)

    def _rows(self, lines: Iterator[Line]) -> Iterator[Item]:
        rows = iter(Rows(lines, MAX_RECORD_BYTES))
        columns = self._columns(next(rows, None))
        if columns.faults:
            raise SourceFailed("\n".join(f"{self._shown}: {fault}" for fault in columns.faults))
        for row in rows:
            if isinstance(row, BadRow):
                yield Refused(row.reason, self._place(row.number), row.detail, row.raw, row.whole)
            elif len(row.cells) != columns.count:
                detail = f"the row has {len(row.cells)} cells, the header {columns.count}"
                yield Refused(DeadReason.UNREADABLE_LINE, self._place(row.number), detail, row.raw)
            else:
                fields = columns.fields(row.cells)
                if "id" not in fields:
                    fields["id"] = _content_id(row.cells)
                try:
                    yield Found(post_from_fields(fields), self._place(row.number), row.raw)
                except RecordInvalid as refusal:
                    yield self._refused(row.number, row.raw, refusal)

    def _columns(self, header: Row | BadRow | None) -> Columns:
        """Raises SourceFailed if there is no header that can be read."""
        if isinstance(header, Row):
            return Columns(header.cells, self._settings.columns, self._settings.constants)
        what = header.detail if header else "is empty"
        if header and header.raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):  # what a spreadsheet calls Unicode text
            what = "is in UTF-16"
        raise SourceFailed(f"{self._shown}: {what}; the first row of a table names its columns")

    def _header_faults(self) -> list[Fault]:
        """Raises OSError."""
        with closing(Lines(self._settings.path, Event(), MAX_RECORD_BYTES)) as lines:
            try:
                return self._columns(next(iter(Rows(iter(lines), MAX_RECORD_BYTES)), None)).faults
            except SourceFailed as failed:
                return [Fault("path", str(failed), "give a table in UTF-8, or say format=jsonl")]

    def _place(self, number: int) -> str:
        return f"{self._shown}:{number}"

    def _refused(self, number: int, raw: bytes, refusal: RecordInvalid) -> Refused:
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            return Refused(DeadReason.UNREADABLE_LINE, self._place(number), not_utf8(error), raw)
        return Refused(refusal.reason, self._place(number), refusal.detail, raw)

    def _damaged(self, lines: Lines, tail: list[Line]) -> Refused:
        detail = f"the gzip data is damaged, what is above may be garbled, what is below can't be read: {lines.damage}"
        raw = tail[0].data if tail else b""
        return Refused(DeadReason.UNREADABLE_LINE, self._place(lines.number), detail, raw)


def _until_damage(lines: Lines, stop: Event, tail: list[Line]) -> Iterator[Line]:
    """The lines that are whole. What damage or a stop has cut off goes into ``tail`` instead."""
    for line in lines:
        if stop.is_set():
            return
        if lines.damage and not line.data.endswith(b"\n") and not line.whole:
            tail.append(line)
            return
        yield line


def _content_id(cells: Sequence[str]) -> str:
    """For a row that has none: the same row read again is the same post."""
    return "row:" + blake2b("\0".join(cells).encode(), digest_size=16).hexdigest()


def _renamed(item: Item, rounds: int) -> Item:
    if isinstance(item, Refused):
        return item
    return item._replace(post=item.post.model_copy(update={"id": f"{item.post.id}~{rounds}"}))

"""Bytes of a file, a pipe or standard input → physical lines, in bounded memory, gunzipped where they are gzip."""

import gzip
import io
import os
import select
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from ingest.source import Extent

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STDIN = "-"
BOM = b"\xef\xbb\xbf"
GZIP_MAGIC = b"\x1f\x8b"
BUFFER_BYTES = 128 * 1024
STOP_CHECK_S = 0.2


class Line(NamedTuple):
    """A line with its end, if it has one. ``whole`` is given where ``data`` is only the beginning of one too long."""

    number: int
    data: bytes
    whole: Extent | None = None


class Lines:
    """Iterates the physical lines of ``path`` ("-" is standard input), once. Close it.

    A byte order mark is left out. ``damage`` says, once the lines have ended, why they ended too early (empty: they did
    not); what was read of the last line by then was yielded without its end. ``number`` is that of the line being read,
    ``written`` when the file was last written, None of what is none. Raises OSError where reading fails.
    """

    def __init__(self, path: str, stop: Event, limit: int) -> None:
        raw, self.written = _open(path, stop)
        self._limit = limit
        self._gunzip: _Gunzip | None = None
        self.number = 1
        self._stream = io.BufferedReader(raw, BUFFER_BYTES)
        # No text begins with the first byte of the magic, so one byte of a slow pipe is enough.
        head = self._stream.peek(2)[:2]
        if head and GZIP_MAGIC.startswith(head):
            self._gunzip = _Gunzip(self._stream)
            self._stream = io.BufferedReader(self._gunzip, BUFFER_BYTES)

    @property
    def damage(self) -> str:
        return self._gunzip.damage if self._gunzip else ""

    def close(self) -> None:
        self._stream.close()

    def __iter__(self) -> Iterator[Line]:
        readline, most = self._stream.readline, self._limit + 1
        data = readline(most).removeprefix(BOM)
        while data:
            if len(data) < most or data.endswith(b"\n"):
                yield Line(self.number, data)
            else:
                yield Line(self.number, data[: self._limit], self._measure(data))
            self.number += 1
            data = readline(most)

    def _measure(self, beginning: bytes) -> Extent:
        """Read to the end of a line that is too long, keeping none of it."""
        digest, size, part = sha256(), 0, beginning
        while part:
            ended = part.endswith(b"\n")
            text = part.removesuffix(b"\n")
            digest.update(text)
            size += len(text)
            part = b"" if ended else self._stream.readline(BUFFER_BYTES)
        return Extent(size, digest.hexdigest())


def without_mark(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines of a text, without the byte order mark that programs on Windows put in front of it."""
    for number, line in enumerate(lines):
        yield line if number else line.removeprefix(BOM)


def _open(path: str, stop: Event) -> tuple[io.RawIOBase, datetime | None]:
    """The file, and when it was last written. Raises OSError."""
    if path == STDIN:
        file = io.FileIO(0, closefd=False)
    else:  # without waiting for the other end of a named pipe: select does that, and sees a stop meanwhile
        file = io.FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    found = os.fstat(file.fileno())
    if stat.S_ISREG(found.st_mode):
        with suppress(ValueError, OverflowError):  # a time beyond the calendar
            return file, datetime.fromtimestamp(found.st_mtime, UTC)
        return file, None
    return _Stoppable(file, stop), None


class _Stoppable(io.RawIOBase):
    """A pipe or terminal that ends when ``stop`` is set: a plain read would wait for the next byte, maybe for ever."""

    def __init__(self, file: io.FileIO, stop: Event) -> None:
        self._file = file
        self._stop = stop

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        while not self._stop.is_set():
            if select.select([self._file], [], [], STOP_CHECK_S)[0]:
                return self._file.readinto(buffer)
        return 0

    def close(self) -> None:
        self._file.close()
        super().close()


class _Gunzip(io.RawIOBase):
    """Gunzips and, where the compression is damaged, ends there with what could be read before."""

    def __init__(self, compressed: "io.BufferedReader[io.RawIOBase]") -> None:
        self._compressed = compressed
        self._file = gzip.GzipFile(fileobj=compressed, mode="rb")
        self.damage = ""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        if self.damage:
            return 0
        into = memoryview(buffer)
        try:
            data = self._file.read1(len(into))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.damage = str(error)
            return 0
        into[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        self._compressed.close()
        super().close()

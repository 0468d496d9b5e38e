"""Lets aiokafka, and Faust on top of it, read records whose header names are no UTF-8.

The protocol says that they are, but no broker looks, and clients built on librdkafka send any bytes. aiokafka 0.14
raises from the middle of a fetch then, every time, so that no consumer gets past such a record.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

_LENGTH_AT, _LENGTH_ENDS = 8, 12
"""Where a batch says how many bytes follow."""


def read_any_header_name() -> None:
    """From now on undecodable bytes in the names of headers are read as ``?``; for all consumers of this process."""
    fetcher.MemoryRecords = _Batches


class _Batches:
    """What a fetch brought, batch by batch: as aiokafka's MemoryRecords, which does the work."""

    def __init__(self, data: bytes) -> None:
        self._records = MemoryRecords(data)
        self._data = memoryview(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        """Bytes of the whole."""
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        """Whether there is another whole batch."""
        return bool(self._records.has_next())

    def next_batch(self) -> "_Batch":
        """The next batch."""
        begin = self._at
        self._at += _LENGTH_ENDS + int.from_bytes(self._data[begin + _LENGTH_AT : begin + _LENGTH_ENDS])
        return _Batch(self._records.next_batch(), self._data[begin : self._at])


class _Batch:
    """One batch. Where a name can't be decoded all of its records come once more, and the fetcher skips those it had."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except UnicodeDecodeError:
            slow = iter(_DefaultRecordBatchPy(self._data))
            _mend_names(slow._buffer, slow._pos, slow._num_records)
            yield from slow


def _mend_names(buffer: bytearray, at: int, records: int) -> None:
    """Put ``?`` in place of each byte over 127 in names that are no UTF-8; ``at`` is where the first record begins."""
    for _ in range(records):
        _, at = decode_varint(buffer, at)
        for _ in ("attributes", "timestamp", "offset"):
            _, at = decode_varint(buffer, at)
        for _ in ("key", "value"):
            at = _after_bytes(buffer, at)
        headers, at = decode_varint(buffer, at)
        for _ in range(headers):
            size, at = decode_varint(buffer, at)
            buffer[at : at + size] = _mended(buffer[at : at + size])
            at = _after_bytes(buffer, at + size)


def _after_bytes(buffer: bytearray, at: int) -> int:
    size, at = decode_varint(buffer, at)
    return int(at + max(size, 0))


def _mended(name: bytearray) -> bytes:
    try:
        name.decode()
    except UnicodeDecodeError:
        return bytes(byte if byte < 0x80 else ord("?") for byte in name)
    return bytes(name)

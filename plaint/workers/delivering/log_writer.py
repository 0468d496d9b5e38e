"""Writes one partition of the delivery log with group commit."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from plaint.kafka.publisher import OutRecord, Publisher
from route.delivery.entry import LogRecord

Waiting = tuple[Sequence[LogRecord], "asyncio.Future[list[int]]"]


class LogWriter:
    """What is asked for while a write is under way is the next write: one at a time, as large as the load makes it.

    ``fatal`` is called with the error if the broker does not take a write; the futures are then never done.
    """

    def __init__(
        self, publisher: Publisher, topic: str, partition: int, fatal: Callable[[BaseException], object]
    ) -> None:
        self.written: deque[tuple[int, int]] = deque()
        """Where our records lie: first offset and the one behind the last, adjoining stretches as one."""
        self._publisher = publisher
        self._topic = topic
        self._partition = partition
        self._fatal = fatal
        self._queue: list[Waiting] = []
        self._task: asyncio.Task[None] | None = None

    def write(self, records: Sequence[LogRecord]) -> "asyncio.Future[list[int]]":
        """See route.delivery.lane.Log."""
        future: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._queue.append((records, future))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return future

    async def close(self) -> None:
        """Return once everything that was asked for is written."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _drain(self) -> None:
        try:
            while self._queue:
                queue, self._queue = self._queue, []
                await self._write(queue)
        except Exception as error:  # whatever it is, what waits would wait for ever
            self._fatal(error)
        finally:
            self._task = None

    async def _write(self, queue: list[Waiting]) -> None:
        out = [
            OutRecord(self._topic, self._partition, record.key, record.value)
            for records, _ in queue
            for record in records
        ]
        offsets = await self._publisher.append(self._topic, self._partition, out)
        self._note(offsets)
        begin = 0
        for records, future in queue:
            end = begin + len(records)
            if not future.done():  # whoever asked may have been cancelled
                future.set_result(offsets[begin:end])
            begin = end

    def _note(self, offsets: Sequence[int]) -> None:
        for offset in offsets:
            if self.written and self.written[-1][1] == offset:
                self.written[-1] = self.written[-1][0], offset + 1
            else:
                self.written.append((offset, offset + 1))

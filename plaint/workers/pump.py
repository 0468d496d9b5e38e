"""Moves what Faust reads through a stage, one batch ahead of what is being written."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import faust

from plaint.workers.batches import Batches, in_record
from plaint.workers.stage import InRecord, Outcome


class Pump:
    """Moves fetches through a stage: while one batch is being written, the next is computed already.

    Batches are acknowledged in their order, each once all that came of it is written. A fetch from before a rebalance is
    left out: whoever owns its partition now, maybe this process, reads it again.
    """

    def __init__(
        self, app: faust.App, batches: Batches, batch: int, linger_s: float, fatal: Callable[[BaseException], object]
    ) -> None:
        """``fatal`` must end the process: it is called when a stage is broken or a result can't be written."""
        self._app = app
        self._fatal = fatal
        self._batches = batches
        self._batch = batch
        self._linger_s = linger_s
        self._fed: asyncio.Queue[Any] = asyncio.Queue(maxsize=1)
        self._held: Any = None
        self._ended = False

    async def feed(self, event: Any) -> None:
        """Take a fetch; waits while there is enough to do."""
        await self._fed.put(event)

    async def end(self) -> None:
        """Let ``run`` end once the batches under way are acknowledged."""
        self._ended = True
        while not self._fed.empty():
            self._fed.get_nowait()
        await self._fed.put(None)

    async def run(self, stream: Any) -> None:
        """Work until ``end`` is called."""
        try:
            await self._run(stream)
        except Exception as error:
            self._fatal(error)

    async def _run(self, stream: Any) -> None:
        writing: asyncio.Task[None] | None = None
        while events := await self._gather():
            events = [event for event in events if self._is_current(event)]
            records = [in_record(record) for event in events for record in event.message.records]
            if not records:
                continue
            found = await self._batches.process(records)
            if writing is not None:
                await writing
            writing = asyncio.create_task(self._write(stream, events, records, found))
        if writing is not None:
            await writing

    async def _write(
        self, stream: Any, events: Sequence[Any], records: Sequence[InRecord], found: Sequence[Outcome]
    ) -> None:
        try:
            await self._batches.write(found, records)
            for event in events:
                await stream.ack(event)
        except Exception as error:
            self._fatal(error)

    def _is_current(self, event: Any) -> bool:
        return bool(event.message.generation_id == self._app.consumer_generation_id)

    async def _gather(self) -> list[Any]:
        """Fetches of at most ``batch`` records together (a fetch holds no more); none once it is to end."""
        if self._ended:
            return []
        first = self._held or await self._fed.get()
        self._held = None
        if first is None:
            return []
        events, count = [first], len(first.message.records)
        due = asyncio.get_running_loop().time() + self._linger_s
        while count < self._batch and (event := await self._next(due)) is not None:
            count += len(event.message.records)
            if count > self._batch:
                self._held = event
            else:
                events.append(event)
        return events

    async def _next(self, due: float) -> Any:
        """The next fetch, or None if there is none until ``due`` or it is to end."""
        if not self._fed.empty():
            return self._fed.get_nowait()
        try:
            async with asyncio.timeout_at(due):
                return await self._fed.get()
        except TimeoutError:
            return None

"""One partition of a destination while this process owns it: memory, log, and what may be acknowledged."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from route.delivery.entry import LogRecord, read_entry, with_op
from route.delivery.fold import Fold, Item
from route.delivery.ledger import Ledger, Step
from route.delivery.offsets import Offsets


class Log(Protocol):
    """The partition's delivery log. Neither method returns without success: who can't read or write it must end."""

    def write(self, records: Sequence[LogRecord]) -> Awaitable[Sequence[int]]:
        """Append. The order is that of the calls, not of the awaits; gives the offsets once all are there for good."""

    def read(self, offset: int) -> Awaitable[tuple[bytes, bytes]]:
        """Key and value of the record at ``offset``."""


class Lane:
    """Ties the ledger to the log: nothing that follows from a step happens before its record is written."""

    def __init__(
        self,
        partition: int,
        fold: Fold,
        ledger: Ledger,
        offsets: Offsets,
        log: Log,
        ready: Callable[["Lane", Item], None],
    ) -> None:
        self.partition = partition
        self.fold = fold
        self.ledger = ledger
        self.offsets = offsets
        self.is_live = True
        """False once the partition is being given up or was taken: nothing new may start."""
        self.is_deposed = False
        """A newer owner has written its record: nothing may be sent or written any more."""
        self.flights: set[asyncio.Task[None]] = set()
        self._log = log
        self._ready = ready

    async def apply(self, steps: Iterable[Step]) -> None:
        """Write what the steps say, then do what follows: marks are done, items are ready."""
        steps = list(steps)
        records = [step.record for step in steps if step.record is not None]
        offsets = iter(await self._log.write(records)) if records else iter(())
        for record, mark, item in steps:
            offset = next(offsets) if record is not None else -1
            if mark is not None:
                self.offsets.done(mark)
            if item is not None:
                item.offset = offset
                self._ready(self, item)

    async def write_sending(self, item: Item, record: LogRecord) -> None:
        """Write that a try of ``item`` begins."""
        item.offset = (await self._log.write([record]))[0]

    async def load(self, item: Item) -> bytes:
        """The body of ``item``, read back from the log if it was left there."""
        if item.body is None:
            key, value = await self._log.read(item.offset)
            entry = read_entry(key, value, item.offset)
            self.fold.load(item, entry.body if entry.op == item.op else with_op(entry.body, item.op))
        assert item.body is not None
        return item.body

    async def heal(self, keys: Iterable[str], now: Callable[[], float]) -> int:
        """Overrule the stale records of ``keys``; how many were."""
        written = []
        for key in keys:
            item = self.ledger.needs_body(key)
            if item is not None:
                await self.load(item)
            record = None if self.is_deposed else self.ledger.heal(key, now())
            if record is not None:
                written.append(self._log.write([record]))  # at once: nothing may change in between
        for one in written:
            await one
        return len(written)

    def depose(self) -> None:
        """A newer owner has written its record."""
        self.is_live, self.is_deposed = False, True

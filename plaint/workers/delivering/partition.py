"""One partition of one destination, from being assigned to being given up."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from plaint.workers.delivering.log_bodies import LogBodies
from plaint.workers.delivering.log_writer import LogWriter
from route.delivery.clock import Clock
from route.delivery.counters import Counters
from route.delivery.dispatch import FAR_S, Dispatcher
from route.delivery.entry import OWNER, Entry, LogRecord, is_key, own_prefix, owner_record, read_entry
from route.delivery.fold import Fold
from route.delivery.lane import Lane
from route.delivery.ledger import Ledger
from route.delivery.limits import Limits, author_of
from route.delivery.offsets import Offsets
from route.delivery.switch import SWITCH_KEYS, Switch, read_switch
from schemas.record import RecordInvalid

log = logging.getLogger(__name__)


class Partition:
    """Takes the partition by an owner record, replays the log up to it, and follows the log from there.

    A newer owner record deposes it. What a former owner writes behind its record (a process that was stopped and woke)
    is overruled. ``lane`` is there once the replay is done.
    """

    def __init__(
        self,
        number: int,
        fold: Fold,
        writer: LogWriter,
        bodies: LogBodies,
        dispatcher: Dispatcher,
        limits: Limits,
        switch: Switch,
        clock: Clock,
        counters: Counters,
        fatal: Callable[[BaseException], object],
    ) -> None:
        self.number = number
        self.fold = fold
        self.lane: Lane | None = None
        self.deposed_at: float | None = None
        self._writer = writer
        self._bodies = bodies
        self._dispatcher = dispatcher
        self._limits = limits
        self._switch = switch
        self._clock = clock
        self._counters = counters
        self._fatal = fatal
        self._epoch: int | None = None
        self._own = b""
        self._replayed = asyncio.Event()
        self._healing: set[asyncio.Task[int]] = set()

    # -- the log, for the lane -----------------------------------------------------------------------------------

    def write(self, records: Sequence[LogRecord]) -> "asyncio.Future[list[int]]":
        """See Log."""
        return self._writer.write(records)

    async def read(self, offset: int) -> tuple[bytes, bytes]:
        """See Log."""
        return await self._bodies.read(self.number, offset)

    # -- taking it -----------------------------------------------------------------------------------------------

    async def claim(self, worker: str) -> None:
        """Write the owner record; from its offset on the partition is ours."""
        self._epoch = (await self._writer.write([owner_record(worker, self._clock.wall())]))[0]
        self._own = own_prefix(self._epoch)

    async def replay(self) -> None:
        """Return once everything up to the owner record was fed."""
        if not self.is_replaying:
            self._replayed.set()
        await self._replayed.wait()

    def open(self, position: int, timeout_s: float) -> Lane:
        """Start delivering what the log holds open; ``position`` is where reading the tickets goes on."""
        assert self._epoch is not None, "it was claimed and replayed before"
        ledger = Ledger(self.fold, self._epoch, self._counters)
        self.lane = Lane(self.number, self.fold, ledger, Offsets(position), self, self._dispatcher.push)
        if self.deposed_at is not None:  # while the replay was on
            self.lane.depose()
            return self.lane
        for item in ledger.begin(self._clock.wall(), timeout_s):
            self._dispatcher.push(self.lane, item)
        self._heal(self.lane)
        return self.lane

    async def close(self) -> None:
        """Return once nothing of this partition is under way any more."""
        if self.lane is not None:
            await self._dispatcher.give_up(self.lane)
        if self._healing:
            await asyncio.wait(self._healing)
        await self._writer.close()

    # -- following the log ---------------------------------------------------------------------------------------

    def position(self) -> int:
        """Offset of the next record of the log to read: what this process wrote itself since the replay is known."""
        written = self._writer.written
        while self.lane is not None and written and written[0][0] <= self.fold.position:
            self.fold.position = max(self.fold.position, written.popleft()[1])
        return self.fold.position

    @property
    def is_replaying(self) -> bool:
        """The owner record has not been read yet."""
        return self._epoch is None or self.fold.position <= self._epoch

    def feed(self, records: Sequence[Any]) -> None:
        """The next records of the log."""
        keep_until = self._clock.wall() + FAR_S
        for record in records:
            self._take(record, keep_until)
        if not self.is_replaying:
            self._replayed.set()
        if self.lane is not None:
            self._heal(self.lane)

    def _take(self, record: Any, keep_until: float) -> None:
        if record.key == OWNER:
            self._owner(record.offset)
        elif record.value is None and is_key(record.key or b""):
            self.fold.forget(record.key.decode())
        elif self.lane is None or not (record.value or b"").startswith(self._own):  # our own is known already
            try:
                if record.key in SWITCH_KEYS:
                    self._switch.learn(self.number, read_switch(record.value))
                else:
                    self._apply(read_entry(record.key or b"", record.value or b"", record.offset), keep_until, record)
            except RecordInvalid as fault:
                self._counters.unreadable += 1
                log.warning("%s[%d]@%d passed over: %s", record.topic, self.number, record.offset, fault.detail)
        self.fold.position = max(self.fold.position, record.offset + 1)

    def _apply(self, entry: Entry, keep_until: float, record: Any) -> None:
        if self.lane is not None and not self.lane.is_deposed:
            self.fold.overhear(entry, keep_until)
        else:
            self.fold.apply(entry, keep_until)
        if entry.state == "sending" and self.lane is None and self._limits.are_set:
            now = self._clock.steady()
            at = now - (self._clock.wall() - record.timestamp / 1000)
            new = self._limits.count_authors and entry.op == "create"
            self._limits.remember(author_of(entry.body) if new else b"", entry.key, at, now)

    def _owner(self, offset: int) -> None:
        self.fold.owned(offset)
        if self._epoch is None or offset <= self._epoch or self.deposed_at is not None:
            return
        log.warning("partition %d has a newer owner", self.number)
        self.deposed_at = self._clock.steady()
        if self.lane is not None:
            self.lane.depose()

    def _heal(self, lane: Lane) -> None:
        if self.fold.stale and not lane.is_deposed:
            keys, self.fold.stale = self.fold.stale, set()
            task = asyncio.create_task(lane.heal(keys, self._clock.wall))
            self._healing.add(task)
            task.add_done_callback(self._healed)

    def _healed(self, task: "asyncio.Task[int]") -> None:
        self._healing.discard(task)
        if error := task.exception():
            self._fatal(error)
        else:
            self._counters.healed += task.result()

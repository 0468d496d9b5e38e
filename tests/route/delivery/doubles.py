"""Small real stand-ins for what delivery hangs on: time that moves when told, a log in memory, a destination that obeys."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from route.delivery.breaker import Breaker
from route.delivery.counters import Counters
from route.delivery.courier import Courier, Dead, Policy
from route.delivery.dispatch import Dispatcher
from route.delivery.entry import OWNER, LogRecord, owner_record, read_entry
from route.delivery.fold import Fold, Item
from route.delivery.intake import InRecord, Intake
from route.delivery.lane import Lane
from route.delivery.ledger import Ledger
from route.delivery.limits import Limits
from route.delivery.offsets import Offsets
from route.delivery.retry import RetrySchedule
from route.delivery.switch import Disabled, Switch
from route.destinations.base import Idempotency, MaySend, NotNow, Outcome, Parcel, Taken, Withheld
from schemas.deadletter import DeadLetter
from schemas.ticket import Op, Ticket, ticket_key

START = 1_800_000_000.0
DESTINATION = "helpdesk"


def ticket(post: str = "post-1", revision: int = 0, op: str = "create", **fields: Any) -> Ticket:
    """A ticket as route makes them."""
    known: dict[str, Any] = {
        "key": ticket_key(post, DESTINATION),
        "op": op,
        "revision": revision,
        "destination": DESTINATION,
        "post_id": post,
        "text": "" if op == "withdraw" else f"My parcel from Kessel & Roth never came, {post}",
        "triaged_at": datetime.fromtimestamp(START, UTC),
    }
    return Ticket.model_validate({**known, **fields})


def ticket_in(parcel: Parcel) -> Ticket:
    """What a destination was asked to take."""
    return Ticket.from_bytes(parcel.body)


@dataclass
class FakeTimer:
    at: float
    call: Callable[[], None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeClock:
    """Stands still until ``advance``."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[FakeTimer] = []

    def wall(self) -> float:
        return START + self.now

    def steady(self) -> float:
        return self.now

    def call_later(self, delay_s: float, call: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(self.now + delay_s, call)
        self._timers.append(timer)
        return timer

    async def sleep(self, delay_s: float) -> None:
        woken = asyncio.Event()
        self.call_later(delay_s, woken.set)
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        """Let time pass; everything that falls due happens when it does, and is let run until nothing moves."""
        until = self.now + seconds
        await settle()
        while True:
            due = [timer for timer in self._timers if not timer.is_cancelled and timer.at <= until]
            if not due:
                break
            first = min(due, key=lambda timer: timer.at)
            self._timers.remove(first)
            self.now = max(self.now, first.at)
            first.call()
            await settle()
        self.now = until
        await settle()


async def settle() -> None:
    """Let every task run until all wait for something that only the test can bring."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # what would run next, were this task to wait
    await asyncio.sleep(0)
    while ready:  # noqa: ASYNC110 - what it waits for is that nothing else runs
        await asyncio.sleep(0)


class MemoryLog:
    """One partition of the delivery log."""

    def __init__(self) -> None:
        self.records: list[LogRecord] = []
        self.reads = 0

    def write(self, records: Sequence[LogRecord]) -> "asyncio.Future[list[int]]":
        offsets = list(range(len(self.records), len(self.records) + len(records)))
        self.records += records
        future: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, offsets)
        return future

    async def read(self, offset: int) -> tuple[bytes, bytes]:
        self.reads += 1
        await asyncio.sleep(0)
        return self.records[offset]

    def fold(self) -> Fold:
        """What someone who reads it all from the start knows."""
        fold = Fold()
        for offset, record in enumerate(self.records):
            if record.key == OWNER:
                fold.owned(offset)
            else:
                fold.apply(read_entry(record.key, record.value, offset), keep_until=float("inf"))
            fold.position = offset + 1
        return fold

    def states(self, post: str = "post-1") -> list[str]:
        """The states that were written for one ticket, in order."""
        key = ticket_key(post, DESTINATION).encode()
        return [_state(record) for record in self.records if record.key == key]


def _state(record: LogRecord) -> str:
    from schemas.delivery import Delivery

    return Delivery.from_bytes(record.value).state


Answer = Callable[[Parcel], Outcome | Awaitable[Outcome]]


@dataclass
class ObedientDestination:
    """Answers what ``answer`` says and remembers what it was asked."""

    answer: Answer = lambda _: Taken(200)
    idempotency: Idempotency = Idempotency.IDEMPOTENT
    has: dict[str, Taken | NotNow] = field(default_factory=dict)
    asked: list[tuple[float, Parcel]] = field(default_factory=list)
    looked_for: list[str] = field(default_factory=list)
    clock: FakeClock | None = None
    under_way: int = 0
    most_under_way: int = 0

    mark: str = "first"

    def refresh(self) -> bool:
        return False

    async def create(self, parcel: Parcel, may_send: MaySend) -> Outcome:
        return await self._request("create", parcel, may_send)

    async def update(self, parcel: Parcel, may_send: MaySend) -> Outcome:
        return await self._request("update", parcel, may_send)

    async def withdraw(self, parcel: Parcel, may_send: MaySend) -> Outcome:
        return await self._request("withdraw", parcel, may_send)

    async def find(self, key: str) -> Taken | NotNow | None:
        self.looked_for.append(key)
        return self.has.get(key)

    async def close(self) -> None: ...

    async def _request(self, op: Op, parcel: Parcel, may_send: MaySend) -> Outcome:
        assert parcel.op == op
        if not may_send():
            raise Withheld
        self.asked.append((self.clock.now if self.clock else 0.0, parcel))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            answer = self.answer(parcel)
            return answer if isinstance(answer, Outcome) else await answer
        finally:
            self.under_way -= 1

    @property
    def ops(self) -> list[tuple[str, int]]:
        return [(parcel.op, parcel.revision) for _, parcel in self.asked]


class Stage:
    """The whole delivery of one partition without a broker."""

    def __init__(
        self,
        answer: Answer = lambda _: Taken(200),
        *,
        log: MemoryLog | None = None,
        fold: Fold | None = None,
        clock: FakeClock | None = None,
        idempotency: Idempotency = Idempotency.IDEMPOTENT,
        tries: int = 4,
        concurrency: int = 8,
        breaker_failures: int = 100,
        park_unknown: bool = True,
        first_wait_s: float = 5.0,
        max_wait_s: float = 3600.0,
        position: int = 0,
        per_minute: int | None = None,
        per_author: int | None = None,
        bodies: int = 1000,
        disable_after: int = 0,
        disable_after_s: float = 600.0,
    ) -> None:
        self.clock = clock or FakeClock()
        self.log = log or MemoryLog()
        self.counters = Counters()
        self.breaker = Breaker(breaker_failures, probe_s=1.0)
        self.destination = ObedientDestination(answer, idempotency, clock=self.clock)
        self.is_leased = True
        self.limits = Limits(per_minute, per_author, partitions=1)
        self.turned_off: list[Disabled] = []
        self.switch = Switch(disable_after, disable_after_s, lambda: self.destination.mark, self.turned_off.append)
        self.switch.own([0])
        self.dead: list[Dead] = []
        self.letters: list[DeadLetter] = []
        self.faults: list[BaseException] = []
        schedule = RetrySchedule(first_wait_s, max_wait_s, jitter=0.2, random=lambda: 0.5)
        courier = Courier(
            self.destination,
            Policy(tries, schedule, park_unknown),
            self.breaker,
            self.clock,
            self.counters,
            lambda: self.is_leased,
            self._bury_ticket,
            self.switch,
        )
        self.dispatcher = Dispatcher(
            courier,
            concurrency,
            self.breaker,
            self.clock,
            lambda: self.is_leased,
            self.faults.append,
            self.limits,
            self.switch,
            self.counters,
            bodies,
        )
        self.intake = Intake(DESTINATION, self.clock, self.counters, self._bury_records)
        self.read = position
        """Offset of the next record to come in."""
        self.lane = self._own(fold)
        self.dispatcher.pump()

    def _own(self, fold: Fold | None) -> Lane:
        fold = fold or self.log.fold()
        epoch = len(self.log.records)
        self.log.records.append(owner_record("me", self.clock.wall()))
        fold.owned(epoch)
        fold.position = epoch + 1
        ledger = Ledger(fold, epoch, self.counters)
        lane = Lane(0, fold, ledger, Offsets(self.read), self.log, self.dispatcher.push)
        for item in ledger.begin(self.clock.wall(), timeout_s=15.0):
            self.dispatcher.push(lane, item)
        return lane

    async def take(self, *tickets: Ticket) -> None:
        """Tickets arrive in one batch, and what is due goes out."""
        await self.take_values(*(one.to_bytes() for one in tickets))

    async def take_values(self, *values: bytes | None) -> None:
        """Any records arrive."""
        records = [InRecord(self.read + i, b"key", value) for i, value in enumerate(values)]
        self.read += len(values)
        await self.intake.take(self.lane, records)
        self.dispatcher.pump()
        await settle()

    def item(self, post: str = "post-1") -> Item:
        """What is open of a post's ticket."""
        return self.lane.fold.open[ticket_key(post, DESTINATION)]

    async def _bury_ticket(self, dead: Dead) -> None:
        self.dead.append(dead)

    async def _bury_records(self, letters: Sequence[DeadLetter], partition: int) -> None:
        self.letters += letters

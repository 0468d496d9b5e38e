"""The parts between the worker and Kafka, without a broker: lease, group commit, taking and following a partition."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from plaint.kafka.publisher import NotWritten, OutRecord
from plaint.kafka.settings import KafkaSettings
from plaint.workers.delivering.lease import Lease
from plaint.workers.delivering.log_bodies import BodyMissing, LogBodies
from plaint.workers.delivering.log_follower import LogFollower
from plaint.workers.delivering.log_writer import LogWriter
from plaint.workers.delivering.partition import Partition
from plaint.workers.delivering.window import Window
from route.delivery.breaker import Breaker
from route.delivery.counters import Counters
from route.delivery.dispatch import Dispatcher
from route.delivery.entry import LogRecord, OpenState, final_record, open_record, owner_record
from route.delivery.fold import Fold, Item
from route.delivery.lane import Lane
from route.delivery.limits import HOUR_S, MINUTE_S, Limits
from route.delivery.switch import IN_USE, SWITCH, Disabled, Enabled, InUse, Switch, switch_record
from tests.route.delivery.doubles import START, FakeClock, settle, ticket


def kafka(**changed: float) -> KafkaSettings:
    return KafkaSettings.model_validate(
        {"session_timeout_s": 30, "heartbeat_s": 3, "rebalance_timeout_s": 60, **changed}
    )


# -- the lease ------------------------------------------------------------------------------------------------------


def test_there_is_no_lease_before_the_group_took_a_commit() -> None:
    assert not Lease(kafka(), FakeClock().steady).is_valid()


def test_it_holds_for_a_session_less_a_heartbeat_and_a_margin_from_when_the_commit_began() -> None:
    clock = FakeClock()
    lease = Lease(kafka(), clock.steady)
    clock.now = 100.0
    lease.renewed(begun=98.0)
    clock.now = 98.0 + 26.4
    assert lease.is_valid()
    clock.now = 98.0 + 26.5
    assert not lease.is_valid()


def test_a_rebalance_that_waits_for_less_than_a_session_bounds_it() -> None:
    clock = FakeClock()
    lease = Lease(kafka(rebalance_timeout_s=10), clock.steady)
    lease.renewed(begun=0.0)
    clock.now = 6.4
    assert lease.is_valid()
    clock.now = 6.5
    assert not lease.is_valid()


def test_an_answer_that_comes_late_does_not_shorten_it() -> None:
    clock = FakeClock()
    lease = Lease(kafka(), clock.steady)
    lease.renewed(begun=50.0)
    lease.renewed(begun=20.0)
    clock.now = 76.0
    assert lease.is_valid()


def test_a_refused_commit_ends_it() -> None:
    lease = Lease(kafka(), FakeClock().steady)
    lease.renewed(begun=0.0)
    lease.lost()
    assert not lease.is_valid()


def test_it_is_renewed_several_times_before_it_runs_out() -> None:
    for session in (3.0, 6.0, 30.0, 300.0):
        lease = Lease(kafka(session_timeout_s=session, heartbeat_s=session / 6), FakeClock().steady)
        assert lease.renew_every_s * 3 < min(session, 60) - session / 6


def test_settings_that_leave_no_lease_are_refused() -> None:
    with pytest.raises(ValueError, match="session_timeout_s is too short"):
        Lease(kafka(session_timeout_s=0.6, heartbeat_s=0.15), FakeClock().steady)


# -- group commit ---------------------------------------------------------------------------------------------------


class SlowPublisher:
    """Writes when the test says so; others' records may lie between ours."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.go: asyncio.Event = asyncio.Event()
        self.end = 0
        self.error: Exception | None = None

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> list[int]:
        self.batches.append([record.value for record in records])
        await self.go.wait()
        if self.error:
            raise self.error
        offsets = list(range(self.end, self.end + len(records)))
        self.end += len(records)
        return offsets


def writer(publisher: SlowPublisher, faults: list[BaseException] | None = None) -> LogWriter:
    return LogWriter(publisher, "log", 0, (faults if faults is not None else []).append)  # type: ignore[arg-type]


def some(*values: bytes) -> list[LogRecord]:
    return [LogRecord(b"k", value) for value in values]


async def test_what_comes_while_a_write_is_under_way_is_the_next_write_in_the_order_of_the_calls() -> None:
    publisher = SlowPublisher()
    log = writer(publisher)
    first = log.write(some(b"1"))
    await settle()
    later = [log.write(some(b"2", b"3")), log.write(some(b"4"))]
    publisher.go.set()
    assert await first == [0]
    assert [await one for one in later] == [[1, 2], [3]]
    assert publisher.batches == [[b"1"], [b"2", b"3", b"4"]]


async def test_closing_waits_until_all_is_written() -> None:
    publisher = SlowPublisher()
    log = writer(publisher)
    first = log.write(some(b"1"))
    closing = asyncio.create_task(log.close())
    await settle()
    assert not closing.done()
    publisher.go.set()
    await closing
    assert first.done()


async def test_who_no_longer_waits_does_not_stop_the_others() -> None:
    publisher = SlowPublisher()
    log = writer(publisher)
    first, second = log.write(some(b"1")), log.write(some(b"2"))
    first.cancel()
    publisher.go.set()
    assert await second == [1]


@pytest.mark.parametrize("error", [NotWritten("no"), ZeroDivisionError("a bug")])
async def test_a_write_that_fails_is_fatal_and_nobody_is_told_that_it_is_written(error: Exception) -> None:
    publisher, faults = SlowPublisher(), list[BaseException]()
    publisher.error = error
    publisher.go.set()
    first = writer(publisher, faults).write(some(b"1"))
    await settle()
    assert faults == [error]
    assert not first.done()


async def test_stretches_of_our_own_records_are_noted() -> None:
    publisher = SlowPublisher()
    publisher.go.set()
    log = writer(publisher)
    await log.write(some(b"1", b"2"))
    await log.write(some(b"3"))
    publisher.end += 1  # somebody else's record
    await log.write(some(b"4"))
    assert list(log.written) == [(0, 3), (4, 5)]


# -- taking and following a partition --------------------------------------------------------------------------------


@dataclass
class Read:
    """A record as the consumer gives it."""

    offset: int
    key: bytes | None
    value: bytes | None
    topic: str = "log"
    timestamp: int = int(START * 1000)


class NoCourier:
    """Carries nothing."""

    async def carry(self, lane: Lane, item: Item, probing: bool) -> None:
        await asyncio.get_running_loop().create_future()


class Taken:
    """A partition whose log is in memory; it is read back and written while the test lets it."""

    def __init__(self, *before: LogRecord) -> None:
        self.readable, self.writable = asyncio.Event(), asyncio.Event()
        self.readable.set()
        self.writable.set()
        self.clock = FakeClock()
        self.counters = Counters()
        self.faults: list[BaseException] = []
        self.records: list[LogRecord] = list(before)
        self.limits, self.switch = Limits(60, 2, partitions=1), Switch(0, 0.0)
        self.switch.own([0])
        dispatcher = Dispatcher(
            NoCourier(),
            0,
            Breaker(9, 1.0),
            self.clock,
            lambda: True,
            self.faults.append,
            self.limits,
            self.switch,
            self.counters,
            bodies=100,
        )
        self.partition = Partition(
            0,
            Fold(),
            LogWriter(self, "log", 0, self.faults.append),  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            dispatcher,
            self.limits,
            self.switch,
            self.clock,
            self.counters,
            self.faults.append,
        )

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> list[int]:
        """The writer's part."""
        await self.writable.wait()
        self.records += [LogRecord(record.key or b"", record.value) for record in records]
        return list(range(len(self.records) - len(records), len(self.records)))

    async def read(self, partition: int, offset: int) -> tuple[bytes, bytes]:
        """The part of what reads bodies back."""
        await self.readable.wait()
        return self.records[offset]

    def feed(self, end: int | None = None) -> int:
        """The follower's part; how many records were read."""
        begin = self.partition.position()
        found = [Read(begin + n, *record) for n, record in enumerate(self.records[begin:end])]
        self.partition.feed(found)
        return len(found)

    async def opened(self) -> Lane:
        await self.partition.claim("me")
        self.feed()
        await self.partition.replay()
        return self.partition.open(position=0, timeout_s=15.0)


def done(post: str, epoch: int) -> LogRecord:
    return final_record(ticket(post).key, "done", epoch=epoch, revision=0, op="create", created=True, at=0.0)


def sending(post: str, epoch: int, **fields: Any) -> LogRecord:
    return under_way(post, epoch, "sending", 0.0, **fields)


def under_way(post: str, epoch: int, state: OpenState, due: float, **fields: Any) -> LogRecord:
    one = ticket(post, **fields)
    return open_record(
        one.key,
        state,
        epoch=epoch,
        revision=0,
        op="create",
        attempt=1,
        due=due,
        created=False,
        at=0.0,
        body=one.to_bytes(),
    )


async def test_a_partition_is_ours_once_the_log_is_read_up_to_our_owner_record() -> None:
    taken = Taken(owner_record("before", 0.0), sending("a", 0), done("b", 0))
    await taken.partition.claim("me")
    replay = asyncio.create_task(taken.partition.replay())
    taken.feed(end=3)
    await settle()
    assert not replay.done()
    assert taken.partition.position() == 3, "our own owner record is read as well"
    taken.feed()
    await replay
    lane = taken.partition.open(position=7, timeout_s=15.0)
    assert lane.offsets.acknowledged == 7
    assert [item.due for item in lane.fold.open.values()] == [taken.clock.wall() + 15.0]
    assert len(lane.fold.settled) == 1


async def test_requests_of_the_owner_before_us_count_for_the_limits() -> None:
    records = [sending(post, 0, author={"id": "loud"}) for post in ("a", "b")]
    taken = Taken(owner_record("before", 0.0), *records)
    taken.clock.now = 20.0
    await taken.opened()
    now = taken.clock.steady()
    wait = taken.limits.author_wait_s(b"\0loud", "c" * 32, now)
    assert wait == HOUR_S - 20  # it may have two
    assert taken.limits.author_wait_s(b"\0loud", ticket("a").key, now) == 0
    for _ in range(58):
        assert taken.limits.request_wait_s(True, now) == 0
        taken.limits.began(b"", "", now)
    assert taken.limits.request_wait_s(True, now) == MINUTE_S - 20  # it may have sixty


async def test_a_record_whose_author_is_none_is_passed_over() -> None:
    key, value = sending("a", 0, author={"id": "loud"})
    damaged = LogRecord(key, re.sub(rb'"author":\{[^}]*\}', b'"author":"x"', value))
    assert damaged.value != value
    taken = Taken(owner_record("before", 0.0), damaged)
    await taken.opened()
    assert (taken.counters.unreadable, len(taken.partition.fold.open)) == (1, 0)


async def test_the_switch_is_read_with_the_log_and_counts_while_the_partition_is_ours() -> None:
    off = Disabled("maintenance", START)
    taken = Taken(owner_record("before", 0.0), switch_record(off, START))
    await taken.opened()
    assert taken.switch.disabled == off
    taken.records.append(switch_record(Enabled(), START + 1))
    taken.feed()
    assert [taken.switch.disabled, taken.counters.unreadable] == [None, 0]
    taken.records.append(switch_record(Disabled("410", START, 410, "another"), START + 2))
    taken.records.append(switch_record(InUse("ours"), START + 3))
    taken.feed()
    assert [taken.switch.overrule(), taken.counters.unreadable] == [None, 0]
    taken.records += [LogRecord(key, b'{"state":"off"}') for key in (SWITCH, IN_USE)]
    taken.feed()
    assert taken.counters.unreadable == 2


async def test_what_we_wrote_ourselves_is_not_read_again() -> None:
    taken = Taken()
    await taken.opened()
    await taken.partition.write([sending("a", 0)] * 50)
    assert taken.feed() == 0
    assert taken.partition.position() == len(taken.records)


async def test_what_we_wrote_ourselves_is_known_also_if_it_is_read_before_its_place_is_noted() -> None:
    taken = Taken()
    await taken.opened()
    taken.records.append(sending("a", 0))
    assert taken.feed() == 1
    assert (taken.partition.fold.is_whole, taken.partition.fold.stale) == (True, set())


async def test_what_a_stopped_owner_wrote_before_us_is_overruled_at_once() -> None:
    taken = Taken(owner_record("before", 0.0), done("a", 0), owner_record("next", 0.0), sending("a", 0))
    await taken.opened()
    await settle()
    assert taken.counters.healed == 1
    assert taken.records[-1].key == ticket("a").key.encode()
    assert b'"state":"done"' in taken.records[-1].value


async def test_what_others_wrote_between_is_read_and_overruled() -> None:
    taken = Taken(owner_record("before", 0.0), sending("a", 0), done("a", 0))
    await taken.opened()
    await taken.partition.write([done("b", 3)])
    taken.records.append(sending("a", 0))  # the former owner, stopped and woken
    await taken.partition.write([done("c", 3)])
    taken.feed()
    await settle()
    assert taken.counters.healed == 1
    assert taken.records[-1].key == ticket("a").key.encode()
    assert b'"state":"done"' in taken.records[-1].value
    assert not taken.faults


async def test_what_is_to_be_overruled_stays_noted_for_the_next_owner_if_this_one_is_deposed() -> None:
    taken = Taken(owner_record("before", 0.0), done("a", 0))
    await taken.opened()
    taken.records += [owner_record("other", 0.0), sending("a", 0)]
    taken.feed()
    await settle()
    assert taken.partition.fold.stale == {ticket("a").key}
    assert len(taken.records) == 5, "it writes nothing itself"


class Healing(Taken):
    """A partition that has to read a ticket back from its log, to overrule what a stopped owner wrote about it."""

    async def opened(self) -> Lane:
        self.records += [owner_record("before", 0.0), under_way("a", 0, "accepted", START + 3600)]
        lane = await super().opened()
        self.records.append(sending("a", -1))
        self.feed()
        return lane


async def test_a_ticket_that_can_not_be_read_back_to_be_written_once_more_is_fatal() -> None:
    class Gone(Healing):
        async def read(self, partition: int, offset: int) -> tuple[bytes, bytes]:
            raise BodyMissing

    taken = Gone()
    await taken.opened()
    await settle()
    assert [type(fault) for fault in taken.faults] == [BodyMissing]


@pytest.mark.parametrize("what", ["a request", "a write", "what overrules a stopped owner"])
async def test_a_partition_is_closed_only_once_nothing_of_it_is_under_way(what: str) -> None:
    taken, ended = Healing() if what.startswith("what") else Taken(), asyncio.Event()
    if what.startswith("what"):
        taken.readable = ended
    lane = await taken.opened()
    if what == "a request":
        task: asyncio.Task[Any] = asyncio.create_task(ended.wait())
        lane.flights.add(task)
        task.add_done_callback(lane.flights.discard)
    elif what == "a write":
        taken.writable = ended
        taken.partition.write([done("b", 0)])
    closing = asyncio.create_task(taken.partition.close())
    await settle()
    assert not closing.done()
    ended.set()
    await closing
    assert taken.counters.healed == what.startswith("what")
    assert not taken.faults


async def test_a_newer_owner_record_deposes_even_before_the_partition_is_opened() -> None:
    taken = Taken()
    await taken.partition.claim("me")
    taken.records.append(owner_record("someone-else", 0.0))
    taken.feed()
    lane = taken.partition.open(position=0, timeout_s=15.0)
    assert lane.is_deposed
    assert taken.partition.deposed_at is not None


async def test_an_older_owner_record_does_not() -> None:
    taken = Taken(owner_record("before", 0.0))
    lane = await taken.opened()
    assert lane.is_live


async def test_the_memory_of_a_partition_is_taken_up_again_where_reading_stopped() -> None:
    taken = Taken(owner_record("before", 0.0), done("a", 0))
    await taken.opened()
    fold = taken.partition.fold
    taken.records += [owner_record("other", 0.0), done("b", len(taken.records))]
    again = Taken(*taken.records)
    again.partition.fold = fold
    await again.partition.claim("me")
    assert again.feed() == 3  # other's owner record, what it did, and ours
    assert len(fold.settled) == 2


async def test_tombstones_and_garbage_are_passed_over() -> None:
    taken = Taken(owner_record("before", 0.0), done("a", 0), LogRecord(b"x", b"garbage"))
    await taken.partition.claim("me")
    taken.partition.feed(
        [
            Read(0, *taken.records[0]),
            Read(1, *taken.records[1]),
            Read(2, ticket("a").key.encode(), None),
            Read(3, None, None),
            Read(4, None, b"?"),
        ]
    )
    assert taken.counters.unreadable == 2
    assert len(taken.partition.fold.settled) == 0
    assert taken.partition.position() == 5


# -- following the log -----------------------------------------------------------------------------------------------


class Follower:
    """Notes what it is fed."""

    is_replaying = False

    def __init__(self, position: int) -> None:
        self.fed: list[int] = []
        self._position = position

    def position(self) -> int:
        return self._position

    def feed(self, records: Sequence[Any]) -> None:
        self.fed += [record.offset for record in records]
        self._position = self.fed[-1] + 1


class FollowedLog:
    """A consumer of one partition that holds offsets from 0 to before ``end``; a look waits until there is news."""

    def __init__(self, end: int) -> None:
        self.looks = 0
        self._news = asyncio.Event()
        self._end = end
        self._at = 0

    def grow(self) -> None:
        self._end += 1
        self._news.set()

    def unsubscribe(self) -> None: ...

    def assign(self, partitions: list[TopicPartition]) -> None: ...

    def pause(self, *partitions: TopicPartition) -> None: ...

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._at = offset

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Read]]:
        self.looks += 1
        while self._at == self._end:
            self._news.clear()
            await self._news.wait()
        found = [Read(offset, b"k", b"v") for offset in range(self._at, self._end)]
        self._at = self._end
        return {TopicPartition("log", 0): found}


async def test_who_follows_a_partition_anew_gets_all_from_its_position_on_also_if_a_look_is_under_way() -> None:
    follower = LogFollower(kafka(), "log")
    await follower.stop()
    follower._consumer = log = FollowedLog(end=3)
    before, after = Follower(3), Follower(0)
    follower.follow(0, before)
    running = asyncio.create_task(follower.run())
    await settle()
    assert log.looks == 1
    follower.leave(0, before)
    follower.follow(0, after)
    log.grow()  # by its own owner record, as a rule
    await settle()
    assert (before.fed, after.fed) == ([], [0, 1, 2, 3])
    running.cancel()


# -- reading bodies back ---------------------------------------------------------------------------------------------


class LogConsumer:
    """A consumer of a log of which compaction has left these offsets; each fetch brings up to three of them."""

    def __init__(self, *offsets: int) -> None:
        self.fetches: list[int] = []
        self._offsets = offsets

    async def start(self) -> None: ...

    def unsubscribe(self) -> None: ...

    def assign(self, partitions: list[TopicPartition]) -> None: ...

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.fetches.append(offset)

    async def getmany(self, partition: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[Read]]:
        found = [Read(offset, b"k", b"%d" % offset) for offset in self._offsets if offset >= self.fetches[-1]]
        return {partition: found[:3]}


async def test_bodies_that_lie_together_are_read_together_and_each_goes_to_who_asked() -> None:
    consumer = LogConsumer(*range(10, 30))
    bodies = LogBodies(consumer, "log")
    found = await asyncio.gather(*(bodies.read(0, offset) for offset in (21, 11, 12, 12)))
    assert found == [(b"k", b"21"), (b"k", b"11"), (b"k", b"12"), (b"k", b"12")]
    assert consumer.fetches == [11, 21]
    assert await bodies.read(0, 13) == (b"k", b"13")


async def test_a_body_that_the_log_does_not_hold_any_more_is_told_and_nobody_waits_for_it() -> None:
    bodies = LogBodies(LogConsumer(10, 12), "log")
    with pytest.raises(BodyMissing, match=r"log\[0\]@11 is gone"):
        await bodies.read(0, 11)
    assert await bodies.read(0, 12) == (b"k", b"12")


# -- the window ------------------------------------------------------------------------------------------------------


class Paused:
    """The partitions that a consumer is told to pause and resume."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def pause(self, *partitions: TopicPartition) -> None:
        self.told.append(("pause", len(partitions)))

    def resume(self, *partitions: TopicPartition) -> None:
        self.told.append(("resume", len(partitions)))


def holding(held: int, known: int) -> dict[TopicPartition, Any]:
    """Two partitions with so many tickets, ``held`` of them with their bodies."""
    folds = [
        SimpleNamespace(held=held // 2, open=range(known // 2)),
        SimpleNamespace(held=held - held // 2, open=range(known - known // 2)),
    ]
    return {TopicPartition("tickets", number): SimpleNamespace(fold=fold) for number, fold in enumerate(folds)}


@pytest.mark.parametrize("where", ["held", "known"])
def test_partitions_pause_while_too_many_tickets_are_open_and_go_on_once_a_fifth_of_them_is_gone(where: str) -> None:
    consumer = Paused()
    window = Window(10, 100, consumer)
    told = []
    for count in (7, 9, 10, 12, 8, 7, 10):
        window.regulate(holding(count, count) if where == "held" else holding(0, 10 * count))
        told.append((count, window.is_full))
    assert told == [(7, False), (9, False), (10, True), (12, True), (8, True), (7, False), (10, True)]
    assert consumer.told == [("pause", 2), ("resume", 2), ("pause", 2)]

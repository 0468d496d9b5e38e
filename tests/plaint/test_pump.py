"""A stage's pump: batches in order, acknowledged once written, computed ahead, nothing from before a rebalance."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from plaint.kafka.publisher import NotWritten, OutRecord
from plaint.kafka.settings import KafkaSettings
from plaint.workers import batches
from plaint.workers.batches import Batches, in_record, written
from plaint.workers.fetches import Fetch, FetchConsumer, _NoOffsets
from plaint.workers.pump import Pump
from plaint.workers.stage import Dropped, InRecord, Outcome, Result, Stretch
from schemas.deadletter import DeadLetter
from schemas.reasons import DeadReason, DropReason
from schemas.topics import DEAD_LETTERS, REPLAYED_HEADER
from tests.route.delivery.doubles import settle

HERE = TP("in", 0)


def fetch(first: int, count: int, generation: int = 1) -> Any:
    """An event of Faust's as the pump sees it: a fetch of the records from offset ``first`` on."""
    records = [
        SimpleNamespace(
            topic="in",
            partition=0,
            offset=first + n,
            key=b"k",
            value=b"%d" % (first + n),
            headers=(),
            timestamp=0,
            timestamp_type=0,
        )
        for n in range(count)
    ]
    return SimpleNamespace(message=Fetch(HERE, records, generation))


class Copy:
    """Copies each record and notes the batches."""

    name = "copy"
    input_topic = "in"

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.unread: list[Stretch] = []
        self.remembered: list[int] = []

    def process(self, records: Sequence[InRecord]) -> list[Outcome]:
        self.batches.append(len(records))
        return [Result((OutRecord("out", 0, r.key, r.value or b""),)) for r in records]

    def took(self, records: Sequence[InRecord]) -> None: ...

    def unknown(self, records: Sequence[InRecord]) -> list[Stretch]:
        return self.unread

    def remember(self, records: Sequence[InRecord]) -> None:
        assert not self.batches, "before it gets any"
        self.remembered += [record.offset for record in records]


class Broker:
    """Takes what is published once it is told to; refuses it if it is told so."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.answers = asyncio.Event()
        self.asked = 0
        self.refuses = False

    async def publish(self, records: Sequence[OutRecord]) -> None:
        self.asked += 1
        await self.answers.wait()
        if self.refuses:
            raise NotWritten("no")
        self.taken += [record.value for record in records]


class Line:
    """A pump at work with everything around it."""

    def __init__(self, batch: int, linger_s: float) -> None:
        self.app = SimpleNamespace(consumer_generation_id=1)
        self.stage, self.broker = Copy(), Broker()
        self.acknowledged: list[int] = []
        self.fatal: list[BaseException] = []
        canary = InRecord("in", 0, -1, b"", b"", 0.0)
        self.batches = Batches(KafkaSettings(), self.stage, self.broker, canary)  # type: ignore[arg-type]
        self.pump = Pump(self.app, self.batches, batch, linger_s, self.fatal.append)

    async def ack(self, event: Any) -> None:
        self.acknowledged.append(event.message.offset)


@asynccontextmanager
async def line(batch: int = 100, linger_s: float = 0.01) -> AsyncIterator[Line]:
    made = Line(batch, linger_s)
    work = asyncio.create_task(made.pump.run(made))
    try:
        yield made
    finally:
        made.broker.answers.set()
        await made.pump.end()
        await work
        made.batches.close()


async def until(reached: Any) -> None:
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_fetch_is_acknowledged_only_after_all_that_came_of_it_is_written() -> None:
    async with line() as made:
        await made.pump.feed(fetch(0, 3))
        await until(lambda: made.broker.asked == 1)
        assert made.acknowledged == []
        made.broker.answers.set()
        await until(lambda: made.acknowledged == [2])
    assert made.broker.taken == [b"0", b"1", b"2"]


async def test_the_next_batch_is_computed_while_the_one_before_is_written_and_waits_its_turn() -> None:
    async with line(batch=10) as made:
        for first in (0, 10, 20):
            await made.pump.feed(fetch(first, 10))
        await until(lambda: made.stage.batches == [10, 10])
        assert made.broker.asked == 1
        made.broker.answers.set()
        await until(lambda: made.acknowledged == [9, 19, 29])
    assert made.broker.taken == [b"%d" % n for n in range(30)]


async def test_fetches_make_batches_no_larger_than_allowed() -> None:
    async with line(batch=10, linger_s=0.2) as made:
        made.broker.answers.set()
        for first, count in ((0, 4), (4, 4), (8, 4), (12, 10)):
            await made.pump.feed(fetch(first, count))
        await until(lambda: made.acknowledged == [3, 7, 11, 21])
    assert made.stage.batches == [8, 4, 10]


async def test_a_fetch_from_before_a_rebalance_is_left_to_whoever_owns_its_partition_now() -> None:
    async with line() as made:
        made.broker.answers.set()
        await made.pump.feed(fetch(0, 3, generation=0))
        await made.pump.feed(fetch(0, 3, generation=1))
        await until(lambda: made.acknowledged == [2])
    assert made.broker.taken == [b"0", b"1", b"2"]


async def test_what_is_under_way_is_finished_at_the_end_and_nothing_else_begun() -> None:
    made = Line(batch=5, linger_s=0.01)
    work = asyncio.create_task(made.pump.run(made))
    for first in (0, 5, 10):
        await made.pump.feed(fetch(first, 5))
    await until(lambda: made.stage.batches == [5, 5])
    await made.pump.end()
    await settle()
    assert not work.done()
    made.broker.answers.set()
    await work
    made.batches.close()
    assert made.acknowledged == [4, 9]
    assert made.stage.batches == [5, 5]
    assert made.fatal == []


async def test_it_ends_only_once_the_last_batch_is_acknowledged() -> None:
    made = Line(batch=5, linger_s=0.01)
    work = asyncio.create_task(made.pump.run(made))
    await made.pump.feed(fetch(0, 5))
    await until(lambda: made.broker.asked == 1)
    await made.pump.end()
    await settle()
    assert not work.done()
    made.broker.answers.set()
    await work
    made.batches.close()
    assert made.acknowledged == [4]


async def test_a_stage_is_told_what_stands_before_its_records_before_it_gets_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def read(_: KafkaSettings, topic: str, partition: int, start: int, end: int) -> list[Any]:
        assert (topic, partition) == ("in", 0)
        return fetch(start, end - start).message.records  # type: ignore[no-any-return]

    monkeypatch.setattr(batches, "read_stretch", read)
    async with line() as made:
        made.stage.unread = [Stretch(0, 7, 10)]
        made.broker.answers.set()
        await made.pump.feed(fetch(10, 3))
        await until(lambda: made.acknowledged == [12])
    assert made.stage.remembered == [7, 8, 9]


async def test_what_is_written_is_counted_by_outcome_and_a_dead_letter_lies_in_the_partition_of_its_record() -> None:
    records = [in_record(one) for one in fetch(0, 4).message.records]
    records = [replace(one, partition=one.offset) for one in records]
    found: list[Outcome] = [
        Result((OutRecord("out", 0, b"k", b"0"),)),
        Dropped(DropReason.REPEATED),
        Dropped(DropReason.REPEATED),
        DeadLetter.of(DeadReason.INVALID_JSON, "copy", "in[3]@3", "no", b"3", b"k"),
    ]
    assert [(one.topic, one.partition, one.value) for one in written(found, records)] == [
        ("out", 0, b"0"),
        (DEAD_LETTERS, 3, b"3"),
    ]
    async with line() as made:
        made.broker.answers.set()
        await made.batches.write(found, records)
    tally = made.batches.tally
    assert (tally.results, tally.drops, tally.dead) == (1, {"repeated": 2}, {"invalid_json": 1})


async def test_a_batch_that_cannot_be_written_is_fatal_at_once_also_when_nothing_follows() -> None:
    async with line() as made:
        made.broker.refuses = True
        made.broker.answers.set()
        await made.pump.feed(fetch(0, 3))
        await until(lambda: made.fatal)
        assert isinstance(made.fatal[0], NotWritten)
    assert made.acknowledged == []


@pytest.mark.parametrize("acknowledged", [[9], [9, 19], []])
def test_the_group_goes_on_behind_the_last_record_of_the_last_acknowledged_fetch(acknowledged: list[int]) -> None:
    consumer = FetchConsumer.__new__(FetchConsumer)
    consumer._acked = defaultdict(list, {HERE: list(acknowledged)})
    consumer._acked_index = defaultdict(set, {HERE: set(acknowledged)})
    assert consumer._new_offset(HERE) == (acknowledged[-1] + 1 if acknowledged else None)
    assert consumer._new_offset(HERE) is None
    assert not consumer._acked_index[HERE], "what is read and acknowledged again counts again"


class Reading(FetchConsumer):
    """A consumer without a broker: what it gets is said, what it does is noted."""

    def __init__(self, app: Any, bring: Any) -> None:
        self.app = app
        self._bring = bring
        self._buffered_partitions: set[TP] = set()
        self._read_offset = _NoOffsets()
        self.active = self.assigned = {HERE}
        self.at = 510
        self.seeks: list[int] = []

    should_stop = False
    flow_active = True

    async def _wait_next_records(self, timeout: float) -> Any:
        return self._bring(), self.active

    def assignment(self) -> set[TP]:
        return self.assigned

    async def position(self, tp: TP) -> int:
        return self.at

    async def _seek(self, tp: TP, offset: int) -> None:
        self.seeks.append(offset)


@pytest.mark.parametrize(("position", "seeks"), [(510, [500]), (120, [])])
async def test_records_that_came_while_a_rebalance_went_on_are_read_again(position: int, seeks: list[int]) -> None:
    app = SimpleNamespace(consumer_generation_id=1)

    def bring() -> Any:
        app.consumer_generation_id = 2
        return {HERE: fetch(500, 10).message.records}

    consumer = Reading(app, bring)
    consumer.at = position
    assert [found async for found in consumer.getmany(1.0)] == []
    assert consumer.seeks == seeks


@pytest.mark.parametrize("why", ["no flow", "paused", "taken away"])
async def test_so_are_records_that_came_while_nothing_was_to_be_read_unless_their_partition_is_gone(why: str) -> None:
    consumer = Reading(SimpleNamespace(consumer_generation_id=1), lambda: {HERE: fetch(500, 10).message.records})
    consumer.flow_active = why != "no flow"
    consumer.active = set() if why != "no flow" else {HERE}
    consumer.assigned = set() if why == "taken away" else {HERE}
    assert [found async for found in consumer.getmany(1.0)] == []
    assert consumer.seeks == ([] if why == "taken away" else [500])


async def test_a_fetch_is_one_message_with_the_offset_of_its_last_record() -> None:
    consumer = Reading(SimpleNamespace(consumer_generation_id=1), lambda: {HERE: fetch(500, 10).message.records})
    [(tp, message)] = [found async for found in consumer.getmany(1.0)]
    assert (tp, message.offset, message.generation_id, len(message.records)) == (HERE, 509, 1, 10)
    assert consumer.seeks == []


@pytest.mark.parametrize(
    ("headers", "is_replay"), [((), False), ((("traceparent", b"x"),), False), (((REPLAYED_HEADER, b"2@17"),), True)]
)
def test_a_record_keeps_kafkas_time_in_seconds_and_that_a_person_has_sent_it_again(
    headers: tuple[tuple[str, bytes], ...], is_replay: bool
) -> None:
    record = SimpleNamespace(
        topic="in", partition=3, offset=17, key=b"k", value=b"v", timestamp=1_777_636_800_123, headers=headers
    )
    assert in_record(record) == InRecord("in", 3, 17, b"k", b"v", 1_777_636_800.123, is_replay)


def test_nothing_is_dropped_for_having_been_read_before() -> None:
    noted = _NoOffsets()
    noted[HERE] = 600
    noted.update({HERE: 700})
    assert noted[HERE] is None

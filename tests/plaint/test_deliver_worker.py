"""The deliver worker in this process, on the embedded broker and on Apache Kafka."""

import asyncio

import pytest
from aiohttp import web
from aiokafka.errors import KafkaConnectionError

from plaint.kafka.publisher import OutRecord, Publisher
from route.delivery import dispatch
from route.delivery.entry import open_record, owner_record
from schemas import topics
from schemas.deadletter import DeadLetter
from schemas.reasons import DeadReason, DropReason
from tests.plaint.delivering import (
    Receiver,
    committed,
    delivering,
    histories,
    kafka_settings,
    make_topics,
    partition_of,
    read_topic,
    receiving,
    send,
    ticket,
    until,
    write,
)


@pytest.fixture
def name(fresh: str) -> str:
    """A destination of the test's own."""
    return f"desk-{fresh}"


async def test_tickets_of_all_partitions_arrive_once_and_are_remembered(broker: str, name: str) -> None:
    await make_topics(broker, name)
    await send(broker, *(ticket(n, name) for n in range(100)))
    async with receiving() as receiver, delivering(broker, name, receiver.url) as worker:
        await until(lambda: len(receiver.taken) == 100)
        await send(broker, *(ticket(n, name, "update", 1) for n in range(10)), ticket(50, name))
        await send(broker, ticket(11, name, "withdraw", 1), ticket(999, name, "withdraw", 1))
        await until(lambda: len(receiver.taken) == 111 and worker.counters.dropped.total() == 2)
    assert receiver.repeated == 0
    found = await histories(broker, name, 333)
    assert len(found) == 100
    assert {steps[-1].state for steps in found.values()} == {"done"}
    assert [step.state for step in found[ticket(99, name).key]] == ["accepted", "sending", "done"]
    assert found[ticket(99, name).key][-1].remote_id == ticket(99, name).key[:8]
    assert worker.counters.dropped[DropReason.REPEATED] == 1
    assert worker.counters.dropped[DropReason.NOTHING_TO_WITHDRAW] == 1
    assert await committed(broker, name) == 113


@pytest.mark.kafka
async def test_a_worker_goes_on_where_the_last_one_stopped(kafka: str, name: str) -> None:
    await make_topics(kafka, name)
    await send(kafka, *(ticket(n, name) for n in range(20)))
    async with receiving(answer=lambda n: 200 if n <= 10 else 503) as receiver:
        async with delivering(kafka, name, receiver.url, first_wait_s=0.5, tries=1000, concurrency=1):
            await until(lambda: len(receiver.requests) >= 15)
        assert len(receiver.taken) == 10
        receiver.answer = lambda _: 200
        await send(kafka, *(ticket(n, name) for n in range(25)))  # all again, and five new ones
        async with delivering(kafka, name, receiver.url) as worker:
            await until(lambda: len(receiver.taken) == 25 and worker.counters.dropped.total() == 20)
    assert receiver.repeated == 0
    assert worker.counters.dropped[DropReason.REPEATED] == 20


async def dead_letters(kafka: str, at_least: int) -> list[DeadLetter]:
    """Those of the topic, which other tests use as well, and not for dead letters only."""
    found = await read_topic(kafka, topics.DEAD_LETTERS, at_least)
    return [
        DeadLetter.from_kafka(record.key, record.value, record.headers)
        for record in found
        if any(name == "plaint-reason" for name, _ in record.headers)
    ]


@pytest.mark.kafka
async def test_poison_and_garbage_hold_nothing_up(kafka: str, name: str) -> None:
    """On both topics that it reads: each bad ticket is a dead letter, each bad record of the log is passed over."""
    await make_topics(kafka, name)
    log, key = topics.deliveries(name), ticket(1, name).key.encode()
    garbage = [(b"", b"{}"), (b"\xff", b"\xff"), (key, b"[]"), (b"_x", b"")]
    await write(kafka, [OutRecord(log, part, k, value) for part in range(4) for k, value in garbage])
    bad = [b"", b"null", b"{}", b"\x00" * 1000, b"y" * 300_000, ticket(1, "elsewhere").to_bytes()]
    await write(kafka, [OutRecord(topics.tickets(name), part, b"k", value) for part in range(4) for value in bad])
    await send(kafka, *(ticket(n, name) for n in range(8)))
    async with receiving() as receiver, delivering(kafka, name, receiver.url) as worker:
        await until(lambda: len(receiver.taken) == 8 and worker.counters.invalid == 24)
        assert worker.counters.unreadable == 16
    ours = [letter for letter in await dead_letters(kafka, 24) if f"tickets.{name}[" in letter.place]
    assert len({letter.place for letter in ours}) == 24
    assert {letter.reason for letter in ours} == {
        DeadReason.INVALID_JSON, DeadReason.INVALID_RECORD, DeadReason.TOO_LARGE,
    }  # fmt: skip


@pytest.mark.kafka
async def test_a_refusal_is_a_dead_letter_with_the_ticket_and_the_answer(kafka: str, name: str) -> None:
    await make_topics(kafka, name)
    await send(kafka, ticket(1, name))
    async with receiving(answer=lambda _: 422) as receiver, delivering(kafka, name, receiver.url) as worker:
        await until(lambda: worker.counters.dead.total() == 1)
    [letter] = [one for one in await dead_letters(kafka, 1) if one.key == ticket(1, name).key.encode()]
    assert (letter.reason, letter.stage) == (DeadReason.REFUSED, "deliver")
    assert letter.detail.startswith('422 {"id"')
    assert letter.value == ticket(1, name).to_bytes()
    last = (await histories(kafka, name, 3))[ticket(1, name).key][-1]
    assert (last.state, last.reason, last.status) == ("dead", DeadReason.REFUSED, 422)


@pytest.mark.kafka
async def test_too_many_unsettled_tickets_wait_in_kafka(kafka: str, name: str) -> None:
    await make_topics(kafka, name)
    await send(kafka, *(ticket(n, name) for n in range(3000)))
    async with (
        receiving(answer=lambda _: 503) as receiver,
        delivering(kafka, name, receiver.url, window=500, breaker_failures=3) as worker,
    ):
        await until(lambda: worker.is_window_full and worker.breaker.is_open)
        before = worker.counters.read
        await asyncio.sleep(1.0)  # five polls
        assert worker.counters.read == before < 2000
        receiver.answer = lambda _: 200
        await until(lambda: len(receiver.taken) == 3000)
    assert receiver.repeated == 0


@pytest.mark.kafka
async def test_bodies_of_far_off_tickets_are_read_back_from_the_log(
    kafka: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "FAR_S", 0.5)
    await make_topics(kafka, name)
    await send(kafka, *(ticket(n, name) for n in range(50)))
    async with receiving(answer=lambda n: 503 if n <= 50 else 200) as receiver:
        changed = {"first_wait_s": 3.0, "max_wait_s": 3.0, "breaker_failures": 1000}
        async with delivering(kafka, name, receiver.url, **changed) as worker:
            await until(lambda: worker.counters.requests == 50)
            await until(lambda: sum(lane.fold.held for lane in worker.lanes.values()) == 0)
            assert worker.counters.requests == 50  # none has been read back yet
            await until(lambda: len(receiver.taken) == 50)
    assert {step.text for step in [ticket(n, name) for n in range(50)]} == {
        steps[-2].ticket.text for steps in (await histories(kafka, name, 250)).values() if steps[-2].ticket
    }


@pytest.mark.kafka
async def test_a_newer_owner_deposes_and_an_owner_that_vanished_is_overcome(kafka: str, name: str) -> None:
    """A process that lost its place in the group may still write an owner record as it dies.

    The deposed owner sends nothing more, writes nothing of the request that was under way, and has forgotten nothing when
    it takes the partition back: not the edit that waited for that request, which is an update, since that may have arrived.
    """
    await make_topics(kafka, name)
    first = ticket(1, name)
    edit, partition = ticket(1, name, "update", 1), partition_of(first.key)
    later = next(n for n in range(2, 1000) if partition_of(ticket(n, name).key) == partition)
    may_answer = asyncio.Event()

    class Held(Receiver):
        async def take(self, request: web.Request) -> web.StreamResponse:
            answer = await super().take(request)
            await may_answer.wait()
            return answer

    def has_it_again() -> bool:
        assert len(worker.lanes) == 4 or len(receiver.requests) == 1
        return len(worker.lanes) == 4

    async with (
        receiving(Held) as receiver,
        Publisher(kafka_settings(kafka)) as publisher,
        delivering(kafka, name, receiver.url, timeout_s=3.0) as worker,
    ):
        await send(kafka, first)
        await until(lambda: len(receiver.requests) == 1)
        await publisher.publish([OutRecord(topics.tickets(name), partition, edit.key.encode(), edit.to_bytes())])
        await publisher.publish([OutRecord(topics.deliveries(name), partition, *owner_record("someone-else", 0.0))])
        await until(lambda: len(worker.lanes) == 3)
        may_answer.set()
        await send(kafka, ticket(later, name))
        await until(lambda: worker.counters.abandoned == 1)
        await until(has_it_again)
        await until(lambda: worker.counters.done == 2)
    assert receiver.taken == {f"{first.key}-0": 1, f"{first.key}-1": 1, f"{ticket(later, name).key}-0": 1}


@pytest.mark.kafka
async def test_what_another_owner_took_on_while_this_one_delivered_is_not_forgotten_when_it_has_the_partition_again(
    kafka: str, name: str
) -> None:
    """The other one has acknowledged the ticket, so that nothing but the log tells of it."""
    await make_topics(kafka, name)
    one = ticket(1, name)
    partition = partition_of(one.key)
    log = [
        open_record(
            one.key,
            "accepted",
            epoch=-1,
            revision=0,
            op="create",
            attempt=0,
            due=0.0,
            created=False,
            at=0.0,
            body=one.to_bytes(),
        ),
        owner_record("someone-else", 0.0),
    ]
    async with receiving() as receiver, delivering(kafka, name, receiver.url) as worker:
        await until(lambda: len(worker.lanes) == 4)
        await write(kafka, [OutRecord(topics.deliveries(name), partition, *record) for record in log])
        await until(lambda: len(worker.lanes) == 3)
        assert not receiver.requests
        await until(lambda: worker.counters.done == 1)
    assert receiver.taken == {f"{one.key}-0": 1}


@pytest.mark.kafka
async def test_it_can_be_stopped_before_it_has_joined_its_group(kafka: str, name: str) -> None:
    await make_topics(kafka, name)
    async with receiving() as receiver, asyncio.timeout(60), delivering(kafka, name, receiver.url):
        pass


@pytest.mark.kafka
async def test_two_workers_share_the_partitions_and_hand_them_over_without_a_repeat(kafka: str, name: str) -> None:
    await make_topics(kafka, name)
    async with receiving(delay_s=0.1) as receiver, delivering(kafka, name, receiver.url, concurrency=8) as one:
        await send(kafka, *(ticket(n, name) for n in range(100)))
        await until(lambda: len(receiver.taken) > 10)
        async with delivering(kafka, name, receiver.url, concurrency=8) as two:
            await until(lambda: len(two.lanes) == 2)
            await send(kafka, *(ticket(n, name) for n in range(100, 200)))
            await until(lambda: len(receiver.taken) > 150)
        await until(lambda: len(receiver.taken) == 200)
    assert receiver.repeated == 0
    assert two.counters.done > 0
    assert one.counters.abandoned == two.counters.abandoned == 0


@pytest.mark.kafka
async def test_tickets_that_keep_coming_while_workers_join_and_leave_all_arrive(kafka: str, name: str) -> None:
    """What was fetched just before or after a rebalance is thrown away and must be read again."""
    await make_topics(kafka, name)
    sent, over = 0, asyncio.Event()

    async def feed() -> None:
        nonlocal sent
        while not over.is_set():
            await send(kafka, *(ticket(n, name) for n in range(sent, sent + 40)))
            sent += 40

    async with receiving() as receiver:
        feeding = asyncio.create_task(feed())
        async with delivering(kafka, name, receiver.url) as one:
            for _ in range(4):
                async with delivering(kafka, name, receiver.url) as two:
                    await until(lambda two=two: len(two.lanes) == 2 and two.counters.done > 20)  # type: ignore[misc]
                await until(lambda: len(one.lanes) == 4)
            over.set()
            await feeding
            await until(lambda: len(receiver.taken) == sent)
    assert receiver.repeated == 0


async def test_no_broker_is_told(name: str) -> None:
    with pytest.raises(KafkaConnectionError):
        async with delivering("127.0.0.1:1", name, "http://127.0.0.1:1/"):
            await asyncio.sleep(0.5)

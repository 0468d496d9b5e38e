"""Delivery made safe, on real brokers: limits that workers share, destinations that are off, secrets that change."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from plaint.lookup.tickets import WantedTickets, list_tickets
from plaint.switches import NoLog, SwitchState, switch_states, turn
from schemas import topics
from schemas.delivery import OWNER_KEY, SWITCH_KEY, Delivery
from schemas.ticket import Ticket
from tests.plaint.delivering import (
    OTHER_SECRET,
    PARTITIONS,
    SECRET,
    Receiver,
    delivering,
    destination,
    histories,
    kafka_settings,
    make_topics,
    read_topic,
    receiving,
    send,
    ticket,
    until,
)
from tests.support.deliver_process import DeliverProcess


@pytest.fixture
def name(fresh: str) -> str:
    """A destination of the test's own."""
    return f"desk-{fresh}"


def low(number: int, name: str) -> Ticket:
    return ticket(number, name).model_copy(update={"priority": "low"})


def most_in_a_minute(receiver: Receiver) -> int:
    times = sorted(at for at, _ in receiver.requests)
    return max(sum(at <= other < at + 60 for other in times) for at in times)


async def test_an_urgent_ticket_behind_a_backlog_of_low_ones_in_kafka_does_not_wait_for_it(
    broker: str, name: str
) -> None:
    await make_topics(broker, name)
    await send(broker, *(low(n, name) for n in range(3000)))
    urgent = ticket(9999, name).model_copy(update={"priority": "urgent"})
    await send(broker, urgent)
    async with receiving() as receiver, delivering(broker, name, receiver.url, window=200, max_per_minute=60) as worker:
        await until(lambda: f"{urgent.key}-0" in receiver.taken)
        assert len(receiver.taken) <= 60
        await until(lambda: sum(lane.fold.held for lane in worker.lanes.values()) <= 200)
        await until(lambda: worker.waiting > 2900)
        assert worker.counters.dead.total() == 0


@pytest.mark.kafka
async def test_more_than_the_backlog_waits_in_kafka_unseen(kafka: str, name: str) -> None:
    await make_topics(kafka, name)
    await send(kafka, *(low(n, name) for n in range(3000)))
    limits = {"window": 200, "backlog": 1000, "max_per_minute": 60}
    async with receiving() as receiver, delivering(kafka, name, receiver.url, **limits) as worker:
        await until(lambda: worker.counters.read >= 1000)
        await asyncio.sleep(0.8)  # four polls
        assert worker.counters.read < 3000


@pytest.mark.kafka
async def test_workers_that_join_leave_and_start_again_share_one_limit(kafka: str, name: str) -> None:
    await make_topics(kafka, name)
    await send(kafka, *(ticket(n, name) for n in range(300)))
    async with receiving() as receiver:
        async with delivering(kafka, name, receiver.url, max_per_minute=40) as one:
            await until(lambda: len(receiver.taken) >= 15)
            async with delivering(kafka, name, receiver.url, max_per_minute=40) as two:
                await until(lambda: len(two.lanes) == len(one.lanes) == 2)
                await send(kafka, *(ticket(n, name).model_copy(update={"priority": "urgent"}) for n in range(300, 400)))
                await until(lambda: two.counters.done > 0)
                await asyncio.sleep(1.0)
        async with delivering(kafka, name, receiver.url, max_per_minute=40) as three:
            await until(lambda: len(three.lanes) == PARTITIONS)
            await asyncio.sleep(1.0)
    assert len(receiver.requests) > 20
    assert most_in_a_minute(receiver) <= 40


async def test_on_the_embedded_broker_a_destination_is_turned_off_and_on_too(tansu: str, name: str) -> None:
    await make_topics(tansu, name)
    await send(tansu, *(ticket(n, name) for n in range(20)))
    async with receiving(answer=lambda _: 410) as receiver, delivering(tansu, name, receiver.url) as worker:
        await until(lambda: worker.disabled is not None)
        [state] = await switch_states(kafka_settings(tansu), [name])
        assert state.disabled is not None
        receiver.answer = lambda _: 200
        await turn(kafka_settings(tansu), name, None)
        await until(lambda: len(receiver.taken) == 20)
        assert await switch_states(kafka_settings(tansu), [name]) == [SwitchState(name, None)]


@pytest.mark.kafka
async def test_a_destination_that_is_gone_stays_off_over_a_restart_until_it_is_enabled(kafka: str, name: str) -> None:
    await make_topics(kafka, name)
    await send(kafka, *(ticket(n, name) for n in range(20)))
    settings = kafka_settings(kafka)
    async with receiving(answer=lambda _: 410) as receiver:
        async with delivering(kafka, name, receiver.url, tries=1) as worker:
            await until(lambda: worker.disabled is not None)
        asked = len(receiver.requests)
        [state] = await switch_states(settings, [name])
        assert state.disabled is not None
        assert state.disabled.status == 410
        assert state.disabled.reason.startswith("it answered that it is gone: 410")
        rows, _, off = await list_tickets(settings, [name], WantedTickets())
        assert {row.hold for row in rows} == {off[name]}
        assert (off[name].by, off[name].why, off[name].status) == ("answers", state.disabled.reason, 410)
        receiver.answer = lambda _: 200
        async with delivering(kafka, name, receiver.url, tries=1) as worker:
            await until(lambda: len(worker.lanes) == PARTITIONS)
            await send(kafka, ticket(20, name))
            await until(lambda: worker.counters.read >= 1)
            assert worker.disabled is not None
            assert len(receiver.requests) == asked
            await turn(settings, name, None)
            await until(lambda: len(receiver.taken) == 21 and worker.disabled is None)
            assert await switch_states(settings, [name]) == [SwitchState(name, None)]
            assert worker.counters.dead.total() == 0
    log = await read_topic(kafka, topics.deliveries(name), 60)
    said = [Delivery.from_bytes(record.value).state for record in log if record.key == SWITCH_KEY.encode()]
    assert said.count("enabled") == PARTITIONS
    assert {steps[-1].state for steps in (await histories(kafka, name, 60)).values() if steps[-1].ticket} <= {"done"}


@pytest.mark.kafka
async def test_another_address_needs_no_enabling(kafka: str, name: str) -> None:
    await make_topics(kafka, name)
    await send(kafka, ticket(1, name))
    async with receiving(answer=lambda _: 410) as gone, receiving() as moved:
        async with delivering(kafka, name, gone.url) as worker:
            await until(lambda: worker.disabled is not None)
        async with delivering(kafka, name, moved.url) as worker:
            await until(lambda: len(moved.taken) == 1)
            assert worker.disabled is None

            async def is_on() -> bool:
                [state] = await switch_states(kafka_settings(kafka), [name])
                return state.disabled is None and state.refused is not None

            await until(is_on)


@pytest.mark.kafka
async def test_what_one_worker_learns_and_what_a_person_says_all_workers_obey(kafka: str, name: str) -> None:
    await make_topics(kafka, name)
    async with (
        receiving() as receiver,
        delivering(kafka, name, receiver.url) as one,
        delivering(kafka, name, receiver.url) as two,
    ):
        await until(lambda: len(one.lanes) == len(two.lanes) == 2)
        await turn(kafka_settings(kafka), name, "maintenance \x1b[31m")
        await until(lambda: one.disabled is not None and two.disabled is not None)
        await send(kafka, *(ticket(n, name) for n in range(20)))
        await until(lambda: one.counters.read + two.counters.read == 20)
        assert not receiver.requests
        await turn(kafka_settings(kafka), name, None)
        await until(lambda: len(receiver.taken) == 20)
        receiver.answer = lambda _: 410
        await send(kafka, ticket(20, name))
        await until(lambda: one.disabled is not None and two.disabled is not None)
        assert one.counters.disabled + two.counters.disabled == 1
    assert one.counters.unreadable == two.counters.unreadable == 0


@pytest.mark.kafka
async def test_a_destination_without_a_log_is_told_and_gets_none(kafka: str, name: str) -> None:
    assert await switch_states(kafka_settings(kafka), [name]) == [SwitchState(name, None)]
    with pytest.raises(NoLog, match="topics --create"):
        await turn(kafka_settings(kafka), name, "why not")


async def test_a_secret_is_rotated_without_a_restart(new_tansu: str, name: str, tmp_path: Path) -> None:
    """The receiver knows the old one, then either, then the new one only: no ticket is refused meanwhile."""
    file = tmp_path / "secret"
    known = [SECRET]
    signed: list[int] = []

    class Checking(Receiver):
        async def take(self, request):  # type: ignore[no-untyped-def]
            body = await request.read()
            signed.append(len(request.headers["webhook-signature"].split()))
            for secret in known:
                try:
                    Verifier(secret).verify(body, request.headers)
                except WebhookVerificationError:
                    continue
                return await super().take(request)
            raise AssertionError("signed with no key that the receiver knows")

    async def rotate(text: str, keys: int) -> None:
        draft = tmp_path / "draft"
        draft.write_text(text)
        draft.replace(file)
        sent = 0
        async with asyncio.timeout(60):
            while not signed or signed[-1] != keys:
                rotate.number += 1  # type: ignore[attr-defined]
                sent += 1
                before = len(receiver.taken)
                await send(new_tansu, ticket(rotate.number, name))  # type: ignore[attr-defined]
                await until(lambda before=before: len(receiver.taken) > before)  # type: ignore[misc]

    rotate.number = 0  # type: ignore[attr-defined]
    file.write_text(SECRET)
    await make_topics(new_tansu, name)
    async with receiving(Checking) as receiver:
        settings: dict[str, Any] = {"secret": None, "secret_file": file, "tries": 1, "breaker_failures": 1}
        async with delivering(new_tansu, name, receiver.url, **settings) as worker:
            await rotate(SECRET, 1)
            await rotate(f"{OTHER_SECRET}\n{SECRET}\n", 2)
            known[:] = [OTHER_SECRET]
            await rotate("whsec_broken", 2)  # half written, say: what is there goes on
            await rotate(OTHER_SECRET, 1)
            assert worker.counters.dead.total() == worker.counters.breaker_opened == 0


@pytest.mark.kafka
async def test_what_was_sent_before_a_restart_counts_for_the_minute_and_the_hour(kafka: str, name: str) -> None:
    await make_topics(kafka, name)
    loud = {"id": "acct:loud"}
    for n in range(12):
        await send(kafka, Ticket.model_validate({**ticket(n, name).model_dump(), "author": loud, "priority": "urgent"}))
    async with receiving() as receiver:
        limits = {"max_per_minute": 8, "max_per_author_per_hour": 5}
        async with delivering(kafka, name, receiver.url, **limits):
            await until(lambda: len(receiver.taken) == 5)
        began = time.monotonic()
        async with delivering(kafka, name, receiver.url, **limits) as worker:
            await until(lambda: worker.counters.author_capped == 7)
            calm = (
                Ticket.model_validate({**ticket(n, name).model_dump(), "priority": "urgent"}) for n in range(50, 60)
            )
            await send(kafka, *calm)
            await until(lambda: len(receiver.taken) >= 7 and worker.counters.read >= 10)
            await asyncio.sleep(0.5)
            assert len(receiver.taken) <= 8
            assert time.monotonic() - began < 50
    owners = [
        record for record in await read_topic(kafka, topics.deliveries(name), 8) if record.key == OWNER_KEY.encode()
    ]
    assert len(owners) == 2 * PARTITIONS


@pytest.mark.kafka
async def test_sighup_reads_the_secret_again_and_ends_nothing(kafka: str, name: str, tmp_path: Path) -> None:
    await make_topics(kafka, name)
    file = tmp_path / "secret"
    file.write_text(SECRET)
    brokers = {"brokers": [kafka], "session_timeout_s": 6, "heartbeat_s": 1, "rebalance_timeout_s": 20}
    async with receiving() as receiver:
        settings = destination(receiver.url, secret=None, secret_file=str(file))
        worker = DeliverProcess(tmp_path / "log", name, brokers, settings)
        try:
            await send(kafka, ticket(1, name))
            await until(lambda: len(receiver.taken) == 1)
            file.write_text(f"{OTHER_SECRET}\n{SECRET}")
            worker.process.send_signal(signal.SIGHUP)
            await until(lambda: "each request is signed with 2" in worker.log.read_text())
            await send(kafka, ticket(2, name))
            await until(lambda: len(receiver.taken) == 2)
        finally:
            assert await asyncio.to_thread(worker.end) == 0

"""Deliver workers as processes that are killed, stopped and woken, or that can't write, on Apache Kafka."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from schemas import topics
from tests.plaint.delivering import Receiver, destination, histories, make_topics, receiving, send, ticket, until
from tests.support.deliver_process import DeliverProcess

pytestmark = pytest.mark.kafka

REQUEST_S = 120
"""For as long as this the producer would try again."""
Start = Callable[..., DeliverProcess]


@pytest.fixture
def name(fresh: str) -> str:
    """A destination of the test's own."""
    return f"desk-{fresh}"


@pytest.fixture
async def start(kafka: str, name: str, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts workers of the destination; they are gone after the test."""
    await make_topics(kafka, name)
    started: list[DeliverProcess] = []
    settings = {"brokers": [kafka], "session_timeout_s": 6, "heartbeat_s": 1, "rebalance_timeout_s": 20}

    def one(url: str, instance: str | None = None, **changed: Any) -> DeliverProcess:
        log = tmp_path / f"worker{len(started)}.log"
        started.append(DeliverProcess(log, name, settings, destination(url, **changed), instance))
        return started[-1]

    yield one
    for process in started:
        if process.process.poll() is None:
            process.go_on()
            process.kill()


async def test_kill_9_again_and_again_loses_nothing_and_repeats_only_what_was_under_way(
    kafka: str, name: str, start: Start
) -> None:
    rng, concurrency, kills = random.Random(7), 8, 4
    async with receiving(delay_s=0.02, answer=lambda _: 500 if rng.random() < 0.1 else 200) as receiver:
        worker = start(receiver.url, instance=name, concurrency=concurrency, breaker_failures=1000)
        for kill in range(kills):
            await send(kafka, *(ticket(n, name) for n in range(kill * 200, kill * 200 + 200)))
            before = len(receiver.taken)
            await until(lambda before=before: len(receiver.taken) > before + 60)  # type: ignore[misc]
            worker.kill()
            worker.restart()
        await until(lambda: len(receiver.taken) == 800)
        await until(lambda: _all_done(kafka, name, 800))
        assert worker.end() == 0
    assert receiver.repeated <= kills * concurrency
    for steps in (await histories(kafka, name, 800)).values():
        states = [step.state for step in steps]
        assert states.index("done") == len(states) - 1


async def test_a_worker_that_was_stopped_for_longer_than_its_session_sends_nothing_when_it_wakes(
    kafka: str, name: str, start: Start
) -> None:
    async with receiving(delay_s=0.05) as theirs, receiving(delay_s=0.05) as ours:
        zombie = start(theirs.url, concurrency=4, timeout_s=1.0)
        await send(kafka, *(ticket(n, name) for n in range(400)))
        await until(lambda: len(theirs.taken) > 50)
        zombie.pause()
        other = start(ours.url, concurrency=16, timeout_s=1.0)
        await until(lambda: len(theirs.taken.keys() | ours.taken.keys()) == 400)
        sent = len(theirs.requests)
        zombie.go_on()
        await send(kafka, *(ticket(n, name) for n in range(400, 600)))
        await until(lambda: len(theirs.taken.keys() | ours.taken.keys()) == 600)
        await until(lambda: _all_done(kafka, name, 600))
        later = [webhook_id for _, webhook_id in theirs.requests[sent:]]
        assert zombie.end() == other.end() == 0
    old = {f"{ticket(n, name).key}-0" for n in range(400)}
    assert not old.intersection(later)
    assert _sent_twice(theirs, ours) <= 4  # what was under way when it was stopped


async def _all_done(kafka: str, name: str, count: int) -> bool:
    found = await histories(kafka, name, count)
    return len(found) == count and {steps[-1].state for steps in found.values()} == {"done"}


def _sent_twice(*receivers: Receiver) -> int:
    total = sum(receiver.taken.total() for receiver in receivers)
    return total - len({webhook_id for receiver in receivers for webhook_id in receiver.taken})


async def test_sigterm_finishes_what_is_under_way(kafka: str, name: str, start: Start) -> None:
    async with receiving(delay_s=0.3) as receiver:
        worker = start(receiver.url, concurrency=8)
        await send(kafka, *(ticket(n, name) for n in range(60)))
        await until(lambda: len(receiver.requests) > 10)
        assert await asyncio.to_thread(worker.end) == 0
        asked = len(receiver.requests)
        assert len(receiver.taken) == asked  # every request got its answer
        worker.restart()
        await until(lambda: len(receiver.taken) == 60)
    assert receiver.repeated == 0


async def test_a_log_that_takes_no_record_ends_the_process_at_once_and_says_why(
    kafka: str, name: str, start: Start
) -> None:
    await asyncio.to_thread(_take_records_up_to, 500, kafka, topics.deliveries(name))
    async with receiving() as receiver:
        worker = start(receiver.url)
        await send(kafka, ticket(1, name).model_copy(update={"text": "x" * 5000}))
        await until(lambda: worker.process.poll() is not None, timeout_s=REQUEST_S / 2)
    assert worker.process.returncode == 70
    assert "ends at once: NotWritten: plaint.deliveries" in worker.log.read_text()
    assert not receiver.requests


def _take_records_up_to(size: int, kafka: str, topic: str) -> None:
    client = KafkaAdminClient(bootstrap_servers=kafka)
    client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": str(size)})])
    client.close()

"""Brokers that take a connection and say nothing, as a broker that hangs does: who has others asks them."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NoReturn

import pytest
from aiokafka import AIOKafkaConsumer
from kafka.errors import KafkaTimeoutError

from plaint.kafka import answering
from plaint.kafka.admin import BrokerAway, open_admin
from plaint.kafka.publisher import OutRecord, Publisher
from plaint.kafka.reading import TopicReader
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from schemas.topics import POSTS
from tests.plaint.delivering import until
from tests.support.kafka_process import KafkaProcess


@pytest.fixture
def kafka(tansu: str) -> Iterator[KafkaSettings]:
    """Five brokers of which one answers; clients ask them in an order of their own."""
    with ExitStack() as held:
        silent = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(4)]
        brokers = (*(f"127.0.0.1:{one.getsockname()[1]}" for one in silent), tansu)
        yield KafkaSettings(brokers=brokers, idempotent_producer=False)


def test_the_topics_are_found_by_the_one_broker_that_answers(kafka: KafkaSettings) -> None:
    *_, one, other, answers = kafka.brokers
    # The two that say nothing take 6 of the 8 s.
    with open_admin(kafka.model_copy(update={"brokers": (one, other, answers)}), 8) as admin:
        assert len(admin.describe_cluster()["brokers"]) == 1


def test_each_of_many_has_the_time_that_one_far_away_needs(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def fail(kafka: KafkaSettings, broker: str, limit_s: float, timeout_s: float) -> NoReturn:
        given.append(limit_s)
        raise KafkaTimeoutError

    monkeypatch.setattr("plaint.kafka.admin._connected", fail)
    with pytest.raises(BrokerAway), open_admin(kafka, 8):
        pass
    assert given == pytest.approx([4, 4, 4, 4, 8], abs=0.5)  # none took any of it


async def test_who_writes_and_who_reads_passes_over_those_that_do_not_answer(
    kafka: KafkaSettings, tansu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "CONNECT_S", 0.5)
    ensure_topics(kafka.model_copy(update={"brokers": (tansu,)}), [])
    began = time.monotonic()
    async with Publisher(kafka) as publisher:
        await publisher.publish([OutRecord(POSTS, 0, b"key", b"value")])
    async with TopicReader(kafka) as reader:
        assert (await reader.partitions([POSTS]))[POSTS]
    assert time.monotonic() - began < 30, "one that says nothing may take two minutes elsewhere"


@pytest.mark.kafka
async def test_a_broker_that_falls_silent_is_asked_anew_and_a_record_that_it_had_taken_stands_there_once(
    new_kafka: Callable[..., KafkaProcess], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(answering, "ANSWER_S", 1.0)
    node = new_kafka()
    kafka = KafkaSettings(brokers=(node.bootstrap,))
    ensure_topics(kafka, [])
    async with Publisher(kafka) as publisher:
        await publisher.append(POSTS, 0, [OutRecord(POSTS, 0, b"key", b"before")])
        node.pause()
        written = asyncio.create_task(publisher.append(POSTS, 0, [OutRecord(POSTS, 0, b"key", b"meanwhile")]))
        await until(lambda: "RequestTimedOutError" in caplog.text)
        node.resume()
        assert await written == [1]
        assert await publisher.append(POSTS, 0, [OutRecord(POSTS, 0, b"key", b"after")]) == [2]


@pytest.mark.kafka
async def test_a_group_may_take_longer_to_gather_than_any_other_answer(
    new_kafka: Callable[..., KafkaProcess], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(answering, "ANSWER_S", 2.5)
    answering.give_up_the_silent()
    node = new_kafka(properties={"group.initial.rebalance.delay.ms": "3000"})
    ensure_topics(KafkaSettings(brokers=(node.bootstrap,)), [])
    consumer = AIOKafkaConsumer(POSTS, bootstrap_servers=node.bootstrap, group_id="slow")
    await consumer.start()
    await until(lambda: len(consumer.assignment()) == 4)
    await consumer.stop()
    assert "RequestTimedOutError" not in caplog.text

"""Two processes under one PLAINT_INSTANCE: that they throw each other out is named, a restart under the same name is not."""

import asyncio
from contextlib import suppress

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from plaint.workers.delivering.consumer import tickets_consumer
from schemas import topics
from tests.plaint.delivering import kafka_settings, make_topics, until

pytestmark = pytest.mark.kafka


def named(bootstrap: str, name: str) -> AIOKafkaConsumer:
    """A member of the group of a destination's workers, which all have one name."""
    consumer = tickets_consumer(kafka_settings(bootstrap), name, "pod-0")
    consumer.subscribe([topics.tickets(name)])
    return consumer


async def keep_reading(bootstrap: str, name: str) -> None:
    """Read until cancelled; who ends for another reason meanwhile is started again, as an orchestrator does."""
    while True:
        consumer = named(bootstrap, name)
        try:
            with suppress(KafkaError):
                await consumer.start()
                while True:
                    await consumer.getmany(timeout_ms=200)
        finally:
            await consumer.stop()


def said(caplog: pytest.LogCaptureFixture, name: str) -> bool:
    return f"another process of group plaint-deliver-{name} runs with PLAINT_INSTANCE=pod-0" in caplog.text


async def test_two_processes_with_one_name_say_that_there_is_another(
    kafka: str, fresh: str, caplog: pytest.LogCaptureFixture
) -> None:
    await make_topics(kafka, fresh)
    both = [asyncio.create_task(keep_reading(kafka, fresh)) for _ in range(2)]
    try:
        await until(lambda: said(caplog, fresh))
    finally:
        for reading in both:
            reading.cancel()
        await asyncio.wait(both)


async def test_a_process_that_comes_back_under_its_name_says_nothing(
    kafka: str, fresh: str, caplog: pytest.LogCaptureFixture
) -> None:
    await make_topics(kafka, fresh)
    for offset in range(2):
        consumer = named(kafka, fresh)
        await consumer.start()
        await consumer.commit({TopicPartition(topics.tickets(fresh), 0): offset})
        await consumer.stop()
    assert not said(caplog, fresh)

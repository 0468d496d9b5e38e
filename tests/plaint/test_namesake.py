"""Two processes under one PLAINT_INSTANCE: that they throw each other out is named, a restart under the same name is not."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from plaint.workers.delivering.consumer import tickets_consumer
from schemas import topics
from tests.plaint.delivering import kafka_settings, make_topics, until

pytestmark = pytest.mark.kafka


def named(bootstrap: str, name: str) -> AIOKafkaConsumer:
    """A member of the group of a destination's workers, which all have one name."""
    consumer = tickets_consumer(kafka_settings(bootstrap), name, "pod-0")
    consumer.subscribe([topics.tickets(name)])
    return consumer


async def read(consumer: AIOKafkaConsumer) -> None:
    """Read until cancelled."""
    await consumer.start()
    while True:
        await consumer.getmany(timeout_ms=200)


def said(caplog: pytest.LogCaptureFixture, name: str) -> bool:
    return f"another process of group plaint-deliver-{name} runs with PLAINT_INSTANCE=pod-0" in caplog.text


async def test_two_processes_with_one_name_say_that_there_is_another(
    kafka: str, fresh: str, caplog: pytest.LogCaptureFixture
) -> None:
    await make_topics(kafka, fresh)
    both = [named(kafka, fresh) for _ in range(2)]
    reading = [asyncio.create_task(read(one)) for one in both]
    await until(lambda: said(caplog, fresh))
    for task, consumer in zip(reading, both, strict=True):
        task.cancel()
        await consumer.stop()


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

"""A Kafka that is stopped in order while records flow: those who write rest until it is back, and lose nothing."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import pytest

from plaint.kafka.publisher import OutRecord, Publisher
from plaint.kafka.settings import KafkaSettings
from schemas import topics
from tests.plaint.delivering import make_topics, until
from tests.support.kafka_process import KafkaProcess

pytestmark = pytest.mark.kafka

NAME = "desk"


async def test_who_writes_asks_once_a_second_whether_a_stopped_kafka_is_back_and_goes_on_then(
    new_kafka: Callable[..., KafkaProcess], caplog: pytest.LogCaptureFixture
) -> None:
    node = new_kafka()
    await make_topics(node.bootstrap, NAME)
    publisher = Publisher(KafkaSettings(brokers=(node.bootstrap,)))
    await publisher.start()
    written = [0] * 4
    flows = [asyncio.create_task(_flow(publisher, number, written)) for number in range(4)]
    await until(lambda: all(written))
    await asyncio.to_thread(node.stop)
    caplog.clear()
    await until(lambda: len(_refused(caplog)) >= 4)
    refused = _refused(caplog)
    assert refused[3].created - refused[0].created > 2.5
    before = list(written)
    await asyncio.to_thread(node.start)
    await until(lambda: all(now > then + 1 for now, then in zip(written, before, strict=True)))
    for flow in flows:
        flow.cancel()
        with suppress(asyncio.CancelledError):
            await flow
    await publisher.stop()


async def _flow(publisher: Publisher, partition: int, written: list[int]) -> None:
    record = OutRecord(topics.tickets(NAME), partition, b"key", b"value")
    while True:
        await publisher.append(record.topic, partition, [record])
        written[partition] += 1


def _refused(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.msg.startswith("Unable to update metadata")]

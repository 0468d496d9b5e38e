"""Reading a stretch of a partition again, apart from any group."""

from typing import Any

from aiokafka import TopicPartition

from plaint.kafka.consumer import new_consumer
from plaint.kafka.settings import KafkaSettings


async def read_stretch(kafka: KafkaSettings, topic: str, partition: int, start: int, end: int) -> list[Any]:
    """The records from offset ``start`` to before ``end``, of which ``end`` exists; less where the topic no longer has them.

    Raises aiokafka.errors.KafkaError if the broker doesn't give them.
    """
    found: list[Any] = []
    where = TopicPartition(topic, partition)
    consumer = new_consumer(kafka)
    await consumer.start()
    try:
        consumer.assign([where])
        consumer.seek(where, start)
        while not found or found[-1].offset < end:
            found += (await consumer.getmany(timeout_ms=1000, max_records=2000)).get(where, [])
    finally:
        await consumer.stop()
    return [record for record in found if record.offset < end]

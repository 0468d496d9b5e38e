"""Writes down that a destination is disabled, or enabled again."""

from plaint.kafka.publisher import OutRecord, Publisher
from route.delivery.switch import Word, switch_record
from schemas import topics


async def write_switch(publisher: Publisher, destination: str, word: Word, at: float) -> None:
    """Return once it stands in every partition of the log: a process reads those that it owns. Raises NotWritten."""
    topic = topics.deliveries(destination)
    record = switch_record(word, at)
    numbers = range(await publisher.partitions(topic))
    await publisher.publish(OutRecord(topic, number, record.key, record.value) for number in numbers)

"""Publishing whole batches: one aiokafka producer a process, one request a partition, an answer only once all is written."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from plaint.kafka.answering import give_up_the_silent
from plaint.kafka.resting import rest_while_away
from plaint.kafka.settings import KafkaSettings
from schemas.deadletter import Header

MAX_BATCH_BYTES = 1000 * 1000
"""Under the 1 MiB that a default broker takes, its own framing included."""


class OutRecord(NamedTuple):
    """One record to write. ``partition`` is explicit: a post keeps the partition that it came in on. ``timestamp`` is in
    milliseconds since 1970; None is now.
    """

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: Sequence[Header] = ()
    timestamp: int | None = None


class NotWritten(Exception):
    """The broker did not take the records, or not in time: what they came from must not be acknowledged."""


class Publisher:
    """Writes batches with acks=all. Not for use from several event loops."""

    def __init__(self, kafka: KafkaSettings) -> None:
        rest_while_away()
        give_up_the_silent()
        self._kafka = kafka
        self._producer: AIOKafkaProducer

    @property
    def user_key(self) -> str:
        """The setting that says who this is to the brokers."""
        return self._kafka.user_key

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connect. Raises aiokafka.errors.KafkaConnectionError if no broker answers."""
        self._producer = AIOKafkaProducer(
            **self._kafka.connection(),
            acks="all",
            enable_idempotence=self._kafka.idempotent_producer,
            request_timeout_ms=120_000,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_BATCH_BYTES + 48_000,
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Write what is under way and disconnect."""
        await self._producer.stop()

    async def partitions(self, topic: str) -> int:
        """How many partitions ``topic`` has. Raises aiokafka.errors.KafkaError if the broker doesn't say."""
        return len(await self._producer.partitions_for(topic))

    async def publish(self, records: Iterable[OutRecord]) -> None:
        """Return once every record is acknowledged by the broker. Raises NotWritten if one isn't."""
        by_partition: dict[tuple[str, int], list[OutRecord]] = defaultdict(list)
        for record in records:
            by_partition[record.topic, record.partition].append(record)
        await asyncio.gather(*(self.append(topic, part, found) for (topic, part), found in by_partition.items()))

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> list[int]:
        """Write to one partition, in order; the offset of each record. Raises NotWritten.

        Calls for the same partition must not overlap: the order of the records is the order of the calls.
        """
        offsets: list[int] = []
        while len(offsets) < len(records):
            batch = self._producer.create_batch()
            count = len(offsets)
            while count < len(records):
                record = records[count]
                headers = list(record.headers)
                if (
                    batch.append(key=record.key, value=record.value, timestamp=record.timestamp, headers=headers)
                    is None
                ):
                    break
                count += 1
            if count == len(offsets):
                raise NotWritten(f"a record of {len(records[count].value)} bytes does not fit into a batch")
            batch.close()
            try:
                there = await self._producer.partitions_for(topic)
                if partition not in there:
                    raise NotWritten(_lacks(topic, partition, len(there)))
                written = await self._producer.send_batch(batch, topic, partition=partition)
                base = (await written).offset
            except KafkaError as error:
                raise NotWritten(f"{topic}[{partition}]: {error!r}") from error
            offsets += range(base, base + count - len(offsets))
        return offsets


def _lacks(topic: str, partition: int, count: int) -> str:
    return (
        f"{topic} has {count} partitions, none of the number {partition}: another topic of plaint has more, and all must "
        "have kafka.partitions, for as long as they live; `plaint doctor topics` names those that differ"
    )

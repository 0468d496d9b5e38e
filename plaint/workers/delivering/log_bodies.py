"""Reads single records of the delivery log back: tickets whose next try was far off are not kept in memory."""

import asyncio
from collections import defaultdict

from aiokafka import AIOKafkaConsumer, TopicPartition

from plaint.kafka.consumer import new_consumer
from plaint.kafka.settings import KafkaSettings
from schemas import topics

PATIENCE_S = 120.0
"""As long as a write may take: a broker that is being restarted is no reason to end."""

Record = tuple[bytes, bytes]


class BodyMissing(Exception):
    """The log does not hold the record any more: what this process remembers of it is wrong."""


def bodies_consumer(kafka: KafkaSettings) -> AIOKafkaConsumer:
    """What LogBodies reads with."""
    # Seldom more than one of the records that lie together is wanted.
    return new_consumer(kafka, max_partition_fetch_bytes=64 << 10)


class LogBodies:
    """Connects when it is first asked. What is asked for while a read is under way is read together."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        """``consumer`` is one of `bodies_consumer`, not started."""
        self._topic = topic
        self._consumer = consumer
        self._is_connected = False
        self._wanted: dict[int, dict[int, asyncio.Future[Record]]] = defaultdict(dict)
        self._task: asyncio.Task[None] | None = None

    async def read(self, partition: int, offset: int) -> Record:
        """Key and value of the record at ``offset``. Raises BodyMissing or KafkaError."""
        wanted = self._wanted[partition]
        if offset not in wanted:
            wanted[offset] = asyncio.get_running_loop().create_future()
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await asyncio.shield(wanted[offset])

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def _drain(self) -> None:
        try:
            while self._wanted:
                partition, wanted = self._wanted.popitem()
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        await self._read(partition, wanted)
                except Exception as error:
                    for future in wanted.values():
                        if not future.done():
                            future.set_exception(error)
        finally:
            self._task = None

    async def _read(self, partition: int, wanted: "dict[int, asyncio.Future[Record]]") -> None:
        await self._connect()
        consumer, tp = self._consumer, TopicPartition(self._topic, partition)
        consumer.unsubscribe()
        consumer.assign([tp])
        for offset in sorted(wanted):
            if wanted[offset].done():
                continue
            consumer.seek(tp, offset)
            found = None
            while not found:
                found = (await consumer.getmany(tp, timeout_ms=500)).get(tp)
            if found[0].offset != offset:
                raise BodyMissing(f"{topics.place(self._topic, partition, offset)} is gone")
            for record in found:
                future = wanted.get(record.offset)
                if future is not None and not future.done():
                    future.set_result((record.key, record.value))
        consumer.unsubscribe()

    async def _connect(self) -> None:
        if not self._is_connected:
            await self._consumer.start()
            self._is_connected = True

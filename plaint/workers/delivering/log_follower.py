"""Reads the partitions of the delivery log that this process owns: first what is there, then what is added."""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from aiokafka import TopicPartition

from plaint.kafka.consumer import new_consumer
from plaint.kafka.settings import KafkaSettings

FOLLOW_PAUSE_S = 0.4
"""Between two looks at what others may have written. Nothing is fetched meanwhile: each fetch, also one that only waits, costs
the broker and us, and would bring little but our own writes."""
LOOK_MS = 400
"""A look: one fetch. It ends before a fetch that brings no news, so that no second one begins."""
MAX_RECORDS = 2000


class Follower(Protocol):
    """Someone who follows one partition."""

    def position(self) -> int:
        """Offset of the next record to read; it may have moved past what needs no reading."""

    @property
    def is_replaying(self) -> bool:
        """Still reading what was there before: no pause between two reads."""

    def feed(self, records: Sequence[Any]) -> None:
        """The next records (aiokafka's ConsumerRecord), in order."""


class LogFollower:
    """One consumer for all of them. It starts at the earliest record if a position is gone."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._topic = topic
        self._followers: dict[int, Follower] = {}
        self._positions: dict[int, int] = {}
        self._changed = asyncio.Event()
        self._consumer = new_consumer(kafka, max_partition_fetch_bytes=4 << 20)

    async def start(self) -> None:
        """Connect. Raises aiokafka.errors.KafkaConnectionError."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()

    def follow(self, partition: int, follower: Follower) -> None:
        """Feed ``follower`` from its position on, in place of who followed ``partition`` before."""
        self._followers[partition] = follower
        self._changed.set()

    def leave(self, partition: int, follower: Follower) -> None:
        """Feed ``follower`` no more."""
        if self._followers.get(partition) is follower:
            del self._followers[partition]
            self._changed.set()

    async def run(self) -> None:
        """Read until cancelled. Raises KafkaError for what does not pass by waiting."""
        while True:
            if self._changed.is_set():
                self._assign()
            if not self._followers:
                await self._changed.wait()
                continue
            self._skip()
            found = await self._consumer.getmany(timeout_ms=LOOK_MS, max_records=MAX_RECORDS)
            if self._changed.is_set():  # these may go on from where another follower was: all are read again
                continue
            for tp, records in found.items():
                self._feed(tp.partition, records)
            await self._rest(sum(map(len, found.values())))

    def _feed(self, partition: int, records: Sequence[Any]) -> None:
        self._followers[partition].feed(records)
        self._positions[partition] = records[-1].offset + 1

    def _skip(self) -> None:
        for number, follower in self._followers.items():
            position = follower.position()
            if position > self._positions[number]:
                self._consumer.seek(TopicPartition(self._topic, number), position)
                self._positions[number] = position

    async def _rest(self, count: int) -> None:
        if count == MAX_RECORDS or any(follower.is_replaying for follower in self._followers.values()):
            await asyncio.sleep(0)
            return
        followed = [TopicPartition(self._topic, number) for number in self._followers]
        self._consumer.pause(*followed)
        try:
            async with asyncio.timeout(FOLLOW_PAUSE_S):
                await self._changed.wait()
        except TimeoutError:
            self._consumer.resume(*followed)

    def _assign(self) -> None:
        self._changed.clear()
        self._consumer.unsubscribe()
        self._positions = {number: follower.position() for number, follower in self._followers.items()}
        if self._positions:
            self._consumer.assign([TopicPartition(self._topic, number) for number in self._positions])
        for number, position in self._positions.items():
            self._consumer.seek(TopicPartition(self._topic, number), position)

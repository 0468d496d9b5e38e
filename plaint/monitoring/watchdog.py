"""The watchdog: notices a stage that stands still while records wait for it, by other means than the stage's own consumer.

A consumer can look alive to its group and never bring a record again; Faust has had such faults, and a thread that hangs
does the same. So a thread of its own, with a connection and an event loop of its own, reads from where the group has
acknowledged. A record that comes is proof that one waits, also where end offsets lie (the embedded broker) or count what
nobody can read (the marks of transactions). A partition that has such a record and is acknowledged no further is standing
still.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError

from plaint.kafka.consumer import new_consumer
from plaint.kafka.settings import KafkaSettings
from plaint.monitoring.settings import MonitoringSettings
from plaint.monitoring.stall import Guard, Key
from schemas.faults import FaultsFound

PROBE_S = 20.0
"""Longer than a broker that answers takes for everything that a probe asks."""
QUIET_MS = 700
"""A fetch that waits for records is answered within 500 ms."""
REFUSED = (GroupAuthorizationFailedError, TopicAuthorizationFailedError)


class Watched(Protocol):
    """What the watchdog has to know of a stage. It asks from its own thread."""

    group: str
    topic: str

    def acknowledged(self) -> Mapping[int, int | None]:
        """The partitions that this process owns, and up to where it has acknowledged each, as far as it knows."""
        ...

    def in_group(self) -> bool:
        """Whether the process is a member of its group that has its partitions, be it none."""
        ...

    def excuse(self) -> str:
        """Why it stands still on purpose, such as ``the destination is down``; empty if it does not."""
        ...


@dataclass(frozen=True)
class Standing:
    """Where a partition stands. ``end`` is the offset after its last record, as far as a fetch answer told."""

    committed: int
    end: int | None
    waits: bool
    """A record lies at ``committed`` or behind it."""


Probe = Callable[[KafkaSettings, str, str, Collection[int]], Awaitable[dict[int, Standing]]]
"""See ``probe``."""


async def probe(kafka: KafkaSettings, group: str, topic: str, partitions: Collection[int]) -> dict[int, Standing]:
    """Where ``group`` stands on these partitions of ``topic``; joins nothing, changes nothing.

    Raises aiokafka.errors.KafkaError or OSError if the broker does not tell.
    """
    consumer = new_consumer(kafka, client_id="plaint-watchdog", group_id=group, max_partition_fetch_bytes=64 * 1024)
    try:
        await consumer.start()
        tps = [TopicPartition(topic, number) for number in partitions]
        consumer.assign(tps)
        committed = {tp: await consumer.committed(tp) for tp in tps}
        if fresh := [tp for tp in tps if committed[tp] is None]:
            committed |= await consumer.beginning_offsets(fresh)
        for tp in tps:
            consumer.seek(tp, committed[tp])
        have = await _with_records(consumer, set(tps))
        return {tp.partition: Standing(committed[tp], consumer.highwater(tp), tp in have) for tp in tps}
    finally:
        await consumer.stop()


async def _with_records(consumer: AIOKafkaConsumer, tps: set[TopicPartition]) -> set[TopicPartition]:
    """Those of ``tps`` that give a record from where the consumer stands."""
    have: set[TopicPartition] = set()
    while have != tps and (found := await consumer.getmany(timeout_ms=QUIET_MS)):
        have |= found.keys()
        consumer.pause(*found)
    return have


class Watchdog(Guard):
    """Looks at a stage that reads a topic."""

    def __init__(
        self,
        kafka: KafkaSettings,
        watched: Watched,
        settings: MonitoringSettings,
        end: Callable[[str], object] | None = None,
        now: Callable[[], float] = time.monotonic,
        probe: Probe = probe,
    ) -> None:
        super().__init__(settings, end, now)
        self._kafka = kafka
        self._watched = watched
        # The group may stand still for so long while it waits for a member that died or is slow.
        self._join_s = max(settings.stall_s, kafka.session_timeout_s + kafka.rebalance_timeout_s)
        self._probe = probe
        self._known: dict[int, int | None] = {}

    async def look(self) -> None:
        """Look once, and do what follows."""
        owned = dict(self._watched.acknowledged())
        still = [number for number, offset in owned.items() if offset is None or self._known.get(number) == offset]
        self._known = owned
        excuse, in_group = self._watched.excuse(), self._watched.in_group()
        try:
            async with asyncio.timeout(PROBE_S):
                # Without a partition to look at the broker is asked all the same: whether it is there matters.
                found = await self._probe(self._kafka, self._watched.group, self._watched.topic, still or [0])
        except REFUSED as error:  # a right was taken away, which the stage's own clients may not hear of
            self.broker_away = ""
            self._judge(
                {None: 0}, f"is refused by Kafka: {error}; `plaint doctor rights` names the right that is missing"
            )
            return
        except (KafkaError, FaultsFound, ValueError, OSError, TimeoutError) as error:
            self.broker_away = f"no answer: {type(error).__name__}"
            self.is_excused(self.pass_time())
            return
        self.broker_away = ""
        self.ends |= {number: end for number in still if (end := found[number].end) is not None}
        if excuse:
            self.is_excused(self.pass_time())
            return
        waiting: dict[Key, int] = {number: found[number].committed for number in still if found[number].waits}
        self._judge(waiting if in_group else {None: 0}, f"has had no place in its group {self._watched.group}")

    def _judge(self, waiting: Mapping[Key, int], lacks: str) -> None:
        """``lacks`` says what it is where the whole stage stands still."""
        passed = self.pass_time()
        self.clock.see(waiting, passed)
        number, offset, seconds = next(iter(self.clock.standing(passed)), (0, 0, 0.0))
        limit = self._join_s if number is None else self.stall_s
        if seconds < limit:
            self.is_well()
            return
        if number is None:
            self.is_stalled(f"{lacks}, for {seconds:.0f} s")
        else:
            where = f"{self._watched.topic}[{number}]@{offset}"
            self.is_stalled(f"stalled: {where} waits and nothing moved for {seconds:.0f} s")
        if seconds >= 2 * limit:
            self.end_it()

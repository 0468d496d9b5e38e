"""The watchdog: notices a stage that stands still while records wait for it, by other means than the stage's own consumer.

A consumer can look alive to its group and never bring a record again; Faust has had such faults, and a thread that hangs
does the same. So a thread of its own, with a connection and an event loop of its own, reads from where the group has
acknowledged. A record that comes is proof that one waits, also where end offsets lie (the embedded broker) or count what
nobody can read (the marks of transactions). A partition that has such a record and is acknowledged no further is standing
still.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from plaint.failures import EXIT_FAILED
from plaint.kafka.settings import KafkaSettings
from plaint.monitoring.settings import MonitoringSettings

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 15.0
PROBE_S = 20.0
"""Longer than a broker that answers takes for everything that a probe asks."""
QUIET_MS = 700
"""A fetch that waits for records is answered within 500 ms."""
LOG_S = 1.0
"""How long the end waits for its last line: what hangs may be the log."""


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


class StallClock:
    """For how long each partition has stood still. Times are of any clock that only goes forward."""

    def __init__(self) -> None:
        self._since: dict[int | None, tuple[int, float]] = {}

    def see(self, waiting: Mapping[int | None, int], now: float) -> None:
        """``waiting``: offsets at which records wait, by partition; None stands for the place in the group."""
        before = self._since
        self._since = {
            key: before[key] if key in before and before[key][0] == offset else (offset, now)
            for key, offset in waiting.items()
        }

    def longest(self, now: float) -> tuple[int | None, int, float] | None:
        """Partition, offset and seconds of what has stood still for longest."""
        found = [(key, offset, now - since) for key, (offset, since) in self._since.items()]
        return max(found, key=lambda one: one[2], default=None)


Probe = Callable[[KafkaSettings, str, str, Collection[int]], Awaitable[dict[int, Standing]]]
"""See ``probe``."""


async def probe(kafka: KafkaSettings, group: str, topic: str, partitions: Collection[int]) -> dict[int, Standing]:
    """Where ``group`` stands on these partitions of ``topic``; joins nothing, changes nothing.

    Raises aiokafka.errors.KafkaError or OSError if the broker does not tell.
    """
    consumer = AIOKafkaConsumer(
        **kafka.connection(),
        client_id="plaint-watchdog",
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=500,
        max_partition_fetch_bytes=64 * 1024,
    )
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


class Watchdog:
    """Looks at one stage again and again. ``end`` must end the process; it gets the reason."""

    def __init__(
        self,
        kafka: KafkaSettings,
        watched: Watched,
        settings: MonitoringSettings,
        end: Callable[[str], object] | None = None,
        now: Callable[[], float] = time.monotonic,
        probe: Probe = probe,
    ) -> None:
        self.why = ""
        """Why the stage is unhealthy; empty while it is not."""
        self.broker_away = ""
        """Why the last look at the broker failed; empty if it did not."""
        self.ends: dict[int, int] = {}
        """The offset after the last record of each partition, as last seen."""
        self._kafka = kafka
        self._watched = watched
        self._stall_s = settings.stall_s
        # The group may stand still for so long while it waits for a member that died or is slow.
        self._join_s = max(settings.stall_s, kafka.session_timeout_s + kafka.rebalance_timeout_s)
        self._ends_it = settings.on_stall == "end"
        self._end = end or end_process
        self._now = now
        self._probe = probe
        self._clock = StallClock()
        self._looked = now()
        self._passed = 0.0
        self._known: dict[int, int | None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._stopped = False
        self._thread = Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; returns once the thread has ended, or soon."""
        self._stopped = True
        if self._loop is not None and self._main is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join(2)

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._look_again_and_again())

    async def _look_again_and_again(self) -> None:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        while not self._stopped:
            await asyncio.sleep(min(self._stall_s / 4, LONGEST_PAUSE_S))
            try:
                await self.look()
            except Exception:  # a fault of the watchdog must not end what it watches
                log.exception("the watchdog failed to look")

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
        except (KafkaError, OSError, TimeoutError) as error:
            self.broker_away = f"no answer: {type(error).__name__}"
            self._judge({})
            return
        self.broker_away = ""
        self.ends |= {number: end for number in still if (end := found[number].end) is not None}
        waiting: dict[int | None, int] = {number: found[number].committed for number in still if found[number].waits}
        if not in_group:
            waiting = {None: 0}
        self._judge({} if excuse else waiting)

    def _pass_time(self) -> None:
        """Count the time since the last look, but not much of it: who was stopped meanwhile could not move either."""
        now = self._now()
        self._passed += min(now - self._looked, self._stall_s / 2)
        self._looked = now

    def _judge(self, waiting: Mapping[int | None, int]) -> None:
        self._pass_time()
        self._clock.see(waiting, self._passed)
        worst = self._clock.longest(self._passed)
        limit = self._join_s if worst is not None and worst[0] is None else self._stall_s
        if worst is None or worst[2] < limit:
            if self.why:
                log.warning("moves again")
            self.why = ""
            return
        number, offset, seconds = worst
        if number is None:
            why = f"has had no place in its group {self._watched.group} for {seconds:.0f} s"
        else:
            why = f"stalled: {self._watched.topic}[{number}]@{offset} waits and nothing moved for {seconds:.0f} s"
        if not self.why:
            log.error("%s", why)
        self.why = why
        if self._ends_it and seconds >= 2 * limit:
            self._end(why)


def end_process(why: str) -> None:
    """End this process at once, with its last line if the log takes one."""
    last = Thread(target=log.critical, args=("ends, to be started again: %s", why), daemon=True)
    last.start()
    last.join(LOG_S)
    os._exit(EXIT_FAILED)

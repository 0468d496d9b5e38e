"""The deliver worker: tickets out of Kafka, through the dispatcher to the destination, what came of it into the log."""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, RebalanceInProgressError

from plaint.kafka.publisher import Publisher
from plaint.kafka.settings import KafkaSettings
from plaint.workers.delivering.consumer import tickets_consumer
from plaint.workers.delivering.graveyard import Graveyard
from plaint.workers.delivering.lease import Lease
from plaint.workers.delivering.log_bodies import LogBodies
from plaint.workers.delivering.log_follower import LogFollower
from plaint.workers.delivering.log_writer import LogWriter
from plaint.workers.delivering.partition import Partition
from plaint.workers.delivering.window import Window
from route.delivery.breaker import Breaker
from route.delivery.clock import Clock
from route.delivery.counters import Counters
from route.delivery.courier import Courier, Policy
from route.delivery.dispatch import Dispatcher
from route.delivery.fold import Fold
from route.delivery.intake import InRecord, Intake
from route.delivery.lane import Lane
from route.delivery.retry import RetrySchedule
from route.destinations.base import Destination
from route.destinations.settings import DestinationSettings
from schemas import topics

log = logging.getLogger(__name__)

POLL_MS = 200
POLL_RECORDS = 500


class DeliverWorker(ConsumerRebalanceListener):  # type: ignore[misc]
    """Delivers the tickets of one destination until ``stop``; one process runs one.

    ``fatal`` must end the process: it is called when something that has to be written or read can't be.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        name: str,
        settings: DestinationSettings,
        destination: Destination,
        clock: Clock,
        worker: str,
        instance: str | None,
        fatal: Callable[[BaseException], object],
    ) -> None:
        self.counters = Counters()
        self.breaker = Breaker(settings.breaker_failures, settings.breaker_probe_s)
        self._name = name
        self._timeout_s = settings.timeout_s
        self._session_s = kafka.session_timeout_s
        self._worker = worker
        self._clock = clock
        self._fatal = fatal
        self._lease = Lease(kafka, clock.steady)
        self._publisher = Publisher(kafka)
        self._log_topic = topics.deliveries(name)
        self._follower = LogFollower(kafka, self._log_topic)
        self._bodies = LogBodies(kafka, self._log_topic)
        self._consumer = tickets_consumer(kafka, name, instance)
        self._window = Window(settings.window, self._consumer)
        graveyard = Graveyard(self._publisher, name, fatal)
        self._intake = Intake(name, clock, self.counters, graveyard.bury_records)
        may_send = self._lease.is_valid
        schedule = RetrySchedule(settings.first_wait_s, settings.max_wait_s, settings.jitter, random.random)
        policy = Policy(settings.tries, schedule, settings.unknown_outcome == "park")
        courier = Courier(destination, policy, self.breaker, clock, self.counters, may_send, graveyard.bury_ticket)
        self._dispatcher = Dispatcher(courier, settings.concurrency, self.breaker, clock, may_send, fatal)
        self._folds: dict[int, Fold] = {}
        self._partitions: dict[TopicPartition, Partition] = {}
        self._claims: dict[TopicPartition, asyncio.Task[None]] = {}
        self._rebalances = 0

    @property
    def lanes(self) -> dict[TopicPartition, Lane]:
        """The partitions that this process delivers: taken, replayed, neither given up nor lost."""
        found = {tp: partition.lane for tp, partition in self._partitions.items()}
        return {tp: lane for tp, lane in found.items() if lane is not None and lane.is_live}

    # -- life ----------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then finish what is under way, acknowledge it and leave the group.

        Raises KafkaConnectionError if no broker answers at the start.
        """
        try:
            await self._publisher.start()
            await self._follower.start()
            await self._work(stop)
        finally:
            await self._consumer.stop()
            await self._follower.stop()
            await self._bodies.stop()
            await self._publisher.stop()

    async def _work(self, stop: asyncio.Event) -> None:
        self._consumer.subscribe([topics.tickets(self._name)], listener=self)
        poll, *others = tasks = [
            asyncio.create_task(loop) for loop in (self._poll(), self._keep_lease(), self._follower.run())
        ]
        stopping = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            self._fatal(task.exception() or RuntimeError("a loop of the worker ended"))
        # What a rebalance does for partitions that go; the consumer's own stop() does not.
        self._dispatcher.stop()
        await _cancelled(poll)
        await self._give_up(list(self._partitions))
        for task in [*others, stopping]:
            await _cancelled(task)

    # -- the group -----------------------------------------------------------------------------------------------

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Begin to take them. In tasks: no heartbeat goes out while this is awaited."""
        try:
            for tp in assigned:
                self._begin(tp)
        except Exception as error:  # aiokafka would log and go on
            self._fatal(error)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Finish and acknowledge what is under way; heartbeats go on meanwhile, and the group waits."""
        self._rebalances += 1
        try:
            await self._give_up(list(self._partitions))
        except Exception as error:
            self._fatal(error)

    def _begin(self, tp: TopicPartition) -> None:
        self._consumer.pause(tp)
        number = tp.partition
        partition = Partition(
            number,
            self._folds.setdefault(number, Fold()),
            LogWriter(self._publisher, self._log_topic, number, self._fatal),
            self._bodies,
            self._dispatcher,
            self._clock,
            self.counters,
            self._fatal,
        )
        self._partitions[tp] = partition
        self._claims[tp] = asyncio.create_task(self._claim(tp, partition))
        self._claims[tp].add_done_callback(self._ended)

    async def _claim(self, tp: TopicPartition, partition: Partition) -> None:
        await partition.claim(self._worker)
        self._follower.follow(partition.number, partition)
        await partition.replay()
        lane = partition.open(await self._consumer.position(tp), self._timeout_s)
        log.info("partition %d is ours, %d tickets open", partition.number, len(partition.fold.open))
        await self._commit()
        if lane.is_live and not self._window.is_full:
            self._consumer.resume(tp)
        self._dispatcher.pump()

    async def _give_up(self, tps: Sequence[TopicPartition]) -> None:
        claims = [self._claims.pop(tp) for tp in tps if tp in self._claims]
        for claim in claims:
            await _cancelled(claim)
        given = {tp: self._partitions[tp] for tp in tps}
        await asyncio.gather(*(partition.close() for partition in given.values()))
        await self._commit()
        for tp, partition in given.items():
            self._follower.leave(partition.number, partition)
            if self._partitions.get(tp) is partition:
                del self._partitions[tp]

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal(error)

    # -- acknowledging -------------------------------------------------------------------------------------------

    async def _keep_lease(self) -> None:
        while True:
            await self._clock.sleep(self._lease.renew_every_s)
            await self._commit()
            await self._reclaim()

    async def _commit(self) -> None:
        """Acknowledge what is settled in memory and log; that the group takes it is the lease."""
        begun = self._clock.steady()
        offsets = {tp: p.lane.offsets.acknowledged for tp, p in self._partitions.items() if p.lane is not None}
        if not offsets:
            return
        try:
            await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            if not isinstance(error.__cause__, RebalanceInProgressError):  # that one still knows us
                self._lease.lost()
                log.warning("the group refused a commit: %s", type(error).__name__)
        else:
            self._lease.renewed(begun)

    async def _reclaim(self) -> None:
        """Take back what a process that was no longer in the group took from us in its last breath.

        Whoever deposed us for good has the group on its side, and we hear of it within a session.
        """
        for tp, partition in list(self._partitions.items()):
            since = partition.deposed_at
            if since is not None and self._clock.steady() - since > self._session_s and self._lease.is_valid():
                rebalances = self._rebalances
                await self._give_up([tp])
                if rebalances == self._rebalances:
                    log.warning("partition %d is still ours: taken again", partition.number)
                    self._begin(tp)

    # -- from Kafka to memory ------------------------------------------------------------------------------------

    async def _poll(self) -> None:
        await self._consumer.start()
        while True:
            found = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS)
            takes = [take for tp, records in found.items() if (take := self._take(tp, records)) is not None]
            if takes:
                await asyncio.wait(takes)
                self._dispatcher.pump()
            self._window.regulate(self.lanes)

    def _take(self, tp: TopicPartition, records: Sequence[Any]) -> "asyncio.Task[None] | None":
        partition = self._partitions.get(tp)
        lane = partition.lane if partition is not None else None
        if lane is None or not lane.is_live:
            if tp in self._consumer.assignment():  # fetched before it was paused: read again when it is ours
                self._consumer.pause(tp)
                self._consumer.seek(tp, records[0].offset)
            return None
        read = [InRecord(record.offset, record.key, record.value) for record in records]
        return self._task_of(lane, self._intake.take(lane, read))

    def _task_of(self, lane: Lane, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        lane.flights.add(task)
        task.add_done_callback(lane.flights.discard)
        task.add_done_callback(self._ended)
        return task


async def _cancelled(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.wait([task])

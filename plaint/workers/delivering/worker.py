"""The deliver worker: tickets out of Kafka, through the dispatcher to the destination, what came of it into the log."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, RebalanceInProgressError

from plaint.kafka.publisher import Publisher
from plaint.kafka.settings import KafkaSettings
from plaint.workers.delivering.graveyard import Graveyard
from plaint.workers.delivering.lease import Lease
from plaint.workers.delivering.log_bodies import LogBodies
from plaint.workers.delivering.log_follower import LogFollower
from plaint.workers.delivering.log_writer import LogWriter
from plaint.workers.delivering.partition import Partition
from route.delivery.breaker import Breaker
from route.delivery.clock import Clock
from route.delivery.counters import Counters
from route.delivery.courier import Courier, Policy
from route.delivery.dispatch import Dispatcher
from route.delivery.fold import Fold
from route.delivery.intake import InRecord, Intake
from route.delivery.lane import Lane
from route.destinations.base import Destination
from schemas import topics

log = logging.getLogger(__name__)

POLL_MS = 200
POLL_RECORDS = 500
REFILL = 0.8
"""Share of the window below which paused partitions are read again."""


class DeliverWorker(ConsumerRebalanceListener):  # type: ignore[misc]
    """Delivers the tickets of one destination until ``stop``; one process runs one.

    ``fatal`` must end the process: it is called when something that has to be written or read can't be.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        name: str,
        destination: Destination,
        policy: Policy,
        breaker: Breaker,
        clock: Clock,
        *,
        concurrency: int,
        window: int,
        timeout_s: float,
        worker: str,
        instance: str | None,
        fatal: Callable[[BaseException], object],
    ) -> None:
        self.counters = Counters()
        self.breaker = breaker
        self._name = name
        self._window = window
        self._timeout_s = timeout_s
        self._worker = worker
        self._clock = clock
        self._fatal = fatal
        self._lease = Lease(kafka, clock.steady)
        self._publisher = Publisher(kafka)
        graveyard = Graveyard(self._publisher, name, fatal)
        courier = Courier(
            destination, policy, breaker, clock, self.counters, self._lease.is_valid, graveyard.bury_ticket
        )
        self._dispatcher = Dispatcher(courier, concurrency, breaker, clock, self._lease.is_valid, fatal)
        self._intake = Intake(name, clock, self.counters, graveyard.bury_records)
        self._log_topic = topics.deliveries(name)
        self._follower = LogFollower(kafka, self._log_topic)
        self._bodies = LogBodies(kafka, self._log_topic)
        self._consumer = _consumer(kafka, name, instance)
        self._session_s = kafka.session_timeout_s
        self._folds: dict[int, Fold] = {}
        self._partitions: dict[TopicPartition, Partition] = {}
        self._claims: dict[TopicPartition, asyncio.Task[None]] = {}
        self._rebalances = 0
        self._is_full = False

    # -- life ----------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then finish what is under way, acknowledge it and leave the group.

        Raises KafkaConnectionError if no broker answers at the start.
        """
        await self._publisher.start()
        await self._follower.start()
        self._consumer.subscribe([topics.tickets(self._name)], listener=self)
        tasks = [asyncio.create_task(self._poll()), asyncio.create_task(self._commit_again_and_again())]
        tasks.append(asyncio.create_task(self._follower.run()))
        stopping = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            self._fatal(task.exception() or RuntimeError("a loop of the worker ended"))
        await self._end(tasks)

    async def _end(self, tasks: "list[asyncio.Task[None]]") -> None:
        """What a rebalance does for partitions that go, since the consumer's own stop() does not."""
        poll, commits, follow = tasks
        self._dispatcher.stop()
        await _cancelled(poll)
        await self._give_up(list(self._partitions))
        await _cancelled(commits)
        await _cancelled(follow)
        await self._consumer.stop()
        await self._follower.stop()
        await self._bodies.stop()
        await self._publisher.stop()

    # -- the group -----------------------------------------------------------------------------------------------

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Begin to take them. In tasks: no heartbeat goes out while this is awaited."""
        for tp in assigned:
            self._begin(tp)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Finish and acknowledge what is under way; heartbeats go on meanwhile, and the group waits."""
        self._rebalances += 1
        try:
            await self._give_up(list(self._partitions))
        except Exception as error:  # aiokafka would log and go on
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
        if lane.is_live and not self._is_full:
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

    async def _commit_again_and_again(self) -> None:
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
            self._throttle()

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

    def _throttle(self) -> None:
        """Leave the backlog in Kafka while too many tickets are unsettled; polling goes on, as the group demands."""
        lanes = {tp: p.lane for tp, p in self._partitions.items() if p.lane is not None and p.lane.is_live}
        held = sum(lane.fold.held for lane in lanes.values())
        if not self._is_full and held >= self._window:
            self._is_full = True
            self._consumer.pause(*lanes)
        elif self._is_full and held < self._window * REFILL:
            self._is_full = False
            self._consumer.resume(*lanes)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])


def _consumer(kafka: KafkaSettings, name: str, instance: str | None) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **kafka.connection(),
        client_id=f"plaint-deliver-{name}",
        group_id=topics.group(f"deliver-{name}"),
        group_instance_id=instance,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=int(kafka.session_timeout_s * 1000),
        heartbeat_interval_ms=int(kafka.heartbeat_s * 1000),
        rebalance_timeout_ms=int(kafka.rebalance_timeout_s * 1000),
        request_timeout_ms=int(kafka.rebalance_timeout_s * 1000) + 10_000,  # a join is answered when all have joined
        partition_assignment_strategy=(StickyPartitionAssignor,),
        fetch_max_wait_ms=500,
    )

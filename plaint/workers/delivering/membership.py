"""A worker's place in the group: which partitions are its own, and since when nobody may doubt it."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, RebalanceInProgressError

from plaint.cancelled import cancelled
from plaint.workers.delivering.lease import Lease
from plaint.workers.delivering.log_follower import LogFollower
from plaint.workers.delivering.partition import Partition
from route.delivery.clock import Clock
from route.delivery.lane import Lane

log = logging.getLogger(__name__)


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Takes partitions when they are assigned, gives them up when they are revoked, and renews the lease by commits.

    ``make`` makes a partition of a number; ``opened`` is called with a lane that may be delivered from then on.
    ``fatal`` must end the process.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        follower: LogFollower,
        lease: Lease,
        clock: Clock,
        make: Callable[[int], Partition],
        opened: Callable[[TopicPartition, Lane], None],
        *,
        worker: str,
        timeout_s: float,
        session_s: float,
        fatal: Callable[[BaseException], object],
    ) -> None:
        self._consumer = consumer
        self._follower = follower
        self._lease = lease
        self._clock = clock
        self._make = make
        self._opened = opened
        self._worker = worker
        self._timeout_s = timeout_s
        self._session_s = session_s
        self._fatal = fatal
        self._partitions: dict[TopicPartition, Partition] = {}
        self._claims: dict[TopicPartition, asyncio.Task[None]] = {}
        self._rebalances = 0
        self.is_member = False
        """It has its share of the partitions, be it none."""

    @property
    def partitions(self) -> dict[int, Partition]:
        """All that the group gave this process, taken already or not. Any thread may ask."""
        return {tp.partition: partition for tp, partition in list(self._partitions.items())}

    @property
    def lanes(self) -> dict[TopicPartition, Lane]:
        """The partitions that this process delivers: taken, replayed, neither given up nor lost."""
        found = {tp: partition.lane for tp, partition in self._partitions.items()}
        return {tp: lane for tp, lane in found.items() if lane is not None and lane.is_live}

    # -- coming and going ----------------------------------------------------------------------------------------

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Begin to take them. In tasks: no heartbeat goes out while this is awaited."""
        try:
            for tp in assigned:
                self._begin(tp)
            self.is_member = True
        except Exception as error:  # aiokafka would log and go on
            self._fatal(error)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Finish and acknowledge what is under way; heartbeats go on meanwhile, and the group waits."""
        self._rebalances += 1
        self.is_member = False
        try:
            await self.give_up()
        except Exception as error:
            self._fatal(error)

    async def give_up(self) -> None:
        """Give all partitions up; return once nothing of them is under way and all of it is acknowledged."""
        await self._give_up(list(self._partitions))

    def _begin(self, tp: TopicPartition) -> None:
        self._consumer.pause(tp)
        partition = self._partitions[tp] = self._make(tp.partition)
        self._claims[tp] = asyncio.create_task(self._claim(tp, partition))
        self._claims[tp].add_done_callback(self._claimed)

    async def _claim(self, tp: TopicPartition, partition: Partition) -> None:
        await partition.claim(self._worker)
        self._follower.follow(partition.number, partition)
        await partition.replay()
        position = await self._committed(tp)
        self._consumer.seek(tp, position)  # whatever was fetched before is read again
        lane = partition.open(position, self._timeout_s)
        log.info("partition %d is ours, %d tickets open", partition.number, len(partition.fold.open))
        await self._commit()
        if lane.is_live:
            self._opened(tp, lane)

    def _claimed(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal(error)

    async def _committed(self, tp: TopicPartition) -> int:
        """Where the group goes on: never the consumer's own position, which may be past what was thrown away."""
        committed: int | None = await self._consumer.committed(tp)
        if committed is None:
            committed = (await self._consumer.beginning_offsets([tp]))[tp]
        return committed

    async def _give_up(self, tps: Sequence[TopicPartition]) -> None:
        for tp in tps:
            if claim := self._claims.pop(tp, None):
                await cancelled(claim)
        given = {tp: self._partitions[tp] for tp in tps}
        await asyncio.gather(*(partition.close() for partition in given.values()))
        await self._commit()
        for tp, partition in given.items():
            self._follower.leave(partition.number, partition)
            if self._partitions.get(tp) is partition:
                del self._partitions[tp]

    # -- acknowledging -------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Acknowledge again and again, until cancelled."""
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

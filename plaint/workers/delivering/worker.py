"""The deliver worker: tickets out of Kafka, through the dispatcher to the destination, what came of it into the log."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError

from plaint.cancelled import cancelled
from plaint.kafka.publisher import NotWritten, Publisher
from plaint.kafka.settings import KafkaSettings
from plaint.monitoring.batches import Place
from plaint.switches import write_switch
from plaint.workers.delivering.consumer import tickets_consumer
from plaint.workers.delivering.graveyard import Graveyard
from plaint.workers.delivering.lease import Lease
from plaint.workers.delivering.log_bodies import LogBodies, bodies_consumer
from plaint.workers.delivering.log_follower import LogFollower
from plaint.workers.delivering.log_writer import LogWriter
from plaint.workers.delivering.membership import Membership
from plaint.workers.delivering.partition import Partition
from plaint.workers.delivering.window import Window
from route.delivery.breaker import Breaker
from route.delivery.clock import Clock
from route.delivery.counters import Counters
from route.delivery.courier import LEASE_RETRY_S, Courier, Policy
from route.delivery.dispatch import Dispatcher
from route.delivery.fold import Fold
from route.delivery.intake import InRecord, Intake
from route.delivery.lane import Lane
from route.delivery.limits import Limits
from route.delivery.retry import RetrySchedule
from route.delivery.switch import Disabled, Switch, Word
from route.destinations.base import Destination
from route.destinations.settings import DestinationSettings
from schemas import topics

log = logging.getLogger(__name__)

POLL_MS = 200
POLL_RECORDS = 500


class DeliverWorker:
    """Delivers the tickets of one destination; one process runs one.

    ``counters``, ``breaker``, ``limits``, ``disabled`` and ``waiting`` are for whoever wants to know how it goes. ``fatal``
    must end the process: it is called when something that has to be written or read can't be.
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
        self._tickets_topic, self._log_topic = topics.tickets(name), topics.deliveries(name)
        self._name = name
        self._destination = destination
        self._clock = clock
        self._fatal = fatal
        self.limits = Limits(settings.max_per_minute, settings.max_per_author_per_hour, kafka.partitions)
        self._switch = Switch(
            settings.disable_after, settings.disable_after_s, lambda: destination.mark, self._turned_off
        )
        self._told: Disabled | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._lease = Lease(kafka, clock.steady)
        self._publisher = Publisher(kafka)
        self._follower = LogFollower(kafka, self._log_topic)
        self._bodies = LogBodies(bodies_consumer(kafka), self._log_topic)
        self._consumer = tickets_consumer(kafka, name, instance)
        self._window = Window(settings.window, settings.backlog, self._consumer)
        self._folds: dict[int, Fold] = {}
        graveyard = Graveyard(self._publisher, name, fatal)
        self._intake = Intake(name, clock, self.counters, graveyard.bury_records)
        may_send = self._lease.is_valid
        schedule = RetrySchedule(settings.first_wait_s, settings.max_wait_s, settings.jitter, random.random)
        policy = Policy(settings.tries, schedule, settings.unknown_outcome == "park")
        courier = Courier(
            destination, policy, self.breaker, clock, self.counters, may_send, graveyard.bury_ticket, self._switch
        )
        self._dispatcher = Dispatcher(
            courier,
            settings.concurrency,
            self.breaker,
            clock,
            may_send,
            fatal,
            self.limits,
            self._switch,
            self.counters,
            settings.window // 2,
        )
        self._group = Membership(
            self._consumer,
            self._follower,
            self._lease,
            clock,
            self._partition,
            self._opened,
            worker=worker,
            timeout_s=settings.timeout_s,
            session_s=kafka.session_timeout_s,
            fatal=fatal,
        )

    @property
    def lanes(self) -> dict[TopicPartition, Lane]:
        """The partitions that this process delivers."""
        return self._group.lanes

    @property
    def disabled(self) -> Disabled | None:
        """Why nothing is sent, with the status that said so and since when; None: it is."""
        return self._switch.disabled

    @property
    def waiting(self) -> int:
        """Tickets that are due and not under way: they wait for a limit, for the destination, or for their turn."""
        return self._dispatcher.waiting

    # -- for the monitor, which asks from another thread ------------------------------------------------------------

    @property
    def is_member(self) -> bool:
        """Whether this process has its place in the group of the destination's workers."""
        return self._group.is_member

    @property
    def is_window_full(self) -> bool:
        """Whether so many tickets are open that no more are read."""
        return self._window.is_full

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._dispatcher.in_flight

    def places(self) -> dict[int, Place]:
        """Where each partition stands that the group gave this process."""
        return {number: Place(_acknowledged(one), self._end(number)) for number, one in self._group.partitions.items()}

    def open_since(self) -> list[float]:
        """Of each open ticket, from when on it waits for the destination: see Item.waits_since."""
        folds = [one.fold for one in self._group.partitions.values() if one.lane is not None]
        return [item.waits_since for fold in folds for item in list(fold.open.values())]

    def _end(self, number: int) -> int | None:
        try:
            end: int | None = self._consumer.highwater(TopicPartition(self._tickets_topic, number))
        except IllegalStateError:  # it was taken from us meanwhile
            return None
        return end

    def refresh(self) -> None:
        """Read the secret again if it has changed; a destination that refused the former one is asked again."""
        if self._destination.refresh():
            self._dispatcher.pump()

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
        self._consumer.subscribe([self._tickets_topic], listener=self._group)
        poll, *others = tasks = [
            asyncio.create_task(loop) for loop in (self._poll(), self._group.keep(), self._follower.run())
        ]
        stopping = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            self._fatal(task.exception() or RuntimeError("a loop of the worker ended"))
        # What a rebalance does for partitions that go; the consumer's own stop() does not.
        self._dispatcher.stop()
        await cancelled(poll)
        await self._group.give_up()
        for task in [*others, stopping]:
            await cancelled(task)
        if self._telling:
            await asyncio.wait(self._telling)

    # -- a partition comes ---------------------------------------------------------------------------------------

    def _partition(self, number: int) -> Partition:
        fold = self._folds.get(number)
        if fold is None or not fold.is_whole:
            fold = self._folds[number] = Fold()
        return Partition(
            number,
            fold,
            LogWriter(self._publisher, self._log_topic, number, self._fatal),
            self._bodies,
            self._dispatcher,
            self.limits,
            self._switch,
            self._clock,
            self.counters,
            self._fatal,
        )

    def _opened(self, tp: TopicPartition, lane: Lane) -> None:
        self._share()
        if not self._window.is_full:
            self._consumer.resume(tp)
        self._dispatcher.pump()

    def _share(self) -> None:
        """What is ours now decides how much of the limits is, and which partition's word on the switch counts."""
        numbers = [tp.partition for tp in self.lanes]
        self.limits.own(numbers)
        self._switch.own(numbers)
        if numbers:
            self._tell_switch()
            if (in_use := self._switch.overrule()) is not None:
                self._write(in_use)

    # -- it is turned off ----------------------------------------------------------------------------------------

    def _tell_switch(self) -> None:
        """Say it in the log when it has been turned off or on, by whomever."""
        disabled = self._switch.disabled
        if (disabled is None) == (self._told is None):
            return
        self._told = disabled
        if disabled is None:
            log.warning("the destination is enabled again")
            return
        mend = f"nothing is sent until `plaint destination enable {self._name}`"
        or_else = ", or with another address, secret or proxy" if disabled.settings else ""
        log.error("the destination is disabled: %s; %s%s", disabled.reason, mend, or_else)

    def _turned_off(self, disabled: Disabled) -> None:
        self._tell_switch()
        self._write(disabled)

    def _write(self, word: Word) -> None:
        """See to it that it stands in the log, for the other processes and for whoever comes after this one."""
        task = asyncio.create_task(self._tell(word))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, word: Word) -> None:
        try:
            await write_switch(self._publisher, self._name, word, self._clock.wall())
        except NotWritten as error:
            self._fatal(error)

    # -- its tickets come ----------------------------------------------------------------------------------------

    async def _poll(self) -> None:
        await self._consumer.start()
        while True:
            found = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS)
            lanes = self.lanes
            while self.lanes and not self._lease.is_valid():  # maybe stopped meanwhile, and no longer the owner
                await self._clock.sleep(LEASE_RETRY_S)
            takes = [take for tp, records in found.items() if (take := self._take(tp, lanes.get(tp), records))]
            self._share()
            self.refresh()
            if takes:
                await asyncio.wait(takes)
            if takes or self._switch.disabled is None:
                self._dispatcher.pump()
            self._window.regulate(self.lanes)

    def _take(self, tp: TopicPartition, lane: Lane | None, records: Sequence[Any]) -> "asyncio.Task[None] | None":
        """``lane`` is that of ``tp`` at the time of the fetch; without one that is still live, the next one reads again."""
        if lane is None or not lane.is_live:
            if tp not in self.lanes and tp in self._consumer.assignment():
                self._consumer.pause(tp)
            return None
        read = [InRecord(record.offset, record.key, record.value) for record in records]
        task = asyncio.create_task(self._intake.take(lane, read))
        lane.flights.add(task)
        task.add_done_callback(lane.flights.discard)
        task.add_done_callback(self._taken)
        return task

    def _taken(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal(error)


def _acknowledged(partition: Partition) -> int | None:
    return partition.lane.offsets.acknowledged if partition.lane is not None else None

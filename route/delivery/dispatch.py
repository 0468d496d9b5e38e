"""What is sent when: everything that is due, by priority, as much as allowed, under a lease, behind breaker and switch."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from route.delivery.breaker import Breaker, Pass
from route.delivery.clock import Clock, Timer
from route.delivery.counters import Counters
from route.delivery.courier import LEASE_RETRY_S
from route.delivery.fold import Item
from route.delivery.lane import Lane
from route.delivery.limits import Limits, author_of
from route.delivery.queue import DueQueue
from route.delivery.switch import Switch

FAR_S = 60.0
"""A ticket whose next try is further off than this leaves its body in the log."""
MAX_SLEEP_S = 60.0
"""Look again at least this often: the wall clock may be set."""


class Carrier(Protocol):
    """Tries a ticket once; see Courier."""

    def carry(self, lane: Lane, item: Item, probing: bool) -> Awaitable[None]:
        """Returns when nothing of this try is under way any more."""


class Dispatcher:
    """Drives all partitions of one destination in this process. Call from the event loop only.

    ``lease`` says whether this process certainly still owns its partitions. ``fatal`` must end the process: it is called
    when a try ends in no outcome at all, since nothing may be swallowed. Where there are limits, tickets past the first
    ``bodies`` leave their bodies in the log, so that those that wait for long take no room from the urgent behind them.
    """

    def __init__(
        self,
        courier: Carrier,
        concurrency: int,
        breaker: Breaker,
        clock: Clock,
        lease: Callable[[], bool],
        fatal: Callable[[BaseException], object],
        limits: Limits,
        switch: Switch,
        counters: Counters,
        bodies: int,
    ) -> None:
        self._courier = courier
        self._concurrency = concurrency
        self._breaker = breaker
        self._clock = clock
        self._lease = lease
        self._fatal = fatal
        self._limits = limits
        self._switch = switch
        self._counters = counters
        self._bodies = bodies
        self._limited_at = 0.0
        self._queue: DueQueue[Lane] = DueQueue()
        self._timer: Timer | None = None
        self._under_way: list[str] = []
        self._stopped = False

    @property
    def in_flight(self) -> int:
        """Tickets that are being tried."""
        return len(self._under_way)

    @property
    def waiting(self) -> int:
        """Tickets that are due and not under way."""
        return self._queue.ready

    def push(self, lane: Lane, item: Item) -> None:
        """``item`` is written down and to be sent when due. ``pump`` must follow."""
        if self._limits.count_authors and item.body is not None and item.op == "create":
            item.author = author_of(item.body)
        if item.due - self._clock.wall() > FAR_S or self._waits_long(item):
            lane.fold.leave(item)
        self._queue.push(lane, item)

    def _waits_long(self, item: Item) -> bool:
        return self._limits.are_set and item.rank > 0 and len(self._queue) >= self._bodies

    def pump(self) -> None:
        """Start what may start now, and see to it that this is called when something else may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if freed := self._breaker.take_freed(self._under_way):
            self._queue.hurry(freed, self._clock.wall())
        while not self._stopped:
            wait = self._wait_s()
            if wait is None:
                return
            if wait > 0:
                self._timer = self._clock.call_later(min(wait, MAX_SLEEP_S), self.pump)
                return
            self._start()

    def _wait_s(self) -> float | None:
        """Seconds until the next request may start; None if that hangs on one that is under way, or on a push."""
        if self.in_flight >= self._concurrency or self._breaker.is_probing or self._switch.disabled is not None:
            return None
        wall, steady = self._clock.wall(), self._clock.steady()
        due = self._queue.next_due(wall)
        if due is None:
            return None
        wait = due - wall
        if self._breaker.is_open:
            wait = max(wait, self._breaker.probe_at - steady)
        if wait <= 0:
            wait = self._limits.request_wait_s(self._queue.is_urgent, steady)
            if wait > 0:
                self._limited_at = wall
        if wait > 0:
            return wait
        return 0.0 if self._lease() else LEASE_RETRY_S

    def _start(self) -> None:
        now = self._clock.steady()
        _, _, lane, item = self._queue.pop(strict=self._limits.request_wait_s(False, now) > 0)
        if not lane.is_live or not lane.fold.is_open(item):  # given up, or overtaken by a newer revision
            return
        if self._is_held(lane, item, now):
            return
        self._counters.limited += item.due < self._limited_at
        self._limits.began(item.author, item.key, now)
        probing = self._breaker.ask(now) is Pass.PROBE
        item.flying = True
        self._under_way.append(item.key)
        task = asyncio.create_task(self._fly(lane, item, probing))
        lane.flights.add(task)
        task.add_done_callback(lane.flights.discard)

    def _is_held(self, lane: Lane, item: Item, now: float) -> bool:
        """Its author has had enough new tickets for now: it waits for their next turn."""
        wait = self._limits.author_wait_s(item.author, item.key, now)
        if wait <= 0:
            return False
        self._counters.author_capped += item.author_turn == 0
        item.due = item.author_turn = self._clock.wall() + wait
        self.push(lane, item)
        return True

    async def _fly(self, lane: Lane, item: Item, probing: bool) -> None:
        try:
            await self._courier.carry(lane, item, probing)
        except Exception as error:
            self._fatal(error)
        self._under_way.remove(item.key)
        self._limits.ended(self._clock.steady())
        if probing:
            self._breaker.released()
        self.pump()

    async def give_up(self, lane: Lane) -> None:
        """The partition is to be someone else's: start nothing more of it, wait for what is under way."""
        lane.is_live = False
        self._queue.discard(lane)
        while lane.flights:
            await asyncio.wait(lane.flights)

    def stop(self) -> None:
        """Start nothing more at all."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

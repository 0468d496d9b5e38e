"""What is sent when: everything that is due, as much at once as allowed, under a lease, behind the breaker."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from route.delivery.breaker import Breaker, Pass
from route.delivery.clock import Clock, Timer
from route.delivery.courier import LEASE_RETRY_S
from route.delivery.fold import Item
from route.delivery.lane import Lane
from route.delivery.queue import DueQueue

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
    when a try ends in no outcome at all, since nothing may be swallowed.
    """

    def __init__(
        self,
        courier: Carrier,
        concurrency: int,
        breaker: Breaker,
        clock: Clock,
        lease: Callable[[], bool],
        fatal: Callable[[BaseException], object],
    ) -> None:
        self._courier = courier
        self._concurrency = concurrency
        self._breaker = breaker
        self._clock = clock
        self._lease = lease
        self._fatal = fatal
        self._queue: DueQueue[Lane] = DueQueue()
        self._timer: Timer | None = None
        self.in_flight = 0
        self._stopped = False

    def push(self, lane: Lane, item: Item) -> None:
        """``item`` is written down and to be sent when due. ``pump`` must follow."""
        if item.due - self._clock.wall() > FAR_S:
            lane.fold.leave(item)
        self._queue.push(lane, item)

    def pump(self) -> None:
        """Start what may start now, and see to it that this is called when something else may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
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
        due = self._queue.next_due()
        if due is None or self.in_flight >= self._concurrency or self._breaker.is_probing:
            return None
        wait = due - self._clock.wall()
        if self._breaker.is_open:
            wait = max(wait, self._breaker.probe_at - self._clock.steady())
        if wait > 0:
            return wait
        return 0.0 if self._lease() else LEASE_RETRY_S

    def _start(self) -> None:
        _, _, lane, item = self._queue.pop()
        if not lane.is_live or not lane.fold.is_open(item):  # given up, or overtaken by a newer revision
            return
        probing = self._breaker.ask(self._clock.steady()) is Pass.PROBE
        item.flying = True
        self.in_flight += 1
        task = asyncio.create_task(self._fly(lane, item, probing))
        lane.flights.add(task)
        task.add_done_callback(lane.flights.discard)

    async def _fly(self, lane: Lane, item: Item, probing: bool) -> None:
        try:
            await self._courier.carry(lane, item, probing)
        except Exception as error:
            self._fatal(error)
        self.in_flight -= 1
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

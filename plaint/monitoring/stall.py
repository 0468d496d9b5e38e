"""Watches one stage from a thread of its own, and ends a process that stands still although it has work."""

import asyncio
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Thread
from typing import NoReturn

from plaint.failures import EXIT_FAILED
from plaint.monitoring.settings import MonitoringSettings

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 15.0
LOG_S = 1.0
"""How long the end waits for its last line: what hangs may be the log."""

Key = str | int | None
"""What may stand still: a partition, a thread; None stands for the place in a group."""


class StallClock:
    """For how long each thing has stood still. Times are of any clock that only goes forward."""

    def __init__(self) -> None:
        self._since: dict[Key, tuple[int, float]] = {}

    def see(self, waiting: Mapping[Key, int], now: float) -> None:
        """``waiting``: by each thing that has work, a number that changes as it moves, such as an offset."""
        before = self._since
        self._since = {
            key: before[key] if key in before and before[key][0] == offset else (offset, now)
            for key, offset in waiting.items()
        }

    def standing(self, now: float) -> list[tuple[Key, int, float]]:
        """Key, number and seconds of all that has work, what has stood still for longest first."""
        found = [(key, offset, now - since) for key, (offset, since) in self._since.items()]
        return sorted(found, key=lambda one: -one[2])


class Guard(ABC):
    """Looks at one stage again and again. ``end`` must end the process; it gets the reason."""

    def __init__(
        self, settings: MonitoringSettings, end: Callable[[str], object] | None, now: Callable[[], float]
    ) -> None:
        self.why = ""
        """Why the stage is unhealthy; empty while it is not."""
        self.broker_away = ""
        """Why the last look at the broker failed; empty if it did not."""
        self.ends: dict[int, int] = {}
        """The offset after the last record of each partition of its input, as last seen."""
        self.stall_s = settings.stall_s
        self.clock = StallClock()
        self._ends_it = settings.on_stall == "end"
        self._end = end or end_process
        self._now = now
        self._looked = now()
        self._passed = 0.0
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
            await asyncio.sleep(min(self.stall_s / 4, LONGEST_PAUSE_S))
            try:
                await self.look()
            except Exception:  # a fault of the watchdog must not end what it watches
                log.exception("the watchdog failed to look")

    @abstractmethod
    async def look(self) -> None:
        """Look once, and do what follows."""

    def pass_time(self) -> float:
        """The time that counts, in seconds. Not much of it since the last look: who was stopped could not move either."""
        now = self._now()
        self._passed += min(now - self._looked, self.stall_s / 2)
        self._looked = now
        return self._passed

    def is_well(self) -> None:
        """It moves, or has nothing to do."""
        if self.why:
            log.warning("moves again")
        self.why = ""

    def is_excused(self, passed: float) -> None:
        """It may stand still: that is no fault of its own, and its time begins anew once the reason is gone."""
        self.clock.see({}, passed)
        self.why = ""

    def is_stalled(self, why: str) -> None:
        """It stands still."""
        if not self.why:
            log.error("%s", why)
        self.why = why

    def end_it(self) -> None:
        """It has stood still for too long: end the process, unless the settings want none of it."""
        if self._ends_it:
            self._end(self.why)


def end_process(why: str, what: str = "ends, to be started again", error: BaseException | None = None) -> NoReturn:
    """End this process at once, with its last line if the log takes one, and the traceback of ``error``."""
    last = Thread(target=log.critical, args=("%s: %s", what, why), kwargs={"exc_info": error}, daemon=True)
    try:
        last.start()  # which fails where no thread may be started any more
        last.join(LOG_S)
    finally:
        os._exit(EXIT_FAILED)

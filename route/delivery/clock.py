"""Time, passed in so that tests wait for nothing."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """Something that happens later unless it is cancelled."""

    def cancel(self) -> None:
        """Never happen."""


class Clock(Protocol):
    """What delivery needs of time."""

    def wall(self) -> float:
        """Seconds since the epoch: what is due when, across restarts."""

    def steady(self) -> float:
        """Seconds that only go forward and count a suspended machine too: leases and the breaker."""

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """Call ``call`` on the event loop once ``delay_s`` have passed."""

    async def sleep(self, delay_s: float) -> None:
        """Wait."""


_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""CLOCK_MONOTONIC stands still while a laptop or a virtual machine sleeps; the group's coordinator does not."""


class SystemClock:
    """The machine's time. For use inside a running event loop."""

    def wall(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def steady(self) -> float:
        """Seconds since the machine started, sleep included."""
        return time.clock_gettime(_STEADY)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """See Clock."""
        return asyncio.get_running_loop().call_later(delay_s, call)

    async def sleep(self, delay_s: float) -> None:
        """Wait."""
        await asyncio.sleep(delay_s)

"""``plaint up`` between ``plaint reload`` and its worker: it has the worker read again, and tells what came of it."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from plaint.reloading.in_use import InUse

CHECK_S = 0.05

T = TypeVar("T", bound=InUse)


class Telling(Generic[T]):
    """What is told of one thing that a worker reads again when it is wanted."""

    def __init__(self, told: T) -> None:
        self._told = told
        self._wanted = asyncio.Event()

    def announce(self) -> None:
        """Let ``plaint reload`` find this process."""
        self._told.announce()

    def retract(self) -> None:
        """This process runs no worker more."""
        self._told.retract()

    def want(self) -> None:
        """Have ``follow`` see to it."""
        self._wanted.set()

    async def _next_wish(self) -> None:
        await self._wanted.wait()
        self._wanted.clear()

    async def _answer(
        self,
        worker: Callable[[], int | None],
        within_s: float,
        is_settled: Callable[[T], bool] = lambda _: False,
    ) -> T | None:
        """What the worker says once it has tried, or is settled anyhow; None if it says nothing in time.

        ``worker`` tells its process id. One that is just starting is told as soon as it heeds signals, and one that comes in
        its place is told anew.
        """
        told: T | None = None  # the worker that was told, as it was before
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            pid = worker()
            now = None if pid is None else self._told.of(pid)
            if now is not None and is_settled(now):
                return now
            if now is not None and told is not None and now.pid == told.pid:
                if now.tries > told.tries:
                    return now
            elif now is not None:
                told = now
                with suppress(ProcessLookupError):
                    os.kill(now.pid, signal.SIGHUP)
            await asyncio.sleep(CHECK_S)
        return None

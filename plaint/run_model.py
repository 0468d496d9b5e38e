"""The model of ``plaint up``: that of its classify worker, which is told to load the one that is chosen now."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from classify.settings import ClassifySettings
from plaint.model_in_use import ModelInUse

ANSWER_S = 300.0
CHECK_S = 0.05


class RunModel:
    """Tells ``plaint reload`` what the classify worker said, whichever process that is by then."""

    def __init__(self, settings: ClassifySettings) -> None:
        named = settings.model.text if settings.model is not None else ""
        self._told = ModelInUse(role="up", version="", named=named, folder=settings.models.resolve())
        self._wanted = asyncio.Event()

    def announce(self) -> None:
        """Let ``plaint reload`` find this process."""
        self._told.announce()

    def retract(self) -> None:
        """This process runs no worker more."""
        self._told.retract()

    def want(self) -> None:
        """Have ``follow`` tell the worker."""
        self._wanted.set()

    async def follow(self, worker: Callable[[], int | None]) -> None:
        """Tell the worker whenever it is wanted, until cancelled; ``worker`` tells its process id."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            said = await self._asked(worker)
            changes: dict[str, object] = {"faults": (f"the classify worker did not answer within {ANSWER_S:g} s",)}
            if said is not None:
                changes = said.model_dump(include={"version", "place", "since", "before", "changed", "faults"})
            self._told = self._told.model_copy(update=changes | {"tries": self._told.tries + 1})
            self._told.announce()

    async def _asked(self, worker: Callable[[], int | None]) -> ModelInUse | None:
        """What the worker says once it has tried. One that is just starting is told as soon as it heeds signals."""
        told: ModelInUse | None = None  # the worker that was told, as it was before
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline:
            pid = worker()
            now = None if pid is None else ModelInUse.of(pid)
            if now is not None and told is not None and now.pid == told.pid:
                if now.tries > told.tries:
                    return now
            elif now is not None:
                told = now
                with suppress(ProcessLookupError):
                    os.kill(now.pid, signal.SIGHUP)
            await asyncio.sleep(CHECK_S)
        return None

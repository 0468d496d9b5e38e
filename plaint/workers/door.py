"""The HTTP door as a thread of the ingest worker, with an event loop of its own."""

import asyncio
import logging
from importlib.metadata import version
from threading import Event, Thread

import uvloop

from ingest.http.outcomes import Meter
from ingest.http.server import listen, opened, url_of
from ingest.http.settings import DoorSettings
from ingest.publish import PostPublisher

log = logging.getLogger(__name__)

STOP_CHECK_S = 0.1


class DoorThread(Thread):
    """Takes posts until ``stop`` is set, then answers what is under way and ends. ``error`` is what ended it before."""

    def __init__(self, settings: DoorSettings, publisher: PostPublisher, meter: Meter, stop: Event) -> None:
        """It listens from now on, and answers once it is started. Raises CannotListen."""
        super().__init__(name="door", daemon=True)
        self.error: Exception | None = None
        self.rounds = 0
        """How often its event loop has looked whether to stop."""
        self._settings = settings
        self._publisher = publisher
        self._meter = meter
        self._stop_event = stop
        self._listener = listen(settings)
        log.info("door: %s", url_of(settings, self._listener))

    def run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except Exception as error:
            self.error = error

    async def _serve(self) -> None:
        settings, listener, publisher = self._settings, self._listener, self._publisher
        async with opened(settings, listener, publisher, version("plaint"), self._fail, self._meter):
            while self.error is None and not self._stop_event.is_set():
                self.rounds += 1
                await asyncio.sleep(STOP_CHECK_S)

    def _fail(self, error: Exception) -> None:
        self.error = self.error or error

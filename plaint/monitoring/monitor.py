"""What one process knows of itself, and where it tells it."""

import logging
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from plaint.kafka.settings import KafkaSettings
from plaint.monitoring import metrics
from plaint.monitoring.errors import ErrorMemory
from plaint.monitoring.listener import Answer, Listener, Page, open_socket, text
from plaint.monitoring.needs import Needs
from plaint.monitoring.readings import Readings
from plaint.monitoring.settings import MonitoringSettings
from plaint.monitoring.state import StageName, StageState

if TYPE_CHECKING:
    from plaint.monitoring.publishing_watchdog import Publishing
    from plaint.monitoring.stall import Guard
    from plaint.monitoring.watchdog import Watched

log = logging.getLogger(__name__)

VERSION = version("plaint")
UNTOLD = MonitoringSettings(enabled=False, on_stall="ignore")
"""For a stage that runs inside something else, which has its own."""


class Sight(Protocol):
    """A part of a process that can tell of itself. It is asked from another thread than it works in."""

    def read(self, into: Readings) -> None:
        """Put its metrics."""
        ...

    def state(self) -> dict[str, Any]:
        """Fields of StageState."""
        ...


class Monitor:
    """One process of one stage. Parts are added with ``show`` as they come up; ``needs`` says what is still lacking."""

    def __init__(
        self,
        stage: StageName,
        settings: MonitoringSettings = UNTOLD,
        *,
        destination: str = "",
        instance: str | None = None,
        needs: Needs | None = None,
    ) -> None:
        self.needs = needs or Needs()
        self.errors = ErrorMemory()
        self.stage = stage
        self.destination = destination
        self._settings = settings
        self._instance = instance or f"{socket.gethostname()}-{os.getpid()}"
        self._started_at = datetime.now(UTC)
        self._sights: list[Sight] = []
        self._watchdog: Guard | None = None

    def show(self, sight: Sight) -> None:
        """From now on this part is told of as well."""
        self._sights.append(sight)

    def watch(self, kafka: KafkaSettings, watched: "Watched") -> None:
        """Start the watchdog over this stage, unless the settings want none."""
        if self._settings.on_stall != "ignore" and self._watchdog is None:
            from plaint.monitoring.watchdog import Watchdog  # ingest and the inbox get by without its Kafka client

            self._watchdog = Watchdog(kafka, watched, self._settings)
            self._watchdog.start()

    def watch_publishing(self, kafka: KafkaSettings, watched: "Publishing") -> None:
        """The same for a stage that has no input in Kafka."""
        if self._settings.on_stall != "ignore" and self._watchdog is None:
            from plaint.monitoring.publishing_watchdog import PublishingWatchdog

            self._watchdog = PublishingWatchdog(kafka, watched, self._settings)
            self._watchdog.start()

    def ends(self) -> dict[int, int]:
        """The offset after the last record of each partition, where the watchdog has seen it."""
        return self._watchdog.ends if self._watchdog else {}

    @contextmanager
    def told(self) -> Iterator["Monitor"]:
        """Tell of this process until the block ends. Raises Unavailable if it can't listen, AddressFileInvalid."""
        logging.getLogger().addHandler(self.errors)
        listener = _listener(self._settings, self._pages(), self.families)
        try:
            if listener is not None:
                self._settings.note(listener.address)
            yield self
        finally:
            if self._watchdog is not None:
                self._watchdog.stop()
            if listener is not None:
                listener.stop()
            logging.getLogger().removeHandler(self.errors)

    # -- what is told --------------------------------------------------------------------------------------------

    def state(self) -> StageState:
        """All that is known now."""
        known: dict[str, Any] = {}
        errors = [self.errors.last]
        for sight in list(self._sights):
            told = sight.state()
            errors.append(told.pop("last_error", None))
            known |= told
        lags: dict[int, int] = known.get("lags", {})
        missing = self._missing()
        why = self._watchdog.why if self._watchdog else ""
        defaults = {
            "lag": sum(lags.values()) if lags else None,
            "last_error": max((e for e in errors if e is not None), key=lambda e: e.at, default=None),
        }
        return StageState(
            stage=self.stage,
            destination=self.destination,
            instance=self._instance,
            pid=os.getpid(),
            version=VERSION,
            started_at=self._started_at,
            at=datetime.now(UTC),
            ready=not missing,
            missing=missing,
            healthy=not why,
            unhealthy_why=why,
            **(defaults | known),
        )

    def families(self) -> Iterable[Any]:
        """All metrics, as Prometheus' client writes them out."""
        readings = Readings(self.stage, self.destination)
        readings.put(metrics.BUILD, 1, VERSION)
        readings.put(metrics.ERRORS, self.errors.count)
        readings.put(metrics.READY, not self._missing())
        for sight in list(self._sights):
            sight.read(readings)
        if self._watchdog is not None:
            readings.put(metrics.STALLED, bool(self._watchdog.why))
        yield from readings.families()
        yield from process_families(readings.common)

    def _missing(self) -> tuple[str, ...]:
        away = self._watchdog.broker_away if self._watchdog else ""
        return (*self.needs.missing(), *((f"kafka: {away}",) if away else ()))

    def _pages(self) -> dict[str, Page]:
        return {"/healthz": self._healthz, "/readyz": self._readyz, "/state": self._state}

    def _healthz(self) -> Answer:
        why = self._watchdog.why if self._watchdog else ""
        return text("503 Service Unavailable", [why]) if why else text("200 OK", ["alive"])

    def _readyz(self) -> Answer:
        missing = self._missing()
        return text("503 Service Unavailable", missing) if missing else text("200 OK", ["ready"])

    def _state(self) -> Answer:
        return Answer("200 OK", "application/json", self.state().model_dump_json().encode())


def process_families(labels: dict[str, str]) -> Iterable[Any]:
    """What Prometheus' client tells of a process, with these labels."""
    from prometheus_client import ProcessCollector

    for family in ProcessCollector(registry=None).collect():
        family.samples = [sample._replace(labels=labels) for sample in family.samples]
        yield family


def _listener(settings: MonitoringSettings, pages: dict[str, Page], families: Any) -> Listener | None:
    if not settings.enabled:
        return None
    listener = Listener(open_socket(settings.host, settings.port or 0), pages, families)
    listener.start()
    log.log(logging.INFO if settings.address_file is None else logging.DEBUG, "monitoring: %s", listener.address)
    return listener

"""The ingest worker: sources and the door → plaint.posts, one thread each, one producer for all of them."""

import logging
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread
from types import FrameType

from pydantic import BaseModel, ConfigDict, ValidationError

from ingest.file import FileSource
from ingest.http.settings import DoorSettings
from ingest.pace import paced
from ingest.publish import PostPublisher, PublishFailed
from ingest.settings import SourceSettings
from ingest.source import Source
from plaint.kafka.settings import KafkaSettings
from plaint.monitoring.ingesting import DoorMeter, IngestSight
from plaint.monitoring.monitor import Monitor
from plaint.reloading.hangup import Hangup
from plaint.workers.door import DoorThread

log = logging.getLogger(__name__)

STOP_GRACE_S = 25.0
"""How long after a stop the broker may take to acknowledge what was sent: less than orchestrators wait before they kill."""
TICK_S = 0.5


class Report(BaseModel):
    """What came of the sources: every record read was published or is a dead letter, all acknowledged by the broker.

    ``finished`` is false where the run was stopped before its sources ended. What came by the door is not in it.
    """

    model_config = ConfigDict(frozen=True)

    read: int
    published: int
    dead: dict[str, int]
    finished: bool

    def write(self, path: Path) -> None:
        """Put it there as JSON, whole or not at all. Raises OSError."""
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(self.model_dump_json())
        draft.replace(path)

    @classmethod
    def found(cls, path: Path | None) -> "Report | None":
        """What was written there, if anything was."""
        try:
            return cls.model_validate_json(path.read_bytes()) if path else None
        except (OSError, ValidationError):
            return None


def ingest(
    kafka: KafkaSettings,
    sources: Sequence[SourceSettings],
    monitor: Monitor,
    report: Path | None = None,
    door: DoorSettings | None = None,
) -> Report:
    """Publish what the sources yield until they all end, or until a signal to end; what was read is acknowledged then.

    With a door it goes on until a signal. Blocks, waits for a broker that is away, and writes the report, once the sources
    have ended, if there is a file for it; with a door, sources whose report stands there as finished are not read again.

    Raises SourceFailed if a source can't start or can't be read, CannotListen if the door can't listen, PublishFailed if a
    record can't be written for good, or, after a signal, not in time: then the process must end with a non-zero code, and
    no report is written. Raises OSError if the report can't be written.
    """
    if report:
        report.parent.mkdir(parents=True, exist_ok=True)
    if door and (before := Report.found(report)) and before.finished:
        log.info("the sources were read before: %s", before.model_dump_json())
        sources, report = (), None
    stop = Event()
    with (
        closing(PostPublisher(kafka.connection(), kafka.idempotent_producer)) as publisher,
        _stopped_by_signals(stop),
    ):
        meter = DoorMeter()
        monitor.show(IngestSight(publisher))
        monitor.show(meter)
        work = _Work(sources, door, publisher, meter, stop, report)
        monitor.watch_publishing(kafka, work)
        work.run()
    return work.report()


class _Reader(Thread):
    """Moves one source's items to the publisher. ``error`` is what ended it, ``ended`` that the source had no more."""

    def __init__(self, source: Source, rate: float | None, publisher: PostPublisher, stop: Event) -> None:
        super().__init__(name=f"source {source.name}", daemon=True)
        self.error: Exception | None = None
        self.ended = False
        self._source = source
        self._rate = rate
        self._publisher = publisher
        self._stop_event = stop

    def run(self) -> None:
        try:
            items = self._source.items(self._stop_event)
            for item in paced(items, self._rate, self._stop_event.wait) if self._rate else items:
                self._publisher.put(item, self._source.name)
            self.ended = not self._stop_event.is_set()
        except Exception as error:
            self.error = error


class _Work:
    """All threads of the worker, from their start to what they leave behind."""

    def __init__(
        self,
        sources: Sequence[SourceSettings],
        door: DoorSettings | None,
        publisher: PostPublisher,
        meter: DoorMeter,
        stop: Event,
        report: Path | None,
    ) -> None:
        """Raises CannotListen."""
        self._publisher = publisher
        self._stop = stop
        self._grace = _Grace(stop)
        self._rounds = 0
        self._has_ended = False
        self._to_report = report
        self._reported = False
        self._readers = [_Reader(FileSource(settings), settings.rate, publisher, stop) for settings in sources]
        self._door = DoorThread(door, publisher, meter, stop) if door else None
        self._threads: list[_Reader | DoorThread] = [*self._readers, *([self._door] if self._door else ())]

    def run(self) -> None:
        """Raises what a thread raised, or PublishFailed."""
        try:
            self._run()
        finally:
            self._has_ended = True

    def unacknowledged(self) -> dict[str, int]:
        """See Publishing."""
        return self._publisher.waiting()

    def threads(self) -> dict[str, int]:
        """See Publishing: those that hold a post, and those that go round."""
        door = self._door
        going = {"the main thread": self._rounds}
        if door is not None and door.is_alive():
            going["the door"] = door.rounds
        return self._publisher.putting() | going

    def excuse(self) -> str:
        """See Publishing. A stop has its own limit."""
        return "it is stopping" if self._stop.is_set() or self._has_ended else ""

    def _run(self) -> None:
        for thread in self._threads:
            thread.start()
        while any(thread.is_alive() for thread in self._threads):
            for thread in self._threads:
                thread.join(TICK_S / len(self._threads))
            self._publisher.settle()
            if any(thread.error for thread in self._threads):
                self._stop.set()
            elif self._have_ended() and self._publisher.has_all_put():
                self._write_report()
            if self._is_over():
                raise PublishFailed("the broker did not take what was read in time after the stop")
        errors = [thread.error for thread in self._threads if thread.error]
        if not any(isinstance(error, PublishFailed) for error in errors):
            self._publisher.drain(give_up=self._is_over)
        for error in errors:
            raise error
        self._write_report()

    def _is_over(self) -> bool:
        """Whether the time after a stop is over; the main thread comes by here again and again."""
        self._rounds += 1
        return self._grace.is_over()

    def report(self) -> Report:
        """What came of the sources, once they have ended."""
        return Report(
            read=self._publisher.published + self._publisher.dead.total(),
            published=self._publisher.published,
            dead={reason.value: count for reason, count in self._publisher.dead.items()},
            finished=self._have_ended(),
        )

    def _have_ended(self) -> bool:
        return all(reader.ended for reader in self._readers)

    def _write_report(self) -> None:
        """Once; raises OSError."""
        if self._reported:
            return
        self._reported = True
        if self._readers:
            log.info("ingest: %s", self.report().model_dump_json())
        if self._to_report:
            self.report().write(self._to_report)


class _Grace:
    """The time that is left after a stop, counted from when it is first asked for."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._end = float("inf")

    def is_over(self) -> bool:
        if self._stop.is_set():
            self._end = min(self._end, time.monotonic() + STOP_GRACE_S)
        return time.monotonic() > self._end


@contextmanager
def _stopped_by_signals(stop: Event) -> Iterator[None]:
    """SIGTERM and SIGINT set ``stop`` (on the main thread; elsewhere there are no signals).

    So does a SIGHUP of a terminal that was closed; for any other there is nothing to read again.
    """
    if current_thread() is not main_thread():
        yield
        return
    hangup = Hangup()

    def handle(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGHUP or hangup.means_end():
            stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

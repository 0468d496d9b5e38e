"""The ingest worker: sources → plaint.posts, one thread a source, one producer for all of them."""

import logging
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread
from types import FrameType

from pydantic import BaseModel, ConfigDict

from ingest.file import FileSource
from ingest.pace import paced
from ingest.publish import PostPublisher, PublishFailed
from ingest.settings import SourceSettings
from ingest.source import Source, SourceFailed
from plaint.kafka.settings import KafkaSettings
from schemas.faults import Fault

log = logging.getLogger(__name__)

STOP_GRACE_S = 25.0
"""How long after a stop the broker may take to acknowledge what was sent: less than orchestrators wait before they kill."""
TICK_S = 0.5


class Report(BaseModel):
    """What came of a run: every record read was published or is a dead letter, all acknowledged by the broker.

    ``finished`` is false where the run was stopped before its sources ended.
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


def check_sources(sources: Sequence[SourceSettings]) -> list[Fault]:
    """What keeps these sources from starting, with keys as in the settings."""
    return [
        replace(fault, place=f"sources[{index}].{fault.place}")
        for index, settings in enumerate(sources)
        for fault in FileSource(settings).faults()
    ]


def ingest(kafka: KafkaSettings, sources: Sequence[SourceSettings], report: Path | None = None) -> Report:
    """Publish what the sources yield until they all end, or until SIGTERM or SIGINT; what was read is acknowledged then.

    Blocks, waits for a broker that is away, and writes the report at the end if there is a file for it. Raises
    SourceFailed if a source can't start or can't be read, PublishFailed if a record can't be written for good, or, after
    a signal, not in time: then the process must end with a non-zero code, and no report is written. Raises OSError if the
    report can't be written.
    """
    if faults := check_sources(sources):
        raise SourceFailed("\n".join(map(str, faults)))
    if report:
        report.parent.mkdir(parents=True, exist_ok=True)
    stop = Event()
    with (
        closing(PostPublisher(kafka.connection(), kafka.idempotent_producer)) as publisher,
        _stopped_by_signals(stop),
    ):
        readers = [_Reader(FileSource(settings), settings.rate, publisher, stop) for settings in sources]
        _run(readers, publisher, stop)
    result = Report(
        read=publisher.published + publisher.dead.total(),
        published=publisher.published,
        dead={reason.value: count for reason, count in publisher.dead.items()},
        finished=all(reader.ended for reader in readers),
    )
    log.info("ingest: %s", result.model_dump_json())
    if report:
        result.write(report)
    return result


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


def _run(readers: Sequence[_Reader], publisher: PostPublisher, stop: Event) -> None:
    """Raises what a reader raised, or PublishFailed."""
    grace = _Grace(stop)
    for reader in readers:
        reader.start()
    while any(reader.is_alive() for reader in readers):
        for reader in readers:
            reader.join(TICK_S / len(readers))
        publisher.settle()
        if any(reader.error for reader in readers):
            stop.set()
        if grace.is_over():
            raise PublishFailed("the broker did not take what was read in time after the stop")
    errors = [reader.error for reader in readers if reader.error]
    if not any(isinstance(error, PublishFailed) for error in errors):
        publisher.drain(give_up=grace.is_over)
    for error in errors:
        raise error


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
    """SIGTERM and SIGINT set ``stop`` (on the main thread; elsewhere there are no signals)."""
    if current_thread() is not main_thread():
        yield
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

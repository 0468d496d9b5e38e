"""Runs a stage as a Faust agent: batches in, results published, then and only then acknowledged.

What Faust does when an agent raises was measured: ``take`` acknowledges in a ``finally`` and loses the batch, an
exception that escapes ``noack_take`` leaves buffered records unprocessed. So nothing escapes here: records are
acknowledged by hand after the broker has acknowledged what came of them, and where that can't be had the process ends
at once with a code of its own, and the records are read again.
"""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import gettempdir
from typing import Any, NoReturn

import faust
import uvloop

from plaint.kafka.header_names import read_any_header_name
from plaint.kafka.lookback import read_stretch
from plaint.kafka.publisher import OutRecord, Publisher, PublishFailed
from plaint.kafka.settings import KafkaSettings
from plaint.workers.stage import Dropped, InRecord, Outcome, Result, Stage, StageBroken, outcomes
from schemas import topics
from schemas.deadletter import DeadLetter

log = logging.getLogger(__name__)

EXIT_BROKEN = 70
"""Exit code (EX_SOFTWARE) of a worker that can't write its results or whose stage is broken."""


class Tally:
    """What became of the records so far."""

    def __init__(self) -> None:
        self.results = 0
        self.drops: Counter[str] = Counter()
        self.dead: Counter[str] = Counter()

    def add(self, found: Sequence[Outcome]) -> None:
        """Count these outcomes."""
        for outcome in found:
            if isinstance(outcome, Result):
                self.results += 1
            elif isinstance(outcome, Dropped):
                self.drops[outcome.reason.value] += 1
            else:
                self.dead[outcome.reason.value] += 1


class Batches:
    """Takes batches of a stage from records to acknowledged results. Knows nothing of Faust."""

    def __init__(self, kafka: KafkaSettings, stage: Stage, publisher: Publisher, canary: InRecord) -> None:
        self._kafka = kafka
        self.stage = stage
        self.publisher = publisher
        self.canary = canary
        self.tally = Tally()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=stage.name)

    async def handle(self, records: Sequence[InRecord]) -> None:
        """Return once everything that comes of ``records`` is acknowledged. Raises PublishFailed or StageBroken."""
        for stretch in self.stage.unknown(records):
            before = await read_stretch(self._kafka, self.stage.input_topic, *stretch)
            self.stage.remember([in_record(message, message.timestamp / 1000) for message in before])
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._thread, outcomes, self.stage, records, self.canary)
        await self.publisher.publish(written(found, records))
        self.stage.published(records)
        self.tally.add(found)

    def close(self) -> None:
        """End the stage's thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def written(found: Sequence[Outcome], records: Sequence[InRecord]) -> list[OutRecord]:
    """All that these outcomes write. A dead letter goes to the partition of its record."""
    out: list[OutRecord] = []
    for outcome, record in zip(found, records, strict=True):
        if isinstance(outcome, Result):
            out += outcome.records
        elif isinstance(outcome, DeadLetter):
            letter = OutRecord(topics.DEAD_LETTERS, record.partition, outcome.key, outcome.value, outcome.headers())
            out.append(letter)
    return out


def run_stage(
    kafka: KafkaSettings, stage: Stage, canary: InRecord, *, batch: int, linger_s: float, instance: str | None = None
) -> NoReturn:
    """Run ``stage`` in this process until SIGTERM or SIGINT, then end with code 0, or EXIT_BROKEN as told above.

    A batch holds up to ``batch`` records and waits at most ``linger_s`` for them. ``instance`` is the name of a static
    member of the group, unique to this process.
    """
    read_any_header_name()
    uvloop.install()
    asyncio.set_event_loop(asyncio.new_event_loop())
    app = _app(kafka, stage, instance)
    batches = Batches(kafka, stage, Publisher(kafka), canary)
    topic = app.topic(stage.input_topic, key_serializer="raw", value_serializer="raw")

    @app.agent(topic, name=stage.name)  # type: ignore[untyped-decorator]
    async def agent(stream: Any) -> None:
        await batches.publisher.start()
        try:
            async for events in stream.noack_take(batch, within=linger_s):
                await _take(stream, batches, events)
        except Exception:
            log.critical("%s can't go on", stage.name, exc_info=True)
            os._exit(EXIT_BROKEN)
        finally:
            batches.close()
            await batches.publisher.stop()

    worker = faust.Worker(app, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None  # it would write to stdout even when quiet
    worker.execute_from_commandline()
    raise AssertionError("the worker returned")  # it always raises SystemExit


async def _take(stream: Any, batches: Batches, events: Sequence[Any]) -> None:
    try:
        await batches.handle([in_record(event.message, event.message.timestamp) for event in events])
    except (PublishFailed, StageBroken):
        log.critical("%s: ending, the records will be read again", batches.stage.name, exc_info=True)
        os._exit(EXIT_BROKEN)
    for event in events:
        await stream.ack(event)


def in_record(message: Any, timestamp: float) -> InRecord:
    """A message of Faust's or aiokafka's."""
    return InRecord(message.topic, message.partition, message.offset, message.key, message.value, timestamp)


def _app(kafka: KafkaSettings, stage: Stage, instance: str | None) -> faust.App:
    if faust.streams._CStreamIterator is None:
        # The pure Python one acknowledges records that it skips in a rebalance, before anything came of them.
        raise StageBroken("faust-streaming has no compiled stream iterator here; install a wheel that has")
    return faust.App(
        topics.group(stage.name),
        broker=[f"kafka://{broker}" for broker in kafka.brokers],
        broker_credentials=_credentials(kafka),
        autodiscover=False,
        web_enabled=False,
        store="memory://",
        datadir=Path(gettempdir()) / f"plaint-{stage.name}-{os.getpid()}",
        topic_disable_leader=True,
        topic_allow_declare=False,
        stream_wait_empty=False,
        broker_commit_interval=0.5,
        broker_max_poll_records=500,
        broker_session_timeout=kafka.session_timeout_s,
        broker_heartbeat_interval=kafka.heartbeat_s,
        broker_rebalance_timeout=kafka.rebalance_timeout_s,
        broker_request_timeout=max(kafka.rebalance_timeout_s, kafka.session_timeout_s) + 30.0,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=instance,
    )


def _credentials(kafka: KafkaSettings) -> faust.types.auth.CredentialsT | None:
    context = kafka.connection().get("ssl_context")
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password.get_secret_value(),
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context=context) if context else None

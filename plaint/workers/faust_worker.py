"""Runs a stage as a Faust agent: batches in, results published, then and only then acknowledged.

What Faust does when an agent raises was measured: ``take`` acknowledges in a ``finally`` and loses the batch, an
exception that escapes ``noack_take`` leaves buffered records unprocessed. So nothing escapes here: fetches are
acknowledged by hand after the broker has acknowledged what came of them, and where that can't be had the process ends
at once with a code of its own, and the records are read again.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from signal import Signals
from time import perf_counter
from typing import Any, NoReturn

import faust
import uvloop
from yarl import URL

from plaint.kafka.header_names import read_any_header_name
from plaint.kafka.lookback import read_stretch
from plaint.kafka.publisher import OutRecord, Publisher
from plaint.kafka.settings import KafkaSettings
from plaint.monitoring.batches import BatchMeter, BatchSight, Place
from plaint.monitoring.monitor import Monitor
from plaint.workers.fetches import FetchTransport
from plaint.workers.last_moment import STOP_S, end_within, fatal
from plaint.workers.stage import Dropped, InRecord, Outcome, Result, Stage, StageBroken, outcomes
from schemas import topics
from schemas.deadletter import DeadLetter


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


def stage_thread(name: str) -> ThreadPoolExecutor:
    """One thread for a stage to work in: what others put into it runs between two batches."""
    return ThreadPoolExecutor(1, thread_name_prefix=name)


class Batches:
    """Takes batches of a stage from records to acknowledged results, in two steps. Knows nothing of Faust."""

    def __init__(
        self,
        kafka: KafkaSettings,
        stage: Stage,
        publisher: Publisher,
        canary: InRecord,
        thread: ThreadPoolExecutor | None = None,
    ) -> None:
        """``thread`` is the one that the stage works in, None for one of its own."""
        self._kafka = kafka
        self.stage = stage
        self.publisher = publisher
        self.canary = canary
        self.tally = Tally()
        self.meter = BatchMeter()
        self._thread = thread or stage_thread(stage.name)

    async def process(self, records: Sequence[InRecord]) -> list[Outcome]:
        """What becomes of ``records``. Raises StageBroken."""
        for stretch in self.stage.unknown(records):
            before = await read_stretch(self._kafka, self.stage.input_topic, *stretch)
            self.stage.remember([in_record(message) for message in before])
        loop = asyncio.get_running_loop()
        self.meter.taken(records)
        begun = perf_counter()
        found = await loop.run_in_executor(self._thread, outcomes, self.stage, records, self.canary)
        self.meter.computed.add(perf_counter() - begun)
        return found

    async def write(self, found: Sequence[Outcome], records: Sequence[InRecord]) -> None:
        """Return once everything that these outcomes write is acknowledged. Raises NotWritten."""
        begun = perf_counter()
        await self.publisher.publish(written(found, records))
        self.meter.written(perf_counter() - begun)
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


class Pump:
    """Moves fetches through a stage: while one batch is being written, the next is computed already.

    Batches are acknowledged in their order, each once all that came of it is written. A fetch from before a rebalance is
    left out: whoever owns its partition now, maybe this process, reads it again.
    """

    def __init__(
        self, app: faust.App, batches: Batches, batch: int, linger_s: float, fatal: Callable[[BaseException], object]
    ) -> None:
        """``fatal`` must end the process: it is called when a stage is broken or a result can't be written."""
        self._app = app
        self._fatal = fatal
        self._batches = batches
        self._batch = batch
        self._linger_s = linger_s
        self._fed: asyncio.Queue[Any] = asyncio.Queue(maxsize=1)
        self._held: Any = None
        self._ended = False

    async def feed(self, event: Any) -> None:
        """Take a fetch; waits while there is enough to do."""
        await self._fed.put(event)

    async def end(self) -> None:
        """Let ``run`` end once the batches under way are acknowledged."""
        self._ended = True
        while not self._fed.empty():
            self._fed.get_nowait()
        await self._fed.put(None)

    async def run(self, stream: Any) -> None:
        """Work until ``end`` is called."""
        try:
            await self._run(stream)
        except Exception as error:
            self._fatal(error)

    async def _run(self, stream: Any) -> None:
        writing: asyncio.Task[None] | None = None
        while events := await self._gather():
            events = [event for event in events if self._is_current(event)]
            records = [in_record(record) for event in events for record in event.message.records]
            if not records:
                continue
            found = await self._batches.process(records)
            if writing is not None:
                await writing
            writing = asyncio.create_task(self._write(stream, events, records, found))
        if writing is not None:
            await writing

    async def _write(
        self, stream: Any, events: Sequence[Any], records: Sequence[InRecord], found: Sequence[Outcome]
    ) -> None:
        try:
            await self._batches.write(found, records)
            for event in events:
                await stream.ack(event)
        except Exception as error:
            self._fatal(error)

    def _is_current(self, event: Any) -> bool:
        return bool(event.message.generation_id == self._app.consumer_generation_id)

    async def _gather(self) -> list[Any]:
        """Fetches of at most ``batch`` records together (a fetch holds no more); none once it is to end."""
        if self._ended:
            return []
        first = self._held or await self._fed.get()
        self._held = None
        if first is None:
            return []
        events, count = [first], len(first.message.records)
        due = asyncio.get_running_loop().time() + self._linger_s
        while count < self._batch and (event := await self._next(due)) is not None:
            count += len(event.message.records)
            if count > self._batch:
                self._held = event
            else:
                events.append(event)
        return events

    async def _next(self, due: float) -> Any:
        """The next fetch, or None if there is none until ``due`` or it is to end."""
        if not self._fed.empty():
            return self._fed.get_nowait()
        try:
            async with asyncio.timeout_at(due):
                return await self._fed.get()
        except TimeoutError:
            return None


def run_stage(
    kafka: KafkaSettings,
    stage: Stage,
    canary: InRecord,
    *,
    batch: int,
    linger_s: float,
    monitor: Monitor,
    instance: str | None = None,
    thread: ThreadPoolExecutor | None = None,
) -> NoReturn:
    """Run ``stage`` in this process until SIGTERM or SIGINT, then end with code 0, or 70 as told above.

    It ends with 70 as well if what it has in hand is not done STOP_S after the signal, as while Kafka is away.

    A batch holds up to ``batch`` records and waits at most ``linger_s`` for them. ``instance`` is the name of a static
    member of the group, unique to this process. ``thread`` is one of `stage_thread`, for those who put more into it.
    """
    read_any_header_name()
    uvloop.install()
    asyncio.set_event_loop(asyncio.new_event_loop())
    app = _app(kafka, stage, batch, instance)
    batches = Batches(kafka, stage, Publisher(kafka), canary, thread)
    topic = app.topic(stage.input_topic, key_serializer="raw", value_serializer="raw")

    @app.agent(topic, name=stage.name)  # type: ignore[untyped-decorator]
    async def agent(stream: Any) -> None:
        await batches.publisher.start()
        pump = Pump(app, batches, batch, linger_s, fatal)
        work = asyncio.create_task(pump.run(stream))
        try:
            async for event in stream.noack().events():
                await pump.feed(event)
        except Exception as error:
            fatal(error)
        finally:
            await pump.end()
            await work
            batches.close()
            await batches.publisher.stop()

    _show(monitor, kafka, app, batches)
    worker = _Worker(app, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None  # it would write to stdout even when quiet
    worker.execute_from_commandline()
    raise AssertionError("the worker returned")  # it always raises SystemExit


def _show(monitor: Monitor, kafka: KafkaSettings, app: faust.App, batches: Batches) -> None:
    """Let the monitor tell of the stage, and its watchdog look at it."""
    stage = batches.stage

    def in_group() -> bool:
        return app.rebalancing_count > 0 and not app.rebalancing

    def places() -> dict[int, Place]:
        return _places(app, stage.input_topic)

    sight = BatchSight(stage.name, batches.meter, batches.tally, places, monitor.ends, in_group, stage.input_topic)
    monitor.needs.ask("group", in_group)
    monitor.show(sight)
    monitor.watch(kafka, sight)


def _places(app: faust.App, topic: str) -> dict[int, Place]:
    """Where Faust's consumer stands on each partition that it owns. Any thread may ask."""
    if not app.rebalancing_count:  # its consumer may not be there yet
        return {}
    consumer = app.consumer
    committed = dict(consumer._committed_offset)
    return {
        tp.partition: Place(committed.get(tp), consumer.highwater(tp))
        for tp in consumer.assignment()
        if tp.topic == topic
    }


def in_record(record: Any) -> InRecord:
    """A record of aiokafka's."""
    return InRecord(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        record.timestamp / 1000,
        is_replay=bool(record.headers) and any(name == topics.REPLAYED_HEADER for name, _ in record.headers),
    )


class App(faust.App):  # type: ignore[misc]
    """A stage keeps no tables, for which Faust would make folders."""

    async def on_first_start(self) -> None:
        pass


class _Worker(faust.Worker):  # type: ignore[misc]
    """Faust waits without end for what its services do last, be it a word from a broker that is away."""

    def _schedule_shutdown(self, signal: Signals) -> None:
        end_within(STOP_S)
        super()._schedule_shutdown(signal)

    def _crash(self, reason: BaseException) -> None:
        """A service of Faust's failed, as a consumer that may no longer read: Faust itself would end with code 1."""
        fatal(reason)


def _app(kafka: KafkaSettings, stage: Stage, batch: int, instance: str | None) -> faust.App:
    if faust.streams._CStreamIterator is None:
        # The pure Python one acknowledges records that it skips in a rebalance, before anything came of them.
        raise StageBroken("faust-streaming has no compiled stream iterator here; install a wheel that has")
    app = App(
        topics.group(stage.name),
        broker=[f"kafka://{broker}" for broker in kafka.brokers],
        broker_credentials=_credentials(kafka),
        autodiscover=False,
        web_enabled=False,
        store="memory://",
        topic_disable_leader=True,
        topic_allow_declare=False,
        stream_wait_empty=False,
        broker_commit_interval=0.5,
        broker_max_poll_records=min(batch, 500),
        stream_buffer_maxsize=4,
        broker_session_timeout=kafka.session_timeout_s,
        broker_heartbeat_interval=kafka.heartbeat_s,
        broker_rebalance_timeout=kafka.rebalance_timeout_s,
        broker_request_timeout=max(kafka.rebalance_timeout_s, kafka.session_timeout_s) + 30.0,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=instance,
    )
    app.transport = FetchTransport([URL(f"kafka://{broker}") for broker in kafka.brokers], app)
    return app


def _credentials(kafka: KafkaSettings) -> faust.types.auth.CredentialsT | None:
    context = kafka.connection().get("ssl_context")
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.password(),
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context=context) if context else None

"""Runs a stage as a Faust agent: batches in, results published, then and only then acknowledged.

What Faust does when an agent raises was measured: ``take`` acknowledges in a ``finally`` and loses the batch, an
exception that escapes ``noack_take`` leaves buffered records unprocessed. So nothing escapes here: fetches are
acknowledged by hand after the broker has acknowledged what came of them, and where that can't be had the process ends
at once with a code of its own, and the records are read again.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from signal import Signals
from typing import Any, NoReturn

import faust
import uvloop
from yarl import URL

from plaint.kafka.header_names import read_any_header_name
from plaint.kafka.publisher import Publisher
from plaint.kafka.settings import KafkaSettings
from plaint.monitoring.batches import BatchSight, Place
from plaint.monitoring.monitor import Monitor
from plaint.workers.batches import Batches
from plaint.workers.fetches import FetchTransport
from plaint.workers.last_moment import STOP_S, end_within, fatal
from plaint.workers.pump import Pump
from plaint.workers.stage import InRecord, Stage, StageBroken
from schemas import topics


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
        await _connected(batches.publisher)
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


async def _connected(publisher: Publisher) -> None:
    """Faust would start an agent that fails twice and then never again, and go on without it."""
    try:
        await publisher.start()
    except Exception as error:
        fatal(error)


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

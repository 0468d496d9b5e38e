"""A Kafka that is stopped while records flow, or that nobody reaches: what processes and commands do meanwhile."""

import asyncio
import logging
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from plaint.broker.settings import BrokerSettings
from plaint.broker.start import start_broker
from plaint.failures import EXIT_UNAVAILABLE
from plaint.kafka import reading
from plaint.kafka.admin import open_admin
from plaint.kafka.consumer import new_consumer
from plaint.kafka.publisher import OutRecord, Publisher
from plaint.kafka.reading import EARLIEST, TopicReader
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from plaint.leftovers import find_strangers
from schemas import topics
from schemas.faults import Unavailable
from tests.plaint.delivering import SECRET, make_topics, until
from tests.support.command import PLAINT, environment, plaint, shown
from tests.support.kafka_process import KafkaProcess, free_ports, kafka_cluster, why_no_kafka
from tests.support.topic_reading import wait_for

NAME = "desk"
TICKETS = topics.tickets(NAME)
ROUTES = f"rules: [{{name: all, why: Whatever it is., match: {{}}, destinations: [{NAME}]}}]"
Run = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """``run(bootstrap, "route")`` is ``plaint run route`` on that Kafka; what it logs stands in a file of its name."""
    started: list[subprocess.Popen[bytes]] = []
    (tmp_path / "routes.yaml").write_text(ROUTES)

    def one(bootstrap: str, stage: str, *options: str) -> "subprocess.Popen[bytes]":
        settings = {
            "PLAINT_KAFKA__BROKERS": f'["{bootstrap}"]',
            f"PLAINT_DESTINATIONS__{NAME.upper()}__URL": "http://127.0.0.1:9/hook",
            f"PLAINT_DESTINATIONS__{NAME.upper()}__SECRET": SECRET,
            "PLAINT_ROUTE__ROUTES": "routes.yaml",
            "PLAINT_MONITORING__PORT": "0",
            "PLAINT_RUNTIME_DIR": str(tmp_path / "run"),
        }
        with (tmp_path / stage).open("wb") as log:
            started.append(
                subprocess.Popen(
                    [PLAINT, "run", stage, *options], stderr=log, stdout=log, cwd=tmp_path, env=environment(settings)
                )
            )
        return started[-1]

    yield one
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.kafka
async def test_who_writes_asks_once_a_second_whether_a_stopped_kafka_is_back_and_goes_on_then(
    new_kafka: Callable[..., KafkaProcess], caplog: pytest.LogCaptureFixture
) -> None:
    node = new_kafka()
    await make_topics(node.bootstrap, NAME)
    async with _flowing(node.bootstrap, *((TICKETS, number) for number in range(4))) as written:
        await until(lambda: len(written) == 4)
        await asyncio.to_thread(node.stop)
        caplog.clear()
        await until(lambda: len(_refused(caplog)) >= 4)
        refused = _refused(caplog)
        assert refused[3].created - refused[0].created > 2.5
        before = Counter(written)
        await asyncio.to_thread(node.start)
        await until(lambda: all(written[lane] > before[lane] + 1 for lane in before))


@pytest.mark.kafka
@pytest.mark.long
async def test_who_writes_and_who_reads_asks_a_few_times_a_second_whether_a_partition_has_a_leader_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PATIENCE_S", 600)  # as long as a busy machine may take to start a broker
    if reason := why_no_kafka():
        pytest.skip(f"NOT TESTED ON APACHE KAFKA: {reason}")
    with ExitStack() as running:
        first, second = (running.enter_context(node) for node in kafka_cluster(tmp_path, 2))
        kafka = KafkaSettings(brokers=(first.bootstrap,))
        ensure_topics(kafka, [])
        lost = _led_by(2, kafka)
        async with Publisher(kafka) as publisher, TopicReader(kafka) as reader:
            await publisher.append(topics.POSTS, lost, [OutRecord(topics.POSTS, lost, b"key", b"before")])
            read: list[bytes | None] = []
            following = asyncio.create_task(_follow(reader, lost, read.append))
            await until(lambda: read == [b"before"])
            caplog.set_level(logging.DEBUG, "aiokafka")
            second.kill()
            await until(lambda: any(record.msg.startswith("No leader found") for record in caplog.records))
            caplog.clear()
            written = asyncio.create_task(
                publisher.append(topics.POSTS, lost, [OutRecord(topics.POSTS, lost, b"key", b"after")])
            )
            await until(lambda: len(_asked(caplog)) >= 40)
            asked = _asked(caplog)[:40]
            caplog.set_level(logging.WARNING, "aiokafka")
            assert asked[-1].created - asked[0].created > 2
            await asyncio.to_thread(second.start)
            assert await written == [1]
            await until(lambda: read == [b"before", b"after"])
            following.cancel()


def test_the_first_that_reads_in_a_process_rests_as_those_after_it() -> None:
    script = """
import asyncio
from plaint.kafka.consumer import new_consumer
from plaint.kafka.settings import KafkaSettings

async def kind():
    return type(new_consumer(KafkaSettings(brokers=("127.0.0.1:1",)))._client).__module__

print(asyncio.run(kind()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "plaint.kafka.resting\n", done.stderr


async def test_a_reader_is_stopped_also_where_its_broker_went_away_under_it(caplog: pytest.LogCaptureFixture) -> None:
    with start_broker(BrokerSettings()) as broker:
        kafka = broker.adapt(KafkaSettings())
        await asyncio.to_thread(ensure_topics, kafka, [NAME])
        consumer = new_consumer(kafka, retry_backoff_ms=60_000)
        await consumer.start()
        where = TopicPartition(topics.POSTS, 0)
        consumer.assign([where])
        consumer.seek(where, 0)
        broker.process.kill()
        await until(lambda: any(record.msg.startswith("Failed fetch messages") for record in caplog.records))
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait([stopping])
    assert not stopping.cancelled()
    stopping.result()


@pytest.mark.kafka
@pytest.mark.long
async def test_stages_that_are_told_to_end_while_kafka_is_away_end_within_half_a_minute_and_say_so(
    new_kafka: Callable[..., KafkaProcess], run: Run, tmp_path: Path
) -> None:
    node = new_kafka()
    await make_topics(node.bootstrap, NAME)
    # What can't be read becomes a dead letter: both stages write all the time.
    async with _flowing(node.bootstrap, (topics.TRIAGED, 0), (TICKETS, 0)):
        stages = {"route": run(node.bootstrap, "route")}
        await asyncio.to_thread(wait_for, node.bootstrap, topics.DEAD_LETTERS, 50)
        stages["deliver"] = run(node.bootstrap, "deliver", "--destination", NAME)
        await until(lambda: "partition 0 is ours" in (tmp_path / "deliver").read_text())
        await asyncio.to_thread(node.stop)
        await until(lambda: all("Unable to update metadata" in (tmp_path / stage).read_text() for stage in stages))
        for process in stages.values():
            process.terminate()
        await until(lambda: all(process.poll() is not None for process in stages.values()))
        await asyncio.to_thread(node.start)
    assert {stage: process.returncode for stage, process in stages.items()} == {"route": 70, "deliver": 70}
    for stage in stages:
        assert "ends at once: it was told to end 28 s ago" in (tmp_path / stage).read_text()


def test_a_stage_whose_writer_gets_no_answer_that_it_knows_ends_and_says_so(run: Run, tmp_path: Path) -> None:
    with start_broker(BrokerSettings(embedded="tansu")) as broker:  # it refuses a producer that counts its records
        ensure_topics(broker.adapt(KafkaSettings()), [NAME])
        [address] = broker.adapt(KafkaSettings()).brokers
        assert run(address, "route").wait(60) == 70
    assert "ends at once: UnknownError" in (tmp_path / "route").read_text()


def test_a_process_that_hangs_when_it_is_told_to_end_ends_with_70_and_says_so() -> None:
    hangs = (
        "import threading; from plaint.workers.last_moment import end_within; end_within(0.1); threading.Event().wait()"
    )
    done = subprocess.run([sys.executable, "-c", hangs], capture_output=True, timeout=30, check=False)
    assert done.returncode == 70
    assert b"ends at once: it was told to end 0 s ago and is not done, is Kafka away?" in done.stderr


@pytest.mark.parametrize(
    "words", ["explain 1", "tail", "tickets list", "dead list", "forget 1", "destination list", "topics", "send hello"]
)
def test_every_command_that_finds_no_broker_says_so_in_the_same_words(words: str, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    settings = {"PLAINT_KAFKA__BROKERS": f'["127.0.0.1:{port}"]', "PLAINT_RUNTIME_DIR": str(tmp_path)}
    done = plaint(*words.split(), cwd=tmp_path, settings=settings)
    assert done.returncode == EXIT_UNAVAILABLE
    assert shown(done) == f"plaint: no broker answers: 127.0.0.1:{port}: Connection refused\n"


async def test_who_reads_topics_is_told_what_to_look_at_where_a_broker_hangs_up() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    kafka = KafkaSettings(brokers=(f"{host}:{port}",))
    said = (
        f"no answer from {host}:{port}: .* kafka.security_protocol is PLAINTEXT, are protocol, user and password right?"
    )
    async with server:
        for reading in (TopicReader(kafka).__aenter__(), find_strangers(kafka, [])):
            with pytest.raises(Unavailable, match=said):
                await reading


@asynccontextmanager
async def _flowing(bootstrap: str, *lanes: tuple[str, int]) -> AsyncIterator[Counter[tuple[str, int]]]:
    """Writes records that no stage can read to these topics and partitions without end; yields how many."""
    publisher = Publisher(KafkaSettings(brokers=(bootstrap,)))
    await publisher.start()
    written = Counter[tuple[str, int]]()

    async def flow(topic: str, partition: int) -> None:
        while True:
            await publisher.append(topic, partition, [OutRecord(topic, partition, b"key", b"value")])
            written[topic, partition] += 1

    flows = [asyncio.create_task(flow(*lane)) for lane in lanes]
    try:
        yield written
    finally:
        for task in flows:
            task.cancel()
        await asyncio.gather(*flows, return_exceptions=True)
        await publisher.stop()


def _led_by(node: int, kafka: KafkaSettings) -> int:
    """The first partition of the posts that this node leads."""
    with open_admin(kafka, 20) as admin:
        [found] = admin.describe_topics([topics.POSTS])
    return next(int(part["partition_index"]) for part in found["partitions"] if part["leader_id"] == node)


async def _follow(reader: TopicReader, partition: int, tell: Callable[[bytes | None], object]) -> None:
    """Tell of what stands and comes on a partition of the posts."""
    async for record in reader.follow({topics.POSTS: [partition]}, EARLIEST):
        tell(record.value)


def _asked(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.msg.startswith("Sending metadata request")]


def _refused(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.msg.startswith("Unable to update metadata")]

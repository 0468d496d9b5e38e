"""Brokers for every test: a real Apache Kafka and the embedded one, each started once a run and only if a test asks for it.

plaint is imported inside the fixtures, so that black-box tests don't import it by being collected.
"""

import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.kafka_process import KafkaProcess, kafka_home, why_no_kafka

# A shell ignores these in what it starts in the background, and children inherit that: tests send them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, else the run ends with one process idle. Within a file the order stays: tests that share
    something may build on each other.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    items[:] = [item for file in sorted(files.values(), key=lambda file: min(map(_begins, file))) for item in file]


def _begins(item: pytest.Item) -> int:
    if "system" in item.path.parts:
        return 0
    return 1 if item.get_closest_marker("kafka") else 2


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a real Apache Kafka, shared by the whole run."""
    if reason := why_no_kafka():
        pytest.skip(f"NOT TESTED ON APACHE KAFKA: {reason}")
    from plaint.broker.settings import BrokerSettings
    from plaint.broker.start import start_broker

    data_dir = tmp_path_factory.mktemp("kafka")
    settings = BrokerSettings(embedded="kafka", kafka_home=kafka_home(), data_dir=data_dir, start_timeout_s=150)
    with start_broker(settings) as broker:
        yield broker.bootstrap


@pytest.fixture(scope="session")
def tansu() -> Iterator[str]:
    """Bootstrap address of the embedded broker, shared by the whole run."""
    from plaint.broker.settings import BrokerSettings
    from plaint.broker.start import start_broker

    with start_broker(BrokerSettings(embedded="tansu")) as broker:
        yield broker.bootstrap


@pytest.fixture(params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> str:
    """Bootstrap address of each broker in turn."""
    bootstrap: str = request.getfixturevalue(request.param)
    return bootstrap


@pytest.fixture
def new_tansu() -> Iterator[str]:
    """Bootstrap address of an embedded broker of the test's own, empty (0.1 s)."""
    from plaint.broker.settings import BrokerSettings
    from plaint.broker.start import start_broker

    with start_broker(BrokerSettings(embedded="tansu")) as broker:
        yield broker.bootstrap


@pytest.fixture
def new_kafka(tmp_path: Path) -> Iterator[Callable[..., KafkaProcess]]:
    """Makes Kafkas of the test's own (3 s each), which it may pause, kill and restart; ``new_kafka(properties={...})``."""
    if reason := why_no_kafka():
        pytest.skip(f"NOT TESTED ON APACHE KAFKA: {reason}")
    made: list[KafkaProcess] = []

    def make(**options: object) -> KafkaProcess:
        made.append(KafkaProcess(tmp_path / f"kafka{len(made)}", **options))  # type: ignore[arg-type]
        return made[-1].start()

    yield make
    for node in made:
        node.kill()


@pytest.fixture
def fresh() -> str:
    """A suffix that no other test has: for destinations, and so for topics and groups, on a broker that tests share."""
    return uuid.uuid4().hex[:8]

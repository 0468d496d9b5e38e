"""The whole of plaint on a real Kafka, started once for all system tests: each test has posts of its own on it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.kafka_process import KafkaProcess, why_no_kafka
from tests.system.lab import Lab, open_lab
from tests.system.posts import write_posts
from tests.system.stack import HEAVY, Stack
from tests.system.verdict import settle

START_S = 120


@dataclass(frozen=True)
class Running:
    """The stack and its Kafka, which a test may stop, kill and start again."""

    stack: Stack
    node: KafkaProcess


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two workers a stage, all of them at work."""
    if reason := why_no_kafka():
        pytest.skip(f"NOT TESTED ON APACHE KAFKA: {reason}")
    folder = tmp_path_factory.mktemp("system")
    settings = {"classify": HEAVY}
    with KafkaProcess(folder / "kafka") as node, Stack(folder / "stack", node.bootstrap, settings=settings) as stack:
        ids = write_posts(folder / "first.jsonl", "first:", 40)
        verdict = settle(stack, ids, stack.feed(folder / "first.jsonl"), START_S)
        assert not verdict.faults, verdict.faults
        yield Running(stack, node)


@pytest.fixture
def stack(running: Running) -> Iterator[Stack]:
    """The running stack, with a receiver that works again after the test."""
    yield running.stack
    running.stack.receiver.fail()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One worker a stage on another Kafka, whose topics hold garbage that other tests' readers need not bear."""
    if reason := why_no_kafka():
        pytest.skip(f"NOT TESTED ON APACHE KAFKA: {reason}")
    with open_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab

"""A broker of three goes away while posts flow: the others go on, nothing is lost, nothing comes twice."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from tests.support.command import plaint
from tests.support.kafka_process import KafkaProcess, kafka_cluster, why_no_kafka
from tests.system.outages import outage
from tests.system.posts import write_posts
from tests.system.stack import DESTINATIONS, Stack
from tests.system.verdict import Verdict, settle
from tests.system.ward import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[KafkaProcess]]:
    """Three brokers; a record is written once two of them have it."""
    if reason := why_no_kafka():
        pytest.skip(f"NOT TESTED ON APACHE KAFKA: {reason}")
    with ExitStack() as running:
        yield [
            running.enter_context(node) for node in kafka_cluster(tmp_path / "kafka", 3, {"min.insync.replicas": "2"})
        ]


@pytest.fixture
def stack(nodes: list[KafkaProcess], tmp_path: Path) -> Iterator[Stack]:
    """One worker a stage, all of them at work."""
    kafka = {"brokers": [node.bootstrap for node in nodes], "replication_factor": 3}
    with Stack(tmp_path / "stack", nodes[0].bootstrap, workers=1, settings={"kafka": kafka}) as stack:
        assert _verdict(stack, tmp_path, "first").faults == {}
        yield stack


def test_one_of_three_is_killed_and_comes_back(stack: Stack, nodes: list[KafkaProcess], tmp_path: Path) -> None:
    def happen() -> None:
        stack.hang_up()
        nodes[1].kill()
        eventually(lambda: _doctor(stack) == {"brokers": "warn", "topics": "warn", "groups": "warn"})
        nodes[1].start()

    report = outage(stack, tmp_path, "killed", posts=300, rate=30, before_s=1, happen=happen, timeout_s=200)
    assert report.verdict.faults == {}
    assert report.verdict.tickets == report.verdict.expected
    assert all(report.verdict.tickets[name] > 0 for name in DESTINATIONS)
    assert report.exits == []
    assert _replicas(nodes[0]) == {3}


def test_one_of_three_hangs_and_posts_become_tickets_all_the_same(
    stack: Stack, nodes: list[KafkaProcess], tmp_path: Path
) -> None:
    stack.hang_up()
    nodes[2].pause()
    assert _verdict(stack, tmp_path, "meanwhile").faults == {}
    nodes[2].resume()
    assert _verdict(stack, tmp_path, "after").faults == {}
    assert stack.incidents("exit") == []


def _verdict(stack: Stack, folder: Path, name: str) -> Verdict:
    posts = folder / f"{name}.jsonl"
    return settle(stack, write_posts(posts, f"{name}:", 20), stack.feed(posts), 120)


def _doctor(stack: Stack) -> dict[str, str]:
    """What the doctor makes of the brokers and of what they keep; groups forget more than topics, as Kafka ships."""
    words = ("doctor", "--json", "brokers", "topics", "groups")
    done = plaint(*words, cwd=stack.folder, settings=stack.environment("classify-0"))
    return {check["name"]: check["state"] for check in json.loads(done.stdout)}


def _replicas(node: KafkaProcess) -> set[int]:
    """How many the partitions of plaint's topics have."""
    admin = KafkaAdminClient(bootstrap_servers=node.bootstrap)
    try:
        told = admin.describe_topics([name for name in admin.list_topics() if name.startswith("plaint.")])
    finally:
        admin.close()
    return {len(part["replica_nodes"]) for topic in told for part in topic["partitions"]}

"""A broker of three goes away while posts flow: the others go on, nothing is lost, nothing comes twice.

How often a record lies there is the brokers' own default, which nobody says to plaint.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from tests.support.command import plaint
from tests.support.kafka_process import KafkaProcess, kafka_cluster, why_no_kafka
from tests.system.outages import outage
from tests.system.posts import write_posts
from tests.system.stack import DESTINATIONS, SECRET, Stack
from tests.system.verdict import Verdict, settle
from tests.system.ward import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[KafkaProcess]]:
    """Three brokers that all get each record; it is written once two of them have it."""
    if reason := why_no_kafka():
        pytest.skip(f"NOT TESTED ON APACHE KAFKA: {reason}")
    properties = {"default.replication.factor": "3", "min.insync.replicas": "2"}
    with ExitStack() as running:
        yield [running.enter_context(node) for node in kafka_cluster(tmp_path / "kafka", 3, properties)]


@pytest.fixture
def stack(nodes: list[KafkaProcess], tmp_path: Path) -> Iterator[Stack]:
    """One worker a stage, all of them at work."""
    kafka = {"brokers": [node.bootstrap for node in nodes]}
    with Stack(tmp_path / "stack", nodes[0].bootstrap, workers=1, settings={"kafka": kafka}) as stack:
        assert _verdict(stack, tmp_path, "first").faults == {}
        yield stack


def test_one_of_three_is_killed_and_comes_back(stack: Stack, nodes: list[KafkaProcess], tmp_path: Path) -> None:
    def happen() -> None:
        stack.hang_up()
        nodes[1].kill()
        eventually(lambda: _states(stack) == {"brokers": "warn", "topics": "warn", "groups": "warn"})
        nodes[1].start()

    report = outage(stack, tmp_path, "killed", posts=300, rate=30, before_s=1, happen=happen, timeout_s=200)
    assert report.verdict.faults == {}
    assert report.verdict.tickets == report.verdict.expected
    assert all(report.verdict.tickets[name] > 0 for name in DESTINATIONS)
    assert report.exits == []
    assert _replicas(nodes[0]) == {3}
    eventually(lambda: _states(stack) == {"brokers": "ok", "topics": "ok", "groups": "warn"})


def test_one_of_three_hangs_and_posts_become_tickets_all_the_same(
    stack: Stack, nodes: list[KafkaProcess], tmp_path: Path
) -> None:
    stack.hang_up()
    nodes[2].pause()
    assert _verdict(stack, tmp_path, "meanwhile").faults == {}
    nodes[2].resume()
    assert _verdict(stack, tmp_path, "after").faults == {}
    assert stack.incidents("exit") == []


def test_topics_that_one_broker_would_stop_or_take_with_it_are_told(nodes: list[KafkaProcess], tmp_path: Path) -> None:
    kafka = {"brokers": [node.bootstrap for node in nodes]}
    desk = {"PLAINT_DESTINATIONS": json.dumps({"desk": {"url": "https://a.example", "secret": SECRET}})}
    made = {"PLAINT_KAFKA": json.dumps(kafka)}
    single = desk | {"PLAINT_KAFKA": json.dumps(kafka | {"replication_factor": 1})}
    for settings in (made, single):
        assert plaint("topics", "--create", cwd=tmp_path, settings=settings).returncode == 0
    assert _topics(tmp_path, made) == {}
    _set_in_sync(nodes[0], {"plaint.posts": 3, "plaint.triaged": 1})
    told = _topics(tmp_path, made | desk)
    assert told.keys() == {"plaint.posts", "plaint.triaged", "plaint.deliveries.desk", "plaint.tickets.desk"}
    assert "min.insync.replicas is 3 with 3 replicas" in told["plaint.posts"]
    assert "--topic plaint.posts --add-config min.insync.replicas=2" in told["plaint.posts"]
    assert "min.insync.replicas is 1 with 3 replicas" in told["plaint.triaged"]
    assert "--topic plaint.triaged --add-config min.insync.replicas=2" in told["plaint.triaged"]
    assert "has one replica on 3 brokers" in told["plaint.tickets.desk"]
    _set_in_sync(nodes[0], {"plaint.posts": 2, "plaint.triaged": 2})
    assert _topics(tmp_path, made) == {}


def _verdict(stack: Stack, folder: Path, name: str) -> Verdict:
    posts = folder / f"{name}.jsonl"
    return settle(stack, write_posts(posts, f"{name}:", 20), stack.feed(posts), 120)


def _states(stack: Stack) -> dict[str, str]:
    """What the doctor makes of the brokers and of what they keep; groups forget more than topics, as Kafka ships."""
    found = _doctor(stack.folder, stack.environment("classify-0"), "brokers", "topics", "groups")
    return {check["name"]: check["state"] for check in found}


def _topics(folder: Path, settings: dict[str, str]) -> dict[str, str]:
    """What the doctor says of each topic that is not as it should be."""
    found = _doctor(folder, settings, "topics")[-1]["findings"]
    return {one["place"]: f"{one['what']} → {one['mend']}" for one in found}


def _doctor(folder: Path, settings: dict[str, str], *checks: str) -> list[dict[str, Any]]:
    done = plaint("doctor", "--json", *checks, cwd=folder, settings=settings)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _set_in_sync(node: KafkaProcess, least: dict[str, int]) -> None:
    """How many replicas must have a record of these topics before it is acknowledged."""
    admin = KafkaAdminClient(bootstrap_servers=node.bootstrap)
    try:
        for name, count in least.items():
            configs = {"min.insync.replicas": str(count)}
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=configs)])
    finally:
        admin.close()


def _replicas(node: KafkaProcess) -> set[int]:
    """How many the partitions of plaint's topics have."""
    admin = KafkaAdminClient(bootstrap_servers=node.bootstrap)
    try:
        told = admin.describe_topics([name for name in admin.list_topics() if name.startswith("plaint.")])
    finally:
        admin.close()
    return {len(part["replica_nodes"]) for topic in told for part in topic["partitions"]}

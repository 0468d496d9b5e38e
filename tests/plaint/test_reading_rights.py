"""Which rights looking and sending again need on a Kafka that asks for them, and what is said where they are missing."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)

from plaint.again.dead_letters import replay, stand_of
from plaint.again.plan import Plan, WriteRefused
from plaint.again.tickets import plan_retries, retry
from plaint.kafka.joining import JoinRefused, require_reads
from plaint.kafka.publisher import OutRecord
from plaint.kafka.reading import ReadRefused, TopicReader
from plaint.kafka.rights import roles
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from plaint.lookup.dead import WantedLetters, find_letters
from plaint.lookup.explain import explain
from plaint.lookup.tickets import WantedTickets, list_tickets
from plaint.monitoring.watchdog import REFUSED, probe
from plaint.reloading.hot_routes import WorkerRoutes
from route.rules import RouteTable
from schemas import topics
from tests.plaint.delivering import kafka_settings, write
from tests.plaint.looking import Log, asked, letter, post, ticket_of, triage
from tests.support.kafka_process import KafkaProcess, why_no_kafka

pytestmark = pytest.mark.kafka

USERS = ("reader", "writer", "blind", "router")
READ = (ACLOperation.DESCRIBE, ACLOperation.READ)
WRITES = (topics.tickets("helpdesk"), topics.POSTS, topics.DEAD_LETTERS)
ONE = ticket_of("x:1", "helpdesk")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaProcess]:
    """A Kafka with the topics, a dead ticket and a dead letter, and users that may do what the commands' help says."""
    if reason := why_no_kafka():
        pytest.skip(f"NOT TESTED ON APACHE KAFKA: {reason}")
    logins = " ".join(f'user_{name}="s3same"' for name in USERS)
    properties = {
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": (
            f"org.apache.kafka.common.security.plain.PlainLoginModule required {logins};"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    folder: Path = tmp_path_factory.mktemp("rights")
    with KafkaProcess(folder / "kafka", properties, ["SASL_PLAINTEXT"]) as started:
        ensure_topics(kafka_settings(started.bootstrap), ["helpdesk"])
        admin = KafkaAdminClient(bootstrap_servers=started.bootstrap)
        admin.create_acls(
            [
                *(_allow(user, "plaint.", one, prefix=True) for user in ("reader", "writer") for one in READ),
                *(_allow("writer", name, ACLOperation.WRITE) for name in WRITES),
                _allow("blind", "plaint.", ACLOperation.DESCRIBE, prefix=True),
                _allow("blind", topics.group("route"), ACLOperation.READ, ResourceType.GROUP),
                *(
                    _allow("router", right.name, _operation(name))
                    for right in roles(["helpdesk"])["route"]
                    if right.kind == "topic"
                    for name in right.operations
                ),
            ]
        )
        admin.close()
        lost = post("x:2")
        records = [post("x:1"), triage("x:1"), asked(ONE), Log(ONE).open(), Log(ONE).end("dead"), lost]
        asyncio.run(
            write(started.bootstrap, [*records, letter(f"plaint.posts[{lost.partition}]@1", lost.value, lost.key)])
        )
        yield started


def _allow(
    user: str, name: str, operation: ACLOperation, kind: ResourceType = ResourceType.TOPIC, prefix: bool = False
) -> ACL:
    pattern = ACLResourcePatternType.PREFIXED if prefix else ACLResourcePatternType.LITERAL
    resource = ResourcePattern(kind, name, pattern)
    return ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, resource)


def _operation(name: str) -> ACLOperation:
    """``DescribeConfigs`` as kafka-python has it."""
    return ACLOperation[re.sub(r"(?<!^)([A-Z])", r"_\1", name).upper()]


def user(node: KafkaProcess, name: str) -> KafkaSettings:
    return KafkaSettings.model_validate(
        {
            "brokers": [node.more["SASL_PLAINTEXT"]],
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_username": name,
            "sasl_password": "s3same",
        }
    )


async def test_who_may_describe_and_read_the_topics_can_look(node: KafkaProcess) -> None:
    kafka = user(node, "reader")
    told = await explain(kafka, ["helpdesk"], RouteTable.load(None, ["helpdesk", "service", "marketing"]), "x:1")
    assert told.tickets[0].state == "dead"
    assert told.routing is not None
    assert told.routing.settled is None, "route's group may not be looked at"
    rows, *_ = await list_tickets(kafka, ["helpdesk"], WantedTickets())
    assert [row.post_id for row in rows] == ["x:1"]
    async with TopicReader(kafka) as reader:
        assert len(await find_letters(reader, WantedLetters())) == 1


async def test_who_may_write_to_the_topics_besides_can_send_again(node: KafkaProcess) -> None:
    kafka = user(node, "writer")
    (done,) = await retry(kafka, await plan_retries(kafka, ["helpdesk"], {ONE.key: ONE.key}))
    assert done.place.startswith("plaint.tickets.helpdesk[")
    async with TopicReader(kafka) as reader:
        letters = await find_letters(reader, WantedLetters())
        stand = await stand_of(reader, letters, ["helpdesk"], False, None)
        sent = [one async for one in replay(kafka, reader, letters, stand, dry_run=False)]
        assert [one.place.startswith("plaint.posts[") for one in sent] == [True]
        assert [len(held.replays) for held in await find_letters(reader, WantedLetters())] == [1]


async def test_a_right_that_is_missing_is_named(node: KafkaProcess) -> None:
    again = Plan("x", OutRecord(topics.tickets("helpdesk"), 0, b"x", b"x"))
    with pytest.raises(
        WriteRefused, match=r"may not write to plaint\.tickets\.helpdesk; grant it Write on plaint\.tickets"
    ):
        await retry(user(node, "reader"), [again])
    with pytest.raises(ReadRefused, match=r"blind may not read plaint\.\S+; grant it Read and Describe on plaint\."):
        await list_tickets(user(node, "blind"), ["helpdesk"], WantedTickets())


def test_new_routes_ask_for_no_right_that_the_router_does_not_have(
    node: KafkaProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAINT_RUNTIME_DIR", str(tmp_path / "run"))
    file = tmp_path / "routes.yaml"
    rule = "rules: [{name: rest, why: %s, destinations: [helpdesk]}]\n"
    file.write_text(rule % "it was so")
    routes = WorkerRoutes(user(node, "router"), file, ["helpdesk"])
    file.write_text(rule % "it is so now")
    used: list[RouteTable] = []
    assert routes.reload(used.append), routes.state().refused
    assert used == [routes.table]


@pytest.mark.parametrize("name", ["router", "blind"], ids=["the group", "the topic"])
async def test_a_watchdog_hears_that_a_right_is_missing(node: KafkaProcess, name: str) -> None:
    with pytest.raises(REFUSED):
        await probe(user(node, name), topics.group("route"), topics.TRIAGED, [0])


def test_a_stage_that_may_not_read_its_topic_does_not_start_and_names_the_right(node: KafkaProcess) -> None:
    with pytest.raises(JoinRefused) as told:
        require_reads(user(node, "blind"), "route", ["helpdesk"])
    [fault] = told.value.faults
    assert (fault.place, fault.what) == ("kafka.sasl_username", "User:blind lacks Read on plaint.triaged")
    assert "--topic plaint.triaged --operation Read" in fault.mend

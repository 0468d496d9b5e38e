"""``plaint topics``: shown beside what is wanted, made, and printed for those who may make them."""

import os
import subprocess
from pathlib import Path

import orjson
import pytest
import yaml
from click.testing import CliRunner, Result

from plaint.cli import cli
from plaint.kafka.admin import open_admin
from plaint.kafka.grants import plan
from plaint.kafka.rights import roles, stage_topics
from plaint.kafka.settings import KafkaSettings
from schemas.topics import all_topics, tickets

SECRET = "whsec_dG9waWNzIGFyZSBwcmludGVkIHdpdGggdGhpcw=="


@pytest.fixture
def fresh(fresh: str) -> str:
    """Good for the id of a destination."""
    return f"q{fresh}"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No `plaint up` is found, and no settings."""
    monkeypatch.setenv("PLAINT_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, broker: str = "", destination: str = "helpdesk", **kafka: object) -> Result:
    settings = {
        "PLAINT_KAFKA": orjson.dumps({"brokers": [broker] if broker else [], **kafka}).decode(),
        "PLAINT_DESTINATIONS": orjson.dumps({destination: {"url": "https://a.example", "secret": SECRET}}).decode(),
    }
    return CliRunner().invoke(cli, ["topics", *arguments], env=settings)


def test_missing_topics_are_named_with_both_mends_then_made_then_well(broker: str, fresh: str) -> None:
    shown = run(broker=broker, destination=fresh)
    assert shown.exit_code == 1
    [line] = [line for line in shown.output.splitlines() if line.startswith(tickets(fresh))]
    assert "`plaint topics --create`" in line
    assert "`plaint topics --print`" in line
    made = run("--create", broker=broker, destination=fresh)
    assert (made.exit_code, "(created)" in made.output) == (0, True)
    again = run(broker=broker, destination=fresh)
    assert (again.exit_code, "(created)" in again.output) == (0, False)
    assert "4 partitions × 1  delete, 14 days" in again.output


def test_a_retention_of_ones_own_is_shown_and_well_another_count_is_not(broker: str, fresh: str) -> None:
    own = {"cleanup.policy": "delete", "retention.ms": "172800000"}
    with open_admin(KafkaSettings(brokers=(broker,)), 10) as admin:
        admin.create_topics({tickets(fresh): {"num_partitions": 4, "replication_factor": 1, "configs": own}})
    well = run("--create", broker=broker, destination=fresh)
    assert well.exit_code == 0
    assert "· retention.ms is 172800000, plaint would set 1209600000; kafka-configs.sh --alter" in well.output
    wrong = run(broker=broker, destination=fresh, partitions=5)
    assert wrong.exit_code == 1
    assert "! partitions is 4, plaint would set 5" in wrong.output


def test_replicas_are_compared_with_what_was_set_and_with_nothing_where_nothing_was(broker: str, fresh: str) -> None:
    run("--create", broker=broker, destination=fresh)
    assert "replication_factor" not in run(broker=broker, destination=fresh).output
    more = run(broker=broker, destination=fresh, replication_factor=3)
    assert more.exit_code == 0
    assert "· replication_factor is 1, plaint would set 3; kafka-reassign-partitions.sh adds replicas" in more.output


def test_states_come_as_json(tansu: str, fresh: str) -> None:
    states = orjson.loads(run("--json", broker=tansu, destination=fresh).stdout)
    assert {state["name"]: state["found"] for state in states}[tickets(fresh)] == "missing"


def test_what_is_printed_is_a_script_that_a_shell_takes_and_names_all_topics_and_rights() -> None:
    shown = run("--print", "--principal", "User:plaint-{role}")
    assert shown.exit_code == 0
    subprocess.run(["sh", "-n"], input=shown.stdout, text=True, check=True)
    for topic in all_topics(["helpdesk"]):
        [line] = [line for line in shown.stdout.splitlines() if line.startswith("topics ") and f"{topic.name} " in line]
        assert "--partitions 4 --config" in line
        assert all(f"--config {key}={value}" in line for key, value in topic.config.items())
    for role in roles(["helpdesk"]):
        assert f"--allow-principal User:plaint-{role} " in shown.stdout


def test_replicas_are_printed_where_they_are_set_and_else_left_to_the_brokers() -> None:
    assert "--replication-factor" not in run("--print").stdout
    assert "replication_factor" not in run("--print", "--yaml").stdout
    for topic in orjson.loads(run("--print", "--json", replication_factor=3).stdout)["topics"]:
        assert topic["replication_factor"] == 3
        created = f"--topic {topic['name']} --partitions 4 --replication-factor 3 --config"
        assert created in run("--print", replication_factor=3).stdout


def test_json_and_yaml_say_the_same() -> None:
    as_json = orjson.loads(run("--print", "--json").stdout)
    assert yaml.safe_load(run("--print", "--yaml").stdout) == as_json
    assert as_json["topics"][0]["partitions"] == 4
    assert "replication_factor" not in as_json["topics"][0]
    assert as_json["grants"][0] == {
        "role": "ingest",
        "principal": "User:plaint",
        "resource_type": "topic",
        "resource_name": "plaint.posts",
        "pattern_type": "literal",
        "operations": ["Write", "Describe", "DescribeConfigs"],
        "optional": "",
    }


def test_a_principal_is_quoted_for_the_shell(tmp_path: Path) -> None:
    script = plan(KafkaSettings(), ["helpdesk"], "User:CN=a b; touch gone").as_commands("kafka:9092")
    for tool in ("kafka-acls.sh", "kafka-topics.sh"):
        (tmp_path / tool).write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
        (tmp_path / tool).chmod(0o755)
    path = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh"], input=script, text=True, capture_output=True, cwd=tmp_path, env=path, check=True)
    assert not (tmp_path / "gone").exists()
    assert "<--allow-principal><User:CN=a b; touch gone><--topic>" in done.stdout


def test_every_topic_is_written_by_one_role_and_read_by_another() -> None:
    stages = {role: rights for role, rights in roles(["helpdesk"]).items() if not role.startswith("tools")}
    for topic in all_topics(["helpdesk"]):
        may = {op for rights in stages.values() for one in rights if one.name == topic.name for op in one.operations}
        assert "Write" in may, topic.name
        read = {op for one in roles(["helpdesk"])["tools-look"] if one.name == topic.name for op in one.operations}
        assert "Read" in may | read, topic.name


def test_no_role_may_create_alter_or_delete() -> None:
    for rights in roles(["helpdesk", "service"]).values():
        assert {op for right in rights for op in right.operations} <= {"Read", "Write", "Describe", "DescribeConfigs"}
    assert stage_topics("deliver-helpdesk", ["helpdesk", "service"]) == [
        "plaint.tickets.helpdesk",
        "plaint.deliveries.helpdesk",
        "plaint.deadletters",
    ]


@pytest.mark.parametrize("words", [("--create", "--print"), ("--yaml",), ("--principal", "User:x")])
def test_options_that_do_not_go_together_are_refused(words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2

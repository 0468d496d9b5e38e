"""What goes wrong in a running plaint is named by ``status`` or ``doctor``, with what mends it; seen from outside, on a Kafka
that grants each stage what ``plaint topics --print`` prints and no more."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from kafka.admin import ACL, ACLFilter, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern, ResourceType

from tests.support.kafka_process import why_no_kafka
from tests.system.stack import SECRET
from tests.system.ward import OTHER_SECRET, Ward, eventually, secured_kafka

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """Every stage at work with the rights that were printed, a ticket already delivered."""
    if reason := why_no_kafka():
        pytest.skip(f"NOT TESTED ON APACHE KAFKA: {reason}")
    folder = tmp_path_factory.mktemp("ward")
    with secured_kafka(folder / "kafka") as node, Ward(folder / "stack", node).running() as ward:
        ward.feed("first:1", "first:2")
        eventually(lambda: ward.tickets() == 2)
        yield ward


@pytest.fixture
def ward(started: Ward) -> Iterator[Ward]:
    """The same, mended after the test."""
    yield started
    started.secret.write_text(SECRET)
    started.receiver.fail()
    for stage in started.stages.values():
        if stage.running:
            stage.signal(signal.SIGCONT, "continued")
        else:
            stage.start()


def named(found: dict[str, Any], place: str) -> str:
    """All that is said of a place."""
    return "\n".join(f"{one['what']} → {one['mend']}" for one in found["findings"] if place in one["place"])


def test_stages_run_with_the_printed_rights_alone_and_all_is_well(ward: Ward) -> None:
    eventually(ward.is_ready)
    well = {"classify": (1, 0), "route": (1, 0), "deliver-helpdesk": (1, 0)}

    def all_is_well() -> bool:
        found = ward.status()
        assert found["findings"] == []
        return {stage["name"]: (stage["processes"], stage["lag"]) for stage in found["stages"]} == well

    eventually(all_is_well)  # what was just delivered is acknowledged within a second or two
    assert ward.doctor("rights", "--stage", "classify", role="classify")["rights"]["findings"] == []
    lacks = named(ward.doctor("rights", "--stage", "route", role="classify")["rights"], "plaint.tickets.helpdesk")
    assert "User:plaint-classify lacks Write and Describe" in lacks


def test_a_tool_without_the_right_to_write_says_so(ward: Ward) -> None:
    done = ward.run("destination", "disable", "helpdesk", "--why", "a test", role="tools-look")
    said = done.stderr.decode()
    assert (done.returncode, "Traceback" in said) == (2, False), said
    assert "`plaint doctor rights` names the right that is missing" in said


def test_a_post_that_is_forgotten_is_withdrawn_and_what_stays_is_told(ward: Ward) -> None:
    done = ward.run("forget", "first:1", "--yes", "--json", role="tools-act")
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert [post["id"] for post in told["held"]["posts"]] == ["first:1"]
    aged = {one["topic"]: one["at_most_s"] for one in told["remains"]}
    assert aged["plaint.tickets.helpdesk"] == (14 + 1) * 86_400
    eventually(lambda: any(receipt["op"] == "withdraw" for receipt in ward.receiver.receipts()))


def test_a_stopped_worker_is_named(ward: Ward) -> None:
    worker = ward.stages["classify"]
    worker.signal(signal.SIGSTOP, "stopped")
    ward.write("stopped:1")
    said = named(ward.status(), "classify")
    assert f"process {worker.pid} is stopped by a signal" in said
    assert f"`kill -CONT {worker.pid}`" in said
    worker.signal(signal.SIGCONT, "continued")
    eventually(lambda: ward.tickets() == 3)


def test_a_revoked_right_is_named_with_the_command_that_grants_it(ward: Ward) -> None:
    right = ACLFilter(
        principal="User:plaint-classify",
        host="*",
        operation=ACLOperation.WRITE,
        permission_type=ACLPermissionType.ALLOW,
        resource_pattern=ResourcePattern(ResourceType.TOPIC, "plaint.triaged"),
    )
    admin = KafkaAdminClient(bootstrap_servers=ward.node.bootstrap)
    try:
        admin.delete_acls([right])
        said = named(ward.doctor("rights", "--stage", "classify", role="classify")["rights"], "plaint.triaged")
        assert "User:plaint-classify lacks Write on plaint.triaged, for classify" in said
        mend = "--add --allow-principal User:plaint-classify --topic plaint.triaged --operation Write"
        assert mend in said
        admin.create_acls([ACL(**vars(right))])
    finally:
        admin.close()


def test_a_stage_that_may_not_be_in_its_group_ends_with_the_command_that_grants_it(ward: Ward) -> None:
    done = ward.run("run", "classify", role="tools-act")
    said = done.stderr.decode()
    assert (done.returncode, "Traceback" in said) == (2, False), said
    assert "kafka.sasl_username: User:plaint-tools-act lacks Read on the group plaint-classify" in said
    assert "--add --allow-principal User:plaint-tools-act --group plaint-classify --operation Read" in said


def test_a_wrong_secret_is_named(ward: Ward) -> None:
    ward.secret.write_text(OTHER_SECRET)
    ward.write("secret:1", "secret:2", "secret:3")
    eventually(lambda: ward.failures() > 2)
    said = eventually(lambda: _says(ward, "deliver-helpdesk", "401"), pause_s=1)
    assert "the secret is not the one that it knows" in said
    sent = ward.doctor("destinations", "--send-test")["destination helpdesk"]
    assert "answered 401" in named(sent, "destinations.helpdesk")


def test_a_destination_that_is_gone_for_good_is_named(ward: Ward) -> None:
    ward.receiver.fail({"do": "answer", "status": 410})
    before = ward.failures()
    ward.write("gone:1")
    eventually(lambda: ward.failures() > before)
    said = eventually(lambda: _says(ward, "deliver-helpdesk", "410"), pause_s=1)
    assert "set destinations.helpdesk.url" in said


def _says(ward: Ward, place: str, word: str) -> str:
    said = named(ward.status(), place)
    return said if word in said else ""

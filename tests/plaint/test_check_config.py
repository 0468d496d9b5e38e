"""``plaint check-config``: faults and notes of the routes, and what removed destinations left at the brokers."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ingest.settings import SourceSettings
from plaint.cli import cli
from plaint.kafka.publisher import OutRecord, Publisher
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from plaint.preflight import check_sources
from plaint.settings import SettingsInvalid
from schemas import topics
from schemas.delivery import Delivery
from schemas.faults import Unavailable
from schemas.ticket import Ticket, ticket_key
from tests.support.command import plaint, shown
from tests.support.kafka_process import free_ports

HOOK = {"url": "https://desk.example.com/", "secret": "whsec_" + "A" * 32}
ROUTES = """\
rules:
  - {name: complaints, why: A complaint., match: {intent: complaint}, destinations: [desk]}
  - {name: rest, why: The rest., destinations: []}
"""
EXPIRED = "silences:\n  - {match: {intent: praise}, until: 2020-01-01, by: mara, why: Known.}\n"
Check = Callable[..., Result]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Runs it on these routes, with a desk and these settings."""
    monkeypatch.chdir(tmp_path)

    def go(routes: str = ROUTES, *options: str, **settings: object) -> Result:
        Path("routes.yaml").write_text(routes)
        written = {"destinations": {"desk": HOOK}, **settings}
        written["route"] = {"routes": "routes.yaml", **written.get("route", {})}  # type: ignore[dict-item]
        Path("plaint.yaml").write_text(json.dumps(written))
        return CliRunner().invoke(cli, ["check-config", *options])

    return go


def test_sound_routes_can_be_used(check: Check) -> None:
    found = check()
    assert (found.exit_code, found.stdout, found.stderr) == (0, "settings and routes can be used\n", "")


def test_authorities_of_the_brokers_that_cannot_be_used_are_a_fault_beside_the_others(check: Check) -> None:
    Path("words.pem").write_text("no certificate at all")
    desk = {"desk": {"url": HOOK["url"], "secret_file": "gone"}}
    for name, why in (
        ("gone.pem", "can't be read: No such file"),
        (".", "can't be read: Is a dir"),
        ("words.pem", "holds none"),
    ):
        kafka = {"brokers": ["127.0.0.1:1"], "security_protocol": "SSL", "ssl_cafile": name}
        found = check(kafka=kafka, destinations=desk)
        assert f"kafka.ssl_cafile: {Path(name).absolute()} {why}" in found.stderr
        assert "destinations.desk.secret_file" in found.stderr
        assert (found.exit_code, "2 faults" in found.stderr) == (2, True)
        stage = CliRunner().invoke(cli, ["run", "classify"]).exception
        assert isinstance(stage, SettingsInvalid)
        assert [fault.place for fault in stage.faults] == ["kafka.ssl_cafile"]


def test_what_is_stale_is_noted_and_a_fault_only_if_one_is_strict(check: Check) -> None:
    notes = [
        'note: routes.yaml:5, silence by "mara": expired at 2020-01-01 00:00 UTC; take it out, or set a later until',
        "note: destinations.annex: no rule in routes.yaml sends anything there; "
        "name it in a rule, or remove it once its tickets are delivered",
    ]
    both = {"desk": HOOK, "annex": HOOK}
    found = check(ROUTES + EXPIRED, destinations=both)
    assert found.exit_code == 0
    assert found.stderr.splitlines() == notes
    found = check(ROUTES + EXPIRED, "--strict", destinations=both)
    assert found.exit_code == 1
    assert found.stderr.splitlines() == [*notes, "2 faults"]


def test_with_some_of_the_shipped_destinations_alone_up_can_run_and_a_note_says_who_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plaint.yaml").write_text(json.dumps({"destinations": {"helpdesk": HOOK}}))
    found = CliRunner().invoke(cli, ["check-config"])
    assert (found.exit_code, found.stdout) == (0, "settings and routes can be used\n")
    assert [line.partition(": the shipped")[0] for line in found.stderr.splitlines()] == [
        "note: destinations.service",
        "note: destinations.marketing",
    ]
    assert "`plaint run route` refuses to start; give it a url and a secret" in found.stderr
    doctor = CliRunner().invoke(cli, ["doctor", "settings"])
    assert doctor.exit_code == 0, doctor.output


@pytest.mark.parametrize("file", ["none/address", "."])
def test_a_file_for_the_address_that_cannot_be_written_is_a_fault(check: Check, tmp_path: Path, file: str) -> None:
    found = check(monitoring={"address_file": file})
    assert (found.exit_code, found.stderr.splitlines()[-1]) == (2, "1 fault")
    assert found.stderr.startswith(
        f"monitoring.address_file: {(tmp_path / file).absolute()} can't be written; name a file"
    )
    assert check(monitoring={"address_file": "address"}).exit_code == 0


def test_a_local_kafka_that_up_could_not_start_is_a_fault_and_up_ends_with_the_same(
    check: Check, tmp_path: Path
) -> None:
    found = check(broker={"embedded": "kafka", "kafka_home": str(tmp_path)})
    told = f"broker.kafka_home: there are no Kafka jars in {tmp_path}/libs; unpack a release from kafka.apache.org"
    assert found.exit_code == 2
    assert told in found.stderr
    up = plaint("up", cwd=tmp_path, settings={"PLAINT_CONFIG": "plaint.yaml", "PLAINT_RUNTIME_DIR": str(tmp_path)})
    assert up.returncode == 2
    assert told in shown(up)
    brokers = {"brokers": [f"127.0.0.1:{free_ports(1)[0]}"]}
    assert (
        check(ROUTES, "--no-broker", broker={"embedded": "kafka", "kafka_home": str(tmp_path)}, kafka=brokers).exit_code
        == 0
    )


def test_a_rule_that_never_matches_and_a_destination_that_does_not_exist_are_faults(check: Check) -> None:
    never = "  - {name: never, why: w, match: {intent: complaint, urgent: true}, destinations: [desc]}\n  - {name: rest"
    found = check(ROUTES.replace("  - {name: rest", never))
    assert found.exit_code == 1
    assert found.stderr.splitlines() == [
        'routes.yaml:3, rule "never", destinations.0: undefined destination "desc" used in rule "never"; '
        'did you mean "desk"?',
        'routes.yaml:3, rule "never": never matches: rule "complaints" takes all of its posts first; '
        "put it before that rule, or narrow that one",
        "2 faults",
    ]


def test_routes_and_files_are_looked_at_also_where_settings_have_faults(check: Check) -> None:
    wrong = ROUTES.replace("[desk]", "[desk, dsk]").replace("intent: complaint", "intent: complaimt")
    late = {**HOOK, "timeout_s": "soon"}
    other = {"url": HOOK["url"], "secret_file": "gone"}
    found = check(wrong, destinations={"desk": late, "other": other}, door={"prot": 1}, route={"remember": 5})
    *told, count = [line for line in found.stderr.splitlines() if not line.startswith("note: ")]
    assert (found.exit_code, count) == (2, "5 faults")
    for fault in (
        "destinations.desk.timeout_s: ",
        "door.prot: ",
        '"dsk"',
        "complaimt",
        "destinations.other.secret_file: ",
    ):
        assert any(fault in line for line in told), told
    assert len(told) == 5
    assert "settings and routes can be used" not in found.stdout


def test_nothing_is_said_of_routes_that_settings_with_faults_may_not_name(check: Check) -> None:
    found = check(ROUTES.replace("[desk]", "[dsk]"), route={"remember": "all"})
    assert found.exit_code == 2
    assert [line for line in found.stderr.splitlines() if "route.remember" not in line] == ["1 fault"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PLAINT_DESTINATIONS", '{"desk": '),
        ("PLAINT_DESTINATIONS__DSK__Url", "https://desk.example.com/"),
        ("PLAINT_DESTINATION__DSK__URL", "https://desk.example.com/"),
        ("PLAINT_ROUTE", '{"routes": '),
    ],
)
def test_nothing_is_said_of_routes_where_a_variable_that_may_name_them_is_no_setting(
    check: Check, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    found = check(ROUTES.replace("[desk]", "[desk, dsk]"))
    fault, count = found.stderr.splitlines()
    assert fault.startswith(f"{name}: is no")
    assert (found.exit_code, count) == (2, "1 fault")


def test_nothing_is_said_of_routes_where_a_section_that_may_name_them_is_no_setting(check: Check) -> None:
    found = check(ROUTES.replace("[desk]", "[dsk]"), destination={"dsk": HOOK})
    assert found.exit_code == 2
    assert [line for line in found.stderr.splitlines() if '"destinations"' not in line] == ["1 fault"]


def test_sources_that_cannot_start_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "sound.jsonl").write_text('{"id":"a","text":"1"}\n')
    (tmp_path / "b.csv").write_text("no,header\n")
    sources = [SourceSettings(path=str(tmp_path / name)) for name in ("sound.jsonl", "none.jsonl", "b.csv")]
    assert [fault.place for fault in check_sources(sources)] == [
        "sources[1].path",
        "sources[2].columns.id",
        "sources[2].columns.text",
    ]


async def leave_open(kafka: KafkaSettings, destination: str) -> None:
    """A ticket there that nobody delivered, and one that somebody did."""
    await asyncio.to_thread(ensure_topics, kafka, [destination])
    publisher = Publisher(kafka)
    await publisher.start()
    for post in ("open", "done"):
        key = ticket_key(post, destination)
        ticket = Ticket(key=key, op="create", revision=0, destination=destination, post_id=post, text="hello")
        out = [OutRecord(topics.tickets(destination), 0, key.encode(), ticket.to_bytes())]
        if post == "done":
            step = Delivery(state="done", at=datetime.now(UTC))
            out.append(OutRecord(topics.deliveries(destination), 0, key.encode(), step.to_bytes()))
        await publisher.publish(out)
    await publisher.stop()


def test_a_removed_destination_with_open_tickets_is_refused_unless_it_is_said_twice(
    check: Check, new_tansu: str
) -> None:
    asyncio.run(leave_open(KafkaSettings(brokers=(new_tansu,), idempotent_producer=False), "old-desk"))
    kafka = {"brokers": [new_tansu], "idempotent_producer": False}
    for options in ((), ("--broker",)):
        found = check(ROUTES, *options, kafka=kafka)
        assert found.exit_code == 2
        assert found.stderr.splitlines() == [
            "destinations.old-desk: is not in the settings, but 1 ticket of it is not delivered; put it back and take it "
            "out of the routes only, until they are; or give them up by adding it to route.abandoned",
            "1 fault",
        ]
    found = check(ROUTES, kafka=kafka, route={"abandoned": ["old-desk"]})
    assert found.exit_code == 0
    assert found.stderr == "note: destinations.old-desk: 1 ticket of it is given up; nothing is to be done\n"
    found = check(ROUTES, "--no-broker", kafka=kafka)
    assert (found.exit_code, found.stderr) == (0, "")


def test_brokers_that_are_away_are_noted_and_refused_only_if_they_are_wanted(check: Check) -> None:
    kafka = {"brokers": [f"127.0.0.1:{free_ports(1)[0]}"]}
    found = check(ROUTES, kafka=kafka)
    assert found.exit_code == 0
    assert found.stderr.startswith("note: kafka.brokers: can't be asked for tickets of removed destinations: no broker")
    assert isinstance(check(ROUTES, "--broker", kafka=kafka).exception, Unavailable)
    assert isinstance(check(ROUTES, "--broker").exception, Unavailable)


def test_a_destination_that_is_given_up_and_still_there_is_a_fault(check: Check) -> None:
    found = check(ROUTES, route={"abandoned": ["desk"]})
    assert found.exit_code == 2
    assert found.stderr.startswith('route.abandoned: "desk" is a destination; take it out here, or there')

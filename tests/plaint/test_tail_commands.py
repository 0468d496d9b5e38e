"""The commands that look and send again, in this process: their options, exit codes, questions and faults."""

import asyncio
import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from plaint.cli import cli
from plaint.commands import dead as dead_command
from plaint.kafka.publisher import OutRecord
from plaint.kafka.topics import ensure_topics
from plaint.settings import SettingsInvalid
from schemas.reasons import DeadReason
from tests.plaint.delivering import SECRET, kafka_settings, write
from tests.plaint.looking import Log, asked, letter, post, ticket_of, triage
from tests.system.hostile import TEXTS

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def with_topics(tansu: str) -> str:
    ensure_topics(kafka_settings(tansu), ["helpdesk", "service"])
    return tansu


@pytest.fixture
def command(with_topics: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs ``plaint …`` on the embedded broker."""
    monkeypatch.setenv("PLAINT_KAFKA", json.dumps({"brokers": [with_topics], "idempotent_producer": False}))
    hook = {"url": "http://127.0.0.1:9/hook", "secret": SECRET}
    monkeypatch.setenv("PLAINT_DESTINATIONS", json.dumps({"helpdesk": hook, "service": hook}))
    monkeypatch.setattr("plaint.cli.setup_logging", lambda: None)
    return lambda *arguments, **more: CliRunner().invoke(cli, arguments, catch_exceptions=False, **more)


def put(broker: str, *records: OutRecord) -> None:
    asyncio.run(write(broker, records))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tail", "posts", "--urgent"], "--urgent says nothing of posts: it goes with triage, tickets"),
        (["tail", "deliveries", "--network", "x"], "--network says nothing of deliveries"),
        (["tail", "--grep", "(x"], "is no expression that RE2 knows: missing ): (x"),
        (["tail", "--since", "yesterday"], "is no time; write 10m, 2h or 3d (ago)"),
        (["tail", "letters"], "is not one of 'posts', 'triage', 'tickets', 'deliveries', 'dead'"),
        (["dead", "replay"], "name letters, or filters, or --all"),
        (["dead", "list", "--reason", "bad"], "is not one of 'invalid_json'"),
        (["tickets", "retry"], "name tickets, or a --state"),
        (["tickets", "list", "--older", "long"], "is no length of time; write 90s, 10m, 2h or 3d"),
        (["completion", "tcsh"], "is not one of 'bash', 'zsh', 'fish'"),
    ],
)
def test_wrong_usage_is_told_with_what_is_right(command: Command, arguments: list[str], said: str) -> None:
    done = command(*arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tail", "tickets", "--destination", "helpdes"], 'did you mean "helpdesk"?'),
        (["dead", "show", "9@9"], '"9@9": is no dead letter; plaint dead list shows them'),
        (["dead", "show", "\x1b[2J"], '"\\x1b[2J": is no dead letter'),
        (["dead", "replay", "9@9", "no-such-file.jsonl:1"], '"no-such-file.jsonl:1": is no dead letter'),
        (["tickets", "show", "x:nobody"], '"x:nobody": is no ticket that is known'),
        (["tickets", "retry", "x:nobody", "0" * 32], f'"{"0" * 32}": is no ticket that is known'),
        (["tickets", "list", "--destination", "servic"], 'did you mean "service"?'),
    ],
)
def test_what_is_not_there_is_a_fault_with_its_mend(command: Command, arguments: list[str], said: str) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        command(*arguments)
    assert said in str(raised.value)
    assert str(raised.value).replace("\n", "").isprintable()


def test_every_command_shows_an_example_and_the_rights_that_it_needs(command: Command) -> None:
    for name in (
        "explain",
        "tail",
        "dead list",
        "dead show",
        "dead replay",
        "tickets list",
        "tickets show",
        "completion",
    ):
        said = command(*name.split(), "--help").output
        assert f"plaint {name}" in said.partition("Options:")[0].partition("Usage:")[2].partition("\n")[2], name
    for name in ("explain", "tail", "dead", "tickets"):
        assert "Describe and Read on" in " ".join(command(name, "--help").output.split()), name


def test_commands_tell_of_posts_and_tickets(command: Command, with_topics: str, fresh: str) -> None:
    id_ = f"x:{fresh}"
    one, two = ticket_of(id_, "helpdesk"), ticket_of(id_, "service")
    place = f"{fresh}.jsonl:1"
    put(
        with_topics,
        *(post(f"{id_}:{number}", text=f"{fresh} {text}") for number, text in enumerate(TEXTS.values())),
        triage(id_),
        *(asked(ticket) for ticket in (one, two)),
        *(Log(one).open(), Log(one).end("dead", status=400, reason=DeadReason.REFUSED)),
        Log(two).end(status=201),
        letter(place, b"no post \x1b[2J", stage="ingest", reason=DeadReason.INVALID_JSON),
    )
    count = str(len(TEXTS))
    shown = command("tail", "posts", "--grep", fresh, "--since", "1h", "-n", count, "--json").stdout
    found = [json.loads(line) for line in shown.splitlines()]
    assert sorted(line["text"] for line in found) == sorted(f"{fresh} {text}" for text in TEXTS.values())
    assert command("explain", id_).exit_code == 0
    assert json.loads(command("explain", id_, "--json").stdout)["tickets"][0]["state"] == "dead"
    assert command("explain", "x:nobody").exit_code == 1
    raw = command("dead", "show", place, "--raw")
    assert raw.stdout_bytes == b"no post \x1b[2J"
    assert json.loads(command("dead", "show", place, "--json").stdout)["reason"] == "invalid_json"
    assert "1 dead letter: ingest invalid_json 1" in command("dead", "list", "--place", place).stderr
    assert command("dead", "replay", place).exit_code == 1
    shown = command("tickets", "list", "--json", "-n", "0", "--state", "done").stdout
    assert two.key in {json.loads(line)["key"] for line in shown.splitlines()}
    assert "not sent: it was delivered (201)" in command("tickets", "retry", two.key).stdout
    assert "would go to plaint.tickets.helpdesk" in command("tickets", "retry", one.key, "--dry-run").stdout
    assert f"ticket {one.key} of {id_}" in command("tickets", "show", id_).stdout


def test_explain_finds_the_ticket_of_a_destination_that_was_taken_out_of_the_settings(
    command: Command, with_topics: str, fresh: str
) -> None:
    former = f"former-{fresh}"
    ensure_topics(kafka_settings(with_topics), [former])
    one = ticket_of(f"x:{fresh}", former)
    put(with_topics, asked(one), Log(one).open(), Log(one).end(status=201, remote_id="17"))
    told = json.loads(command("explain", one.post_id, "--json").stdout)
    assert told["removed"] == [former]
    assert f"{former}: done (201) as 17" in told["summary"]


def test_many_are_asked_about_unless_it_is_said_before(
    command: Command, with_topics: str, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(with_topics, *(letter(f"{fresh}.jsonl:{n}", b"garbage", stage="ingest") for n in range(3)))
    monkeypatch.setattr(dead_command, "MANY", 3)
    nobody = command("dead", "replay", "--place", fresh)
    assert nobody.exit_code == 2
    assert "Nobody can be asked here: say --yes" in nobody.output
    assert command("dead", "replay", "--place", fresh, "--dry-run").exit_code == 1
    assert command("dead", "replay", "--place", fresh, "--yes").stderr.endswith("0 sent again, 3 not\n")


def test_without_a_broker_it_says_how_to_get_one(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.delenv("PLAINT_KAFKA")
    monkeypatch.setenv("PLAINT_RUNTIME_DIR", str(tmp_path))
    for arguments in (["explain", "x:1"], ["tail"], ["dead", "list"], ["tickets", "list"]):
        with pytest.raises(SettingsInvalid, match="start `plaint up` in another terminal"):
            command(*arguments)

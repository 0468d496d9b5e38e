"""The docs say what is so: every command on them parses, every example is read by what reads it, every link leads somewhere.

What can be run is run by test_docs_running.py; docs/routes.md has tests of its own.
"""

import json
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import click
import pytest
import yaml
from click.exceptions import NoArgsIsHelpError
from standardwebhooks import WebhookVerificationError

from ingest.decode import post_from_json
from plaint.cli import cli
from plaint.commands.run import read_sources
from plaint.diagnosis.judgement import judged
from plaint.diagnosis.status import StageStatus, Status
from plaint.docs import pages, stale
from plaint.failures import CODES
from plaint.lookup.explanation import Hold, HoldCause, Step, TicketLife, TicketState
from plaint.lookup.words import life_words
from plaint.monitoring.metrics import METRICS
from plaint.settings import load_settings
from route.destinations.base import Parcel
from route.destinations.settings import DestinationSettings
from route.destinations.signing import signatures
from route.destinations.webhook_body import webhook_body
from route.rules import check_routes
from schemas.post import Post
from schemas.reasons import DeadReason, DropReason
from schemas.record import RecordDropped, RecordInvalid
from schemas.triage import Triage
from schemas.webhook_secret import signing_key
from tests.support.command import plaint
from tests.support.pages import PAGES, REPOSITORY, Block, Command, blocks, commands, headings, links

README = REPOSITORY / "README.md"
DOCS = REPOSITORY / "docs"
PROMETHEUS = REPOSITORY / "deploy" / "prometheus"
SECRET = "whsec_" + "b25seSBhbiBleGFtcGxlIG9mIGEgc2VjcmV0IQ=="

COMMANDS = [command for page in PAGES if page.name != "routes.md" for command in commands(page)]
TRIED = [page for page in PAGES if page.name not in {*pages(), "routes.md"}]


def every_block(*languages: str) -> list[Block]:
    """Of the pages that are tried here."""
    return [block for page in TRIED for block in blocks(page, *languages)]


def name_of(command: Command) -> str:
    return f"{command.page}: {command.line}"


def test_pages_that_repeat_the_code_are_fresh() -> None:
    assert stale() == []


def test_a_page_that_says_something_else_is_stale(tmp_path: Path) -> None:
    assert stale(tmp_path) == ["commands.md", "configuration.md", "metrics.md", "reasons.md"]


# -- commands ----------------------------------------------------------------------------------------------------------


def test_the_pages_have_commands_to_try() -> None:
    assert len(COMMANDS) > 40


def parsed(words: list[str]) -> None:
    """Raises click.UsageError where plaint would."""
    command: click.Command = cli
    context: click.Context | None = None
    while isinstance(command, click.Group):
        context = command.make_context(command.name, words, parent=context)
        _, found, words = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        command = found
    with command.make_context(command.name, words, parent=context) as made:  # which closes the files that it opens
        assert read_sources(tuple(made.params.get("sources", ()))) is not None


PLAINT_LINES = sorted(
    {
        shlex.join(words[1:])
        for command in COMMANDS
        for words in command.parts()
        if words[0] == "plaint" and words[1:] != ["--version"]
    }
)
EXAMPLES = sorted(
    {
        line.strip().partition(" | ")[0].partition(" > ")[0].removeprefix("plaint ")
        for block in blocks(DOCS / "commands.md", "text")
        for line in block.text.splitlines()
        if re.match(r"  plaint [a-z-]", line)
    }
)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that commands on the pages and in messages name."""
    monkeypatch.chdir(tmp_path)
    for name in ("posts.jsonl", "posts.csv", "labelled.jsonl", "tweets.jsonl", "corrections.jsonl"):
        (tmp_path / name).touch()
    for name in ("routes.yaml", "new-routes.yaml", "plaint.yaml", "new.yaml", "FILE"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("line", PLAINT_LINES)
def test_every_command_parses(line: str) -> None:
    parsed(shlex.split(line))


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("line", EXAMPLES)
def test_every_example_in_the_help_parses(line: str) -> None:
    parsed(shlex.split(line))


def advised(tool: str) -> list[str]:
    """What plaint's messages give to type, without the tool's name."""
    found = re.compile(rf"(?<!`)`{tool} ([a-z][^`\n>]*)`")
    files = (REPOSITORY / "plaint").rglob("*.py")
    return sorted({re.sub(r"\{.*?\}", "x", line) for file in files for line in found.findall(file.read_text())})


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("line", advised("plaint"))
def test_what_a_message_advises_can_be_typed(line: str) -> None:
    with suppress(click.MissingParameter, NoArgsIsHelpError):
        parsed(shlex.split(line))


@pytest.mark.parametrize("target", advised("make"))
def test_every_target_that_a_message_advises_exists(target: str) -> None:
    done = subprocess.run(["make", *target.split(), "--dry-run"], cwd=REPOSITORY, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_command_that_is_none_is_noticed() -> None:
    with pytest.raises(click.UsageError):
        parsed(["dead", "bury"])
    with pytest.raises(click.UsageError):
        parsed(["send", "--wait-for-it", "my router is dead"])


def test_every_command_of_a_pipe_is_seen_and_what_is_redirected_is_not() -> None:
    line = "cat posts.jsonl | plaint --config 'my own.yaml' classify > labels.jsonl"
    assert Command("", line, ()).parts() == [["cat", "posts.jsonl"], ["plaint", "--config", "my own.yaml", "classify"]]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.line.startswith("make")], ids=name_of)
def test_every_target_exists(command: Command) -> None:
    done = subprocess.run([*shlex.split(command.line), "--dry-run"], cwd=REPOSITORY, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_help_of_make_lists_what_the_pages_name() -> None:
    done = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.strip()}
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert {"run", "test"} <= named <= listed | {"help"}


def test_the_line_of_labels_is_what_classify_writes(tmp_path: Path) -> None:
    [command] = [c for c in COMMANDS if c.line.startswith("echo") and c.line.endswith("plaint classify")]
    post = command.parts()[0][1]
    done = plaint("classify", cwd=tmp_path, stdin=post.encode())
    found = json.loads(done.stdout)
    promised = json.loads(command.shown[0].replace("{…}", "{}"))
    assert list(found) == list(promised)
    plain = ("id", "intent", "sentiment", "urgent", "model")
    assert {key: found[key] for key in plain} == {key: promised[key] for key in plain}


# -- examples ----------------------------------------------------------------------------------------------------------


def settings_of(text: str, folder: Path) -> Any:
    (folder / "plaint.yaml").write_text(text)
    return load_settings(folder / "plaint.yaml")


def kind_of(block: Block) -> str:
    """What reads a block of YAML."""
    keys = set(yaml.safe_load(block.text))
    if keys & {"rules", "silences"}:
        return "routes"
    return "prometheus" if keys & {"scrape_configs", "groups"} else "settings"


def yaml_of(kind: str) -> list[Block]:
    return [block for block in every_block("yaml") if kind_of(block) == kind]


def page_of(block: Block) -> str:
    return block.page


@pytest.mark.parametrize("block", yaml_of("settings"), ids=page_of)
def test_every_block_of_settings_loads(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAINT_KAFKA__SASL_PASSWORD", "x")
    settings = settings_of(block.text, tmp_path)
    named = settings.classify.model is not None if block.page == "models.md" else "helpdesk" in settings.destinations
    assert named, "the page shows how to name it"


def test_the_pages_that_show_settings_are_among_them() -> None:
    assert {block.page for block in yaml_of("settings")} == {"README.md", "kafka.md", "models.md"}


def test_the_settings_of_the_page_about_kafka_have_all_destinations_of_the_shipped_routes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAINT_KAFKA__SASL_PASSWORD", "x")
    [block] = [block for block in yaml_of("settings") if block.page == "kafka.md"]
    assert check_routes(None, settings_of(block.text, tmp_path).destinations) == []


def test_the_shipped_example_of_settings_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAINT_KAFKA__SASL_PASSWORD", "x")
    settings = settings_of((REPOSITORY / "deploy" / "plaint.example.yaml").read_text(), tmp_path)
    assert check_routes(None, settings.destinations) == []
    assert settings.sources[0].is_csv
    assert settings.door.open
    assert settings.monitoring.port == 8322
    assert settings.destinations["helpdesk"].max_per_minute


@pytest.mark.parametrize("block", yaml_of("routes"), ids=page_of)
def test_every_block_of_routes_is_sound(block: Block, tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text(block.text)
    assert check_routes(tmp_path / "routes.yaml", ["helpdesk"]) == []
    assert yaml.safe_load(block.text)["rules"][0]["examples"]


@pytest.mark.parametrize("block", every_block("json"), ids=page_of)
def test_every_block_of_json_is_a_post(block: Block) -> None:
    assert post_from_json(block.text.encode()).text


def test_the_receiver_in_the_readme_checks_what_plaint_sends(capsys: pytest.CaptureFixture[str]) -> None:
    [block] = every_block("python")
    names: dict[str, Callable[..., int]] = {}
    exec(compile(block.text, block.page, "exec"), names)
    data = json.dumps(
        {"op": "create", "urgent": True, "text": "My router is dead", "triaged_at": "2026-01-01T00:00:00Z"}
    )
    body = webhook_body(Parcel("0" * 32, "create", 0, 1, data.encode()), 0)
    now = int(time.time())
    headers = {
        "webhook-id": "a-0",
        "webhook-timestamp": str(now),
        "webhook-signature": signatures([signing_key(SECRET)], "a-0", now, body),
    }
    seen: set[str] = set()
    assert [names["receive"](headers, body, SECRET, seen) for _ in range(2)] == [200, 200]
    assert capsys.readouterr().out == "complaint.urgent My router is dead\n"
    with pytest.raises(WebhookVerificationError):
        names["receive"](headers, body + b" ", SECRET, seen)


@pytest.mark.parametrize("block", every_block("sh"), ids=page_of)
def test_every_block_of_shell_can_be_read(block: Block) -> None:
    assert subprocess.run(["sh", "-n"], input=block.text.encode(), capture_output=True, timeout=10).returncode == 0


def test_the_unit_of_systemd_gives_each_process_a_port_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [unit] = every_block("ini")
    [settings] = [block for block in yaml_of("settings") if block.page == "kafka.md"]
    monkeypatch.setenv("PLAINT_KAFKA__SASL_PASSWORD", "x")
    for name, value in re.findall(r"^Environment=(\w+)=(.*)$", unit.text, re.M):
        monkeypatch.setenv(name, value.replace("%i", "1"))
    assert settings_of(settings.text, tmp_path).monitoring.port == 8331


def test_the_unit_of_systemd_starts_a_stage_and_leaves_alone_what_no_restart_mends() -> None:
    [unit] = every_block("ini")
    said = dict(line.split("=", 1) for line in unit.text.splitlines() if "=" in line)
    words = shlex.split(said["ExecStart"])
    assert Path(words[0]).name == "plaint"
    parsed(words[1:])
    assert "a restart won't mend it" in CODES[int(said["RestartPreventExitStatus"])]
    assert said["ExecReload"].endswith("kill -HUP $MAINPID")


# -- Prometheus --------------------------------------------------------------------------------------------------------


def promtool(*words: str | Path) -> str:
    """What it says; the test fails if it finds a fault."""
    if shutil.which("promtool") is None:
        pytest.skip("NOT TESTED WITH PROMTOOL: it is not installed (Debian: apt-get install prometheus)")
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_the_shipped_scrape_job_and_rules() -> None:
    assert f"{len(SHIPPED_RULES)} rules found" in promtool("check", "config", PROMETHEUS / "scrape.yml")


@pytest.mark.parametrize("block", yaml_of("prometheus"), ids=page_of)
def test_promtool_takes_every_block_of_prometheus(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "file.yml"
    file.write_text(block.text)
    kind = "rules" if "groups" in yaml.safe_load(block.text) else "config"
    assert "SUCCESS" in promtool("check", kind, file)


def rules_in(text: str) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]}


SHIPPED_RULES = rules_in((PROMETHEUS / "alerts.yml").read_text())


def test_every_rule_on_a_page_is_a_shipped_one() -> None:
    for block in yaml_of("prometheus"):
        for name, rule in rules_in(block.text).items() if "groups" in block.text else ():
            assert {"alert": name, "expr": rule["expr"]} == {"alert": name, "expr": SHIPPED_RULES[name]["expr"]}
    named = {name for page in TRIED for name in re.findall(r"`(Plaint[A-Z]\w+)`", page.read_text())}
    assert named
    assert named <= SHIPPED_RULES.keys()


def test_every_rule_asks_for_metrics_that_plaint_tells_with_labels_that_they_have() -> None:
    known = {metric.sample: metric for metric in METRICS}
    assert "plaint_ready" in known
    for name, rule in SHIPPED_RULES.items():
        for metric, labels in re.findall(r"(plaint_\w+)(?:\{(.*?)\})?", rule["expr"]):
            told = known[metric.removesuffix("_bucket")]
            asked = dict(re.findall(r'(\w+)=~?"([^"]*)"', labels))
            for label, value in asked.items():
                allowed = told.stages if label == "stage" else told.labels[label]
                assert set(value.split("|")) <= set(allowed or ()), name


@pytest.mark.parametrize("page", [*PAGES, *PROMETHEUS.glob("*.yml")], ids=lambda page: page.name)
def test_every_metric_that_is_named_is_told_by_that_name(page: Path) -> None:
    named = {name.removesuffix("_bucket") for name in re.findall(r"\bplaint_[a-z_]+", page.read_text())}
    assert named <= {metric.sample for metric in METRICS}


STARTED = 'process_start_time_seconds{job="plaint",stage="%s"}'
LATE = 'plaint_post_to_ticket_seconds_bucket{destination="helpdesk",le="%s"}'
ALARMS: list[tuple[str, dict[str, str], dict[str, str], int]] = [
    ("PlaintProcessAway", {'up{job="plaint"}': "1 0x9"}, {'up{job="plaint"}': "1 0 1x9"}, 5),
    (
        "PlaintChildAway",
        {'plaint_child_up{child="classify"}': "1 0x9"},
        {'plaint_child_up{child="classify"}': "1 0 1x9"},
        5,
    ),
    ("PlaintNotReady", {'plaint_ready{stage="route"}': "0x9"}, {'plaint_ready{stage="route"}': "0 0 1x9"}, 7),
    # As shipped it tells so for a minute only, then it ends.
    ("PlaintStalled", {'plaint_stalled{stage="route"}': "0 1 _x9"}, {'plaint_stalled{stage="route"}': "0x9"}, 1),
    (
        "PlaintDoorFails",
        {'plaint_door_requests_total{status="202"}': "0+9x30", 'plaint_door_requests_total{status="503"}': "0+1x30"},
        {'plaint_door_requests_total{status="200"}': "0+1x30", 'plaint_door_requests_total{status="400"}': "0+9x30"},
        25,
    ),
    (
        "PlaintStartsAgainAndAgain",
        {'process_start_time_seconds{job="plaint"}': "1 2 3 4 5 5x9"},
        {'process_start_time_seconds{job="plaint"}': "1 2 3 3x9"},
        8,
    ),
    (
        "PlaintBehind",
        {'plaint_lag_records{stage="route",partition="0"}': "3000x20", 'plaint_lag_records{stage="route"}': "3000x20"},
        {'plaint_lag_records{stage="route"}': "3000x20", 'plaint_lag_records{stage="classify"}': "3000x20"},
        20,
    ),
    (
        "PlaintTicketsLate",
        {LATE % "10": "0x30", LATE % "30": "0+9x30", LATE % "+Inf": "0+9x30"},
        {LATE % "10": "0+9x30", LATE % "30": "0+9x30", LATE % "+Inf": "0+9x30"},
        25,
    ),
    (
        "PlaintTicketsUndelivered",
        {'plaint_oldest_undelivered_seconds{destination="helpdesk"}': "0+60x30"},
        {'plaint_oldest_undelivered_seconds{destination="helpdesk"}': "0+20x30"},
        25,
    ),
    (
        "PlaintDestinationDown",
        {'plaint_breaker_open{destination="helpdesk"}': "1x9"},
        {'plaint_breaker_open{destination="helpdesk"}': "1 1 0x9"},
        7,
    ),
    (
        "PlaintDestinationDisabled",
        {'plaint_destination_disabled{destination="helpdesk"}': "0 1x9"},
        {'plaint_destination_disabled{destination="helpdesk"}': "0x9"},
        3,
    ),
    (
        "PlaintDeadLetters",
        {'plaint_records_total{stage="deliver",outcome="dead",reason="refused"}': "0 0 1x9"},
        {'plaint_records_total{stage="deliver",outcome="dropped",reason="repeated"}': "0 0 1x9"},
        5,
    ),
    (
        "PlaintComplaintsUnrouted",
        {'plaint_unrouted_posts_total{intent="complaint",author="other"}': "0 0 3x9"},
        {
            'plaint_unrouted_posts_total{intent="complaint",author="own"}': "0 0 3x9",
            'plaint_unrouted_posts_total{intent="other",author="other"}': "0 0 3x9",
        },
        5,
    ),
    (
        "PlaintReloadRefused",
        {'plaint_reload_refused{stage="classify"}': "0 1x9"},
        {'plaint_reload_refused{stage="classify"}': "1 0x9"},
        3,
    ),
    (
        "PlaintHearsNothing",
        {'plaint_records_total{stage="classify",outcome="result",reason="none"}': "7x140"},
        {'plaint_records_total{stage="classify",outcome="result",reason="none"}': "7+1x140"},
        130,
    ),
]
"""An alert, series that it has to fire at and such that it must not, and after how many minutes that is looked at."""

YOUNG, OLD = {STARTED % "route": "0x9"}, {STARTED % "route": "-7200x9"}
COUNTED_BEFORE: list[tuple[str, dict[str, str], dict[str, str], int]] = [
    (name, {series: "3x9"} | YOUNG, {series: "3x9"} | OLD, 5)
    for name, series in (
        ("PlaintDeadLetters", 'plaint_records_total{stage="route",outcome="dead",reason="invalid_record"}'),
        ("PlaintComplaintsUnrouted", 'plaint_unrouted_posts_total{stage="route",intent="question",author="other"}'),
    )
]
"""The same of a process that had counted already when it was scraped first: one that has just started, and one that has run for
two hours while Prometheus was away."""


def test_every_rule_fires_when_it_should_and_not_before(tmp_path: Path) -> None:
    assert [name for name, *_ in ALARMS] == list(SHIPPED_RULES)
    (tmp_path / "alerts.yml").write_text((PROMETHEUS / "alerts.yml").read_text())
    tests = [
        {
            "name": f"{name}, {count} expected",
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
                    "eval_time": f"{minutes}m",
                    "exp_samples": [{"labels": "{}", "value": count}],
                }
            ],
        }
        for name, loud, quiet, minutes in (*ALARMS, *COUNTED_BEFORE)
        for count, series in ((1, loud), (0, quiet))
    ]
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", file)


# -- the runbook -------------------------------------------------------------------------------------------------------

RUNBOOK = (DOCS / "why-no-ticket.md").read_text()
NOW = datetime(2026, 5, 4, tzinfo=UTC)


def life(state: TicketState, **fields: Any) -> str:
    """How a ticket's life is told in a summary."""
    return life_words(TicketLife(destination="helpdesk", key="", post_id="", webhook_id="", state=state, **fields))


def held(cause: HoldCause) -> str:
    """The same of a ticket that is held back, up to what differs."""
    until = NOW if cause == "max_per_author_per_hour" else None
    since = None if cause.startswith("max") else NOW
    hold = Hold(destination="helpdesk", cause=cause, why="it answered 410", since=since, until=until)
    return re.split(r"(?<=since )|(?<=earliest )|(?<=minute: )", life("accepted", hold=hold))[0] + "…"


def withdrawn(revision: int, reason: str = "") -> Step:
    """A step that ended a ticket."""
    known: dict[str, Any] = {"place": "", "at": NOW, "counts": True, "state": "done", "op": "withdraw", "generation": 0}
    known |= {"attempt": 1, "due_at": None, "status": None, "remote_id": "", "remote_url": ""}
    return Step(**known, revision=revision, reason=reason)


def test_the_runbook_knows_what_explain_says_of_tickets() -> None:
    nothing = DropReason.NOTHING_TO_WITHDRAW
    told = [
        life("asked"),
        life("accepted", next_try=None).partition(", next try")[0] + ", next try …",
        life("dead", reason=DeadReason.REFUSED, status=422),
        *(held(cause) for cause in get_args(HoldCause)),
        life("done", reason=DropReason.COLLAPSED),
        life("done", status=200, remote_id="17", steps=(withdrawn(1),)),
        life("done", reason=nothing, steps=(withdrawn(1), withdrawn(2, nothing))),
        life("done", reason=nothing, steps=(withdrawn(2, nothing),)),
        life("done", status=201, remote_id="17"),
    ]
    assert [words for words in told if f"| `{words}`" not in RUNBOOK] == []


def test_the_runbook_names_every_reason() -> None:
    assert [reason for reason in (*DeadReason, *DropReason) if reason.value not in RUNBOOK] == []


def test_the_runbook_says_what_to_read_for_every_alert() -> None:
    table = RUNBOOK.partition("## With an alert\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(Plaint\w+)`", table)) == SHIPPED_RULES.keys()


def findings_of(**fields: Any) -> Iterator[str]:
    """What status tells of a stage."""
    stage = StageStatus(**{"name": "classify", "processes": 1, **fields})
    yield from (finding.what for finding in judged(Status(at=NOW, stages=(stage,))).findings)


def test_the_runbook_knows_what_status_says() -> None:
    told = {
        "no process does its work": findings_of(processes=0),
        "process 4711 is stopped by a signal": findings_of(stopped=(4711,)),
        "acknowledged nothing while it was watched": findings_of(moves=False),
        "it is behind; 12,000 posts waiting": findings_of(lag=12_000, oldest_waiting_s=90.0),
        "17 posts aged out of the topic": findings_of(lost=17),
        "what it was to take up was refused": findings_of(kept=("routes.yaml:3: no rule",)),
        "its consumer group may not be looked at": findings_of(refused="Describe"),
        "its consumer group can't be looked at": findings_of(trouble="away"),
        "is taken to be down": findings_of(name="deliver-helpdesk", destination="helpdesk", breaker="open"),
        "is disabled and gets nothing": findings_of(name="deliver-helpdesk", destination="helpdesk", disabled="410"),
    }
    for words, found in told.items():
        [what] = found
        assert words in what
        assert f"`{words}" in RUNBOOK


# -- what versions read of each other: docs/upgrade.md -----------------------------------------------------------------


def refusal(kind: type[Post | Triage], fields: dict[str, Any]) -> str:
    """Why a record of another version gives nothing here; empty if it can be read."""
    try:
        kind.from_bytes(json.dumps(fields).encode())
    except (RecordInvalid, RecordDropped) as error:
        return error.reason.value
    return ""


def test_a_record_of_another_version_is_read_or_ends_as_the_page_about_upgrades_says() -> None:
    post: dict[str, Any] = {"id": "1", "text": "My router is dead"}
    triage = {"post": post, "triaged_at": "2026-05-04T12:00:00Z"}
    assert refusal(Post, post) == ""
    assert refusal(Post, post | {"mood": "new here"}) == ""
    assert refusal(Triage, triage | {"intent": "complaint", "mood": 3}) == ""
    assert refusal(Post, post | {"v": 2}) == "invalid_record"
    assert refusal(Triage, triage | {"intent": "threat"}) == "invalid_record"
    assert refusal(Post, post | {"event": "hide"}) == "unknown_event"


# -- numbers on the pages ----------------------------------------------------------------------------------------------


def test_the_pages_repeat_the_defaults_of_delivery() -> None:
    shipped = DestinationSettings.model_validate({"url": "https://desk.example.com", "secret": SECRET})
    concepts = (DOCS / "concepts.md").read_text()
    tries = [shipped.first_wait_s * 2**n for n in range(shipped.tries - 1)]
    hours = sum(min(wait, shipped.max_wait_s) for wait in tries) / 3600
    assert f"waits {shipped.first_wait_s:g} s" in concepts
    assert f"up to {shipped.max_wait_s / 3600:g} h, {shipped.tries} tries in all, about {hours:.0f} h" in " ".join(
        concepts.split()
    )
    assert (
        f"{shipped.disable_after} different tickets in a row, for {shipped.disable_after_s / 60:g} minutes" in concepts
    )
    assert f"Requests for {shipped.breaker_failures} different tickets" in concepts
    assert f"holds {shipped.window:,} unsettled tickets in memory and knows of {shipped.backlog:,}" in concepts


# -- links -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    lost = []
    for link in links(page):
        if link.startswith(("https:", "http:")):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in headings(target)):
            lost.append(link)
    assert lost == []


def test_headings_become_anchors_as_on_github() -> None:
    assert "2-topics-and-rights" in headings(DOCS / "kafka.md")
    assert "destinationsid" in headings(DOCS / "configuration.md")
    assert "plaint-dead-list" in headings(DOCS / "commands.md")


def test_every_page_is_listed_with_whom_it_is_for() -> None:
    written = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert written <= set(links(DOCS / "README.md"))
    assert {f"docs/{name}" for name in written} <= {link.partition("#")[0] for link in links(README)}


def test_every_folder_of_the_way_is_explained() -> None:
    rooms = {path.parent.name for where in ("*", "plaint/*") for path in REPOSITORY.glob(f"{where}/__init__.py")}
    assert {f"`{room}/`" for room in rooms} <= set(re.findall(r"`[a-z]+/`", README.read_text()))


def test_the_way_of_a_post_by_file_can_be_walked() -> None:
    way = README.read_text().partition("A post's way by file:")[2].partition("\n\n")[0]
    files = re.findall(r"`([a-z/_.]+)`", way)
    assert len(files) > 8
    places = [REPOSITORY, REPOSITORY / "route" / "delivery"]
    assert [file for file in files if not any((place / file).exists() for place in places)] == []

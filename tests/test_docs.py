"""The docs say what is so: every command in them parses or runs, every example is loaded, every link leads somewhere."""

import json
import re
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from standardwebhooks import WebhookVerificationError

from plaint.cli import cli
from plaint.commands.run import read_sources
from plaint.docs import stale
from plaint.settings import load_settings
from route.destinations.base import Parcel
from route.destinations.signing import signatures, signing_key
from route.destinations.webhook_body import webhook_body
from route.rules import check_routes
from tests.support.command import plaint

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
SECRET = "whsec_" + "b25seSBhbiBleGFtcGxlIG9mIGEgc2VjcmV0IQ=="


def blocks(language: str) -> list[str]:
    """The code blocks of this language in the README."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


COMMANDS = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]


def test_pages_that_repeat_the_code_are_fresh() -> None:
    assert stale() == []


def test_a_page_that_says_something_else_is_stale(tmp_path: Path) -> None:
    assert stale(tmp_path) == ["commands.md", "configuration.md", "metrics.md", "reasons.md"]


def test_the_readme_has_commands_to_try() -> None:
    assert len(COMMANDS) > 10


@pytest.mark.parametrize("line", [line for line in COMMANDS if "plaint" in line])
def test_every_command_parses(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line.rpartition("|")[2])
    assert words.pop(0) == "plaint"
    command: click.Command = cli
    context: click.Context | None = None
    while isinstance(command, click.Group):
        context = command.make_context(command.name, words, parent=context)
        _, found, words = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None, line
        command = found
    options = command.make_context(command.name, words, parent=context).params
    assert read_sources(tuple(options.get("sources", ()))) is not None


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("make")])
def test_every_target_exists(line: str) -> None:
    done = subprocess.run([*shlex.split(line), "--dry-run"], cwd=REPOSITORY, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_help_of_make_lists_what_the_readme_names() -> None:
    done = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.strip()}
    assert set(re.findall(r"`?make ([a-z]+)", README)) <= listed | {"help"}


def test_the_line_of_labels_is_what_classify_writes(tmp_path: Path) -> None:
    [line] = [line for line in COMMANDS if line.endswith("plaint classify")]
    post = shlex.split(line.partition("|")[0])[1]
    done = plaint("classify", cwd=tmp_path, stdin=post.encode())
    found = json.loads(done.stdout)
    [shown] = [line for line in README.splitlines() if line.startswith('{"id":1,')]
    promised = json.loads(shown.replace("{…}", "{}"))
    assert list(found) == list(promised)
    plain = ("id", "intent", "sentiment", "urgent", "model")
    assert {key: found[key] for key in plain} == {key: promised[key] for key in plain}


def settings_of(text: str, folder: Path) -> Any:
    (folder / "plaint.yaml").write_text(text)
    return load_settings(folder / "plaint.yaml")


def test_the_settings_in_the_readme_load(tmp_path: Path) -> None:
    text, _ = blocks("yaml")
    settings = settings_of(text, tmp_path)
    assert settings.kafka.brokers == ("kafka.example.com:9092",)
    assert list(settings.destinations) == ["helpdesk"]


def test_the_shipped_example_of_settings_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAINT_KAFKA__SASL_PASSWORD", "x")
    settings = settings_of((REPOSITORY / "deploy" / "plaint.example.yaml").read_text(), tmp_path)
    assert check_routes(None, settings.destinations) == []
    assert settings.sources[0].is_csv


def test_the_routes_in_the_readme_are_sound(tmp_path: Path) -> None:
    _, text = blocks("yaml")
    (tmp_path / "routes.yaml").write_text(text)
    assert check_routes(tmp_path / "routes.yaml", ["helpdesk"]) == []
    assert yaml.safe_load(text)["rules"][0]["examples"]


def test_the_receiver_in_the_readme_checks_what_plaint_sends(capsys: pytest.CaptureFixture[str]) -> None:
    [source] = blocks("python")
    names: dict[str, Callable[..., int]] = {}
    exec(compile(source, "README.md", "exec"), names)
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_folder_of_the_way_is_explained() -> None:
    rooms = {path.parent.name for path in REPOSITORY.glob("*/__init__.py")}
    assert {f"`{room}/`" for room in rooms} <= set(re.findall(r"`[a-z]+/`", README))

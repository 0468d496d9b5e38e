"""The commands on the pages do what the pages say, tried on a running ``plaint up`` that has read the samples."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plaint.training import read_corrections
from schemas.webhook_secret import signing_key
from tests.support.command import PLAINT, environment
from tests.support.forked import Done, forked
from tests.support.kafka_process import free_ports
from tests.support.pages import PAGES, REPOSITORY, Command, blocks, commands

pytestmark = pytest.mark.timeout(240)

START_S = 120.0
COMMAND_S = 150.0
"""The first one waits until all commands are imported."""
FOLLOWED_S = 1.0
"""For how long a command is run that goes on until it is ended."""
SECRET = "whsec_" + "ZG9jcyB0ZXN0cyBzaWduIHdpdGggdGhpcyBzZWNyZXQ="
QUEUES = ("helpdesk", "service", "marketing")
CONFIG = "plaint.yaml"

ON_THEIR_OWN = {
    "up": "the fixture runs one; tests/system/test_up.py runs the others",
    "run": "stages run until they are ended; tests/system runs them",
    "classify": "tests/test_docs.py runs it",
    "evaluate": "tests/plaint/test_evaluate.py runs it",
    "train": "tests/plaint/test_train.py runs it",
}
ELSEWHERE = ("--ask", "rights --stage")
"""What needs machines or rights that aren't here; that they parse is seen to in tests/test_docs.py."""
OTHERS: dict[str, set[int]] = {
    "forget mastodon": {1},  # nobody of that name is held
    "plaint status": {0, 1},  # on a busy machine a stage may be behind
    "plaint --config plaint.yaml status": {0, 1},
}
"""Exit codes other than 0."""


@dataclass(frozen=True)
class Up:
    """A running ``plaint up``: what it said, where it listens, and how commands find it."""

    folder: Path
    said: str
    door: str
    variables: dict[str, str]


def pages_commands() -> list[Command]:
    """Every command of plaint that can be run here, each once, in the order of the pages."""
    found: dict[str, Command] = {}
    for page in PAGES:
        for command in commands(page) if page.name != "routes.md" else ():
            words = command.parts()[-1]
            if words[0] == "plaint" and is_run(words[1:]):
                found.setdefault(shlex.join(words), command)
    return list(found.values())


def bare(words: list[str]) -> list[str]:
    """Without the option that names the settings."""
    return words[2:] if words[:1] == ["--config"] else words


def is_run(given: list[str]) -> bool:
    words = bare(given)
    if words[:2] == ["run", "ingest"]:
        return "--door" not in words
    return words[0] not in ON_THEIR_OWN and not any(part in shlex.join(words) for part in ELSEWHERE)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Up and summed up; in its folder lie the files that the commands name."""
    folder = tmp_path_factory.mktemp("docs")
    door, inbox, monitoring = free_ports(3)
    variables = {"PLAINT_RUNTIME_DIR": str(folder / "run")}
    settings = {
        "PLAINT_DOOR__PORT": str(door),
        "PLAINT_INBOX": json.dumps({"port": inbox, "secret": SECRET}),
        "PLAINT_MONITORING__PORT": str(monitoring),
        "PLAINT_KAFKA": json.dumps({"session_timeout_s": 6, "heartbeat_s": 1}),
    }
    routes = next(b.text for b in blocks(REPOSITORY / "README.md", "yaml") if b.text.startswith("rules:"))
    for place in (folder, folder / "elsewhere"):
        place.mkdir(exist_ok=True)
        (place / "posts.jsonl").write_text('{"id": "file-1", "text": "thanks, the new app is lovely"}\n')
        (place / "routes.yaml").write_text(routes)
        (place / "new-routes.yaml").write_text(routes)
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [PLAINT, "up", "--samples"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=folder,
            env=environment(settings | variables),
        )
    try:
        deadline = time.monotonic() + START_S
        while "still up" not in (said := (folder / "out").read_text()):
            assert process.poll() is None, said + (folder / "err").read_text()[-3000:]
            assert time.monotonic() < deadline, said + (folder / "err").read_text()[-3000:]
            time.sleep(0.1)
        [announced] = (folder / "run").glob("up-*.json")
        (folder / CONFIG).write_text(json.dumps(own_settings(json.loads(announced.read_text()), inbox)))
        yield Up(folder, said, f"http://127.0.0.1:{door}", variables)
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(45)
        process.kill()
        process.wait()


def own_settings(announced: dict[str, Any], inbox: int) -> dict[str, Any]:
    """Settings that name the broker of ``plaint up`` and its inbox, as those of a team name its own; JSON is YAML."""
    kafka = {key: value for key, value in announced["kafka"].items() if key != "sasl_password"}
    hooks = {name: {"url": f"http://127.0.0.1:{inbox}/hooks/{name}", "secret": SECRET} for name in QUEUES}
    return {"kafka": kafka, "destinations": hooks}


def run(up: Up, command: Command) -> Done:
    """Run a command; one that goes on is ended after a while."""
    words = command.parts()[-1][1:]
    limit_s = FOLLOWED_S if goes_on(command) else COMMAND_S
    # In the folder of plaint.yaml it would count without being named.
    folder = up.folder if "--config" in words else up.folder / "elsewhere"
    return forked(words, folder, environment(up.variables), limit_s)


def goes_on(command: Command) -> bool:
    return bare(command.parts()[-1][1:])[0] == "tail"


def test_the_summary_in_the_readme_is_that_of_a_run(up: Up) -> None:
    [shown] = [block.text for block in blocks(REPOSITORY / "README.md") if "200 posts read" in block.text]
    assert missing(shown.splitlines(), up.said) == []


@pytest.mark.parametrize("command", pages_commands(), ids=lambda command: f"{command.page}: {command.line}")
def test_every_command_does_what_its_page_says(up: Up, command: Command) -> None:
    done = run(up, command)
    wanted = next((codes for part, codes in OTHERS.items() if part in command.line), {0})
    assert done.code in wanted or (done.code is None and goes_on(command)), done.said
    assert "Traceback" not in done.said
    assert missing(command.shown, done.said) == []


def missing(shown: Sequence[str], said: str) -> list[str]:
    """Lines that a page shows and that were not said in that order, numbers and addresses apart; ``…`` stands for any."""
    told = iter([shape(line) for line in said.splitlines()])
    return [line for line in shown if line != "…" and shape(line) not in told]


def shape(line: str) -> str:
    return re.sub(r"[0-9a-f]{16,}|\d+([.,]\d+)*", "#", line).strip()


def test_lines_are_compared_but_for_their_numbers() -> None:
    assert missing(["sent 17", "…", "ticket 2 of 3"], "sent 4\nother\nticket 10 of 11\n") == []
    assert missing(["sent 17", "ticket for me"], "ticket for me\nsent 17") == ["ticket for me"]
    assert missing(["urgent"], "not urgent") == ["urgent"]


@pytest.mark.skipif(shutil.which("jq") is None, reason="PAGE'S FILTER NOT RUN: jq is missing")
def test_what_passes_by_becomes_corrections_that_training_reads(up: Up) -> None:
    [command] = [c for page in PAGES for c in commands(page) if "> corrections.jsonl" in c.line]
    words, filter_ = command.parts()
    words[words.index("-n") + 1] = "20"  # so many have passed, so that it ends by itself
    done = forked(words[1:], up.folder / "elsewhere", environment(up.variables), COMMAND_S)
    assert done.code == 0, done.said
    made = subprocess.run(filter_, input=done.said.encode(), capture_output=True, timeout=30, check=True).stdout
    found = read_corrections(made, "corrections.jsonl")
    assert (len(found.posts), found.faults) == (len(made.splitlines()), [])
    # The urgency of a triage is raised by policy, which is no view of the text.
    assert all(post.text and post.intent and post.sentiment and post.urgency is None for post in found.posts)


CURLS = [command for page in PAGES for command in commands(page) if command.line.startswith("curl")]


@pytest.mark.parametrize("command", CURLS, ids=lambda command: command.page)
def test_every_request_is_answered_as_its_page_says(up: Up, command: Command) -> None:
    line = command.line.replace("http://127.0.0.1:8320", up.door)
    said = by_curl(line) if shutil.which("curl") else by_hand(line)
    assert json.loads(said) == json.loads(command.shown[0])


def by_curl(line: str) -> str:
    return subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=30, check=True).stdout


def by_hand(line: str) -> str:
    """The same request where there is no curl."""
    words = shlex.split(line)
    headers = [words[i + 1].partition(":") for i, word in enumerate(words) if word == "-H"]
    body = words[words.index("-d") + 1].encode()
    address = next(word for word in words if word.startswith("http"))
    request = urllib.request.Request(address, body, {name: value.strip() for name, _, value in headers})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


def test_the_command_that_makes_a_secret_makes_one() -> None:
    [command] = [c for page in PAGES for c in commands(page) if c.line.startswith("python3 -c")]
    made = subprocess.run(shlex.split(command.line), capture_output=True, text=True, timeout=30, check=True).stdout
    assert len(signing_key(made.strip())) == 32

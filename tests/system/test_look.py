"""The commands that look at posts and tickets, on a running ``plaint up``: what they tell, and what they send again."""

import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import LIMIT_S, PLAINT, environment, plaint, shown, trap
from tests.support.kafka_process import REPOSITORY
from tests.system.hostile import TEXTS, hostile_post
from tests.system.lab import STEERING, UNSEEN
from tests.system.wire import ticket_key, webhook_id

SECRET = "whsec_" + "bm9ib2R5IG1heSBldmVyIHNlZSB0aGlzIHNlY3JldA=="
TINY = next(iter(sorted((REPOSITORY / "tests" / "models").glob("tiny-*"))), None)
REFUSED, WAITING = "marketing", "helpdesk"
ROUTES = {
    "rules": [
        {
            "name": "refused",
            "why": "The inbox refuses these.",
            "match": {"post.text": {"contains": "refuse me"}},
            "destinations": [REFUSED],
        },
        {
            "name": "waiting",
            "why": "The inbox has no time for these.",
            "match": {"post.text": {"contains": "let me wait"}},
            "destinations": [WAITING],
        },
        {
            "name": "silent",
            "why": "Nobody wants these.",
            "match": {"post.text": {"contains": "leave me"}},
            "destinations": [],
        },
        {"name": "all", "why": "All the rest.", "destinations": ["service"]},
    ]
}
FAULTS = [{"do": "answer", "status": 400, "queue": REFUSED}, {"do": "answer", "status": 503, "queue": WAITING}]
POSTS: list[dict[str, Any]] = [
    {
        "id": "look:fine",
        "text": "My router is dead, third time this week",
        "author": {"handle": "kara"},
        "network": "x",
    },
    {
        "id": "look:fine",
        "text": "My router is dead, third time this week",
        "author": {"handle": "kara"},
        "network": "x",
    },
    {"id": "look:fine", "text": "My router is dead, fourth time", "event": "edit", "revision": 1, "network": "x"},
    {"id": "look:refused", "text": "Refuse me"},
    {"id": "look:refused-too", "text": "Refuse me as well"},
    {"id": "look:waiting", "text": "Please let me wait"},
    {"id": "look:silent", "text": "Leave me alone"},
    *(hostile_post(f"look:{number}", name) for number, name in enumerate(TEXTS)),
]
LINES = len(POSTS)


@dataclass
class Desk:
    """A running ``plaint up``, and whoever asks it."""

    folder: Path
    settings: dict[str, str]
    inbox: str = ""
    said: list[str] = field(default_factory=list)

    def run(self, *arguments: str, code: int = 0) -> str:
        """What a command writes on stdout; fails if it ends with another code, shows a traceback or steers a terminal."""
        done = plaint(*arguments, cwd=self.folder, settings=self.settings)
        assert done.returncode == code, shown(done)
        assert b"Traceback" not in done.stderr
        for line in (done.stdout + done.stderr).splitlines():
            assert not UNSEEN.search(line), line
            assert not STEERING.search(line.decode()), line
        return done.stdout.decode()

    def read(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        """The JSON lines of a command."""
        return [json.loads(line) for line in self.run(*arguments, "--json", code=code).splitlines()]

    def ask(self, path: str, body: object = None) -> Any:
        """What the inbox answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.inbox + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return [json.loads(line) for line in answer.read().splitlines()]

    def taken(self) -> set[str]:
        """The webhook ids that the inbox has taken."""
        return {receipt["id"] for receipt in self.ask("/api/receipts")}


def until(look: Callable[[], Any], what: Callable[[], object], limit_s: float = LIMIT_S / 2) -> Any:
    """What ``look`` finds as soon as it finds something."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(what())


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = trap(tmp_path_factory.mktemp("look") / "elsewhere")
    (folder / "routes.yaml").write_text(json.dumps(ROUTES))
    lines = [json.dumps(post).encode() for post in POSTS] + [b"no post at all \x1b[2J", b'{"text": "no id"}']
    (folder / "posts.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    shared = {"PLAINT_RUNTIME_DIR": str(folder / "run"), "PLAINT_ROUTE__ROUTES": str(folder / "routes.yaml")}
    own = {"PLAINT_INBOX": json.dumps({"port": 0, "secret": SECRET, "faults": {"rules": FAULTS}})}
    own |= {"PLAINT_CLASSIFY__MODEL": str(TINY)} if TINY else {}
    with (folder / "log").open("wb") as log:
        up = subprocess.Popen(
            [PLAINT, "up", "--source", "file:posts.jsonl"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment({**shared, **own}),
        )
    found = Desk(folder, shared)
    try:
        log_text = (folder / "log").read_text
        address = until(lambda: [line for line in log_text().splitlines() if line.startswith("inbox: ")], log_text)
        found.inbox = address[0].removeprefix("inbox: ").strip()
        wanted = {webhook_id(ticket_key(post["id"], "service"), post.get("revision", 0)) for post in POSTS[7:]}
        until(lambda: _answers(found) and wanted <= found.taken(), log_text)
        until(lambda: len(found.read("tickets", "list")) == 3, log_text)
        yield found
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(LIMIT_S)


def _answers(desk: Desk) -> bool:
    try:
        return bool(desk.ask("/api/receipts"))
    except OSError:
        return False


# The tests stand in an order: what is refused or waits is mended at the end.


def test_a_posts_story_is_told(desk: Desk) -> None:
    text = desk.run("explain", "look:fine")
    for words in (
        "service: done (20",
        "yes  all → service",
        "repeated: revision 0 was there before",
        "edit, revision 1",
        "sending 1",
        "model tiny" if TINY else "model ",
        f"webhook-id {webhook_id(ticket_key('look:fine', 'service'), 1)}",
    ):
        assert words in text
    assert "nothing is known of this post" in desk.run("explain", "look:nobody", code=1)


def test_hostile_posts_steer_no_terminal(desk: Desk) -> None:
    """``Desk.run`` looks at every line that is written."""
    name = "direction"
    post = hostile_post(f"look:{list(TEXTS).index(name)}", name)
    assert len(desk.run("explain", post["id"]).splitlines()) < 60
    everything = desk.run("tail", "posts", "triage", "tickets", "--since", "1h", "-n", str(LINES * 2))
    assert len(everything.splitlines()) == LINES * 2


def test_tail_ends_on_ctrl_c_and_when_nobody_reads_on(desk: Desk) -> None:
    process = subprocess.Popen(
        [PLAINT, "tail", "posts", "--since", "1h"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=desk.folder,
        env=environment(desk.settings),
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, said.strip()) == (130, b"")
    for reader in (
        "head -1",
        "(sleep 2; head -1)",
    ):  # one that leaves while lines are written, one that leaves afterwards
        script = f"{PLAINT} tail posts triage tickets --since 1h | {reader}; echo ${{PIPESTATUS[0]}}"
        piped = subprocess.run(
            ["bash", "-c", script],
            capture_output=True,
            cwd=desk.folder,
            env=environment(desk.settings),
            timeout=LIMIT_S,
        )
        assert piped.stdout.splitlines()[1:] == [b"0"]
        assert piped.stderr == b""


def test_dead_letters_are_listed_and_shown_as_they_came(desk: Desk) -> None:
    found = {letter["place"]: letter for letter in desk.read("dead", "list")}
    assert [letter["reason"] for letter in found.values() if letter["stage"] == "deliver"] == ["refused"] * 2
    line = f"posts.jsonl:{LINES + 1}"
    assert found[line]["reason"] == "invalid_json"
    assert "no post at all \\x1b[2J" in desk.run("dead", "show", line)
    raw = plaint("dead", "show", found[line]["id"], "--raw", cwd=desk.folder, settings=desk.settings)
    assert raw.stdout == b"no post at all \x1b[2J"


def test_once_the_receiver_is_mended_the_dead_go_again_and_the_waiting_at_once(desk: Desk) -> None:
    rows = {row["post_id"]: (row["state"], row["destination"]) for row in desk.read("tickets", "list")}
    assert rows == {
        "look:refused": ("dead", REFUSED),
        "look:refused-too": ("dead", REFUSED),
        "look:waiting": ("open", WAITING),
    }
    assert [done["sent"] for done in desk.read("tickets", "retry", "look:waiting")] == [True]  # while it still waits
    desk.ask("/api/faults", {"rules": []})
    key, too = (ticket_key(post, REFUSED) for post in ("look:refused", "look:refused-too"))
    ids = {letter["key"]: letter["id"] for letter in desk.read("dead", "list", "--stage", "deliver")}
    assert [done["sent"] for done in desk.read("dead", "replay", ids[key], "--force")] == [True]
    assert [done["sent"] for done in desk.read("tickets", "retry", "look:refused-too")] == [True]
    again = {webhook_id(key, 0) + "-1", webhook_id(too, 0) + "-1"}
    until(lambda: again <= desk.taken(), desk.taken)
    until(lambda: not desk.read("tickets", "list"), lambda: desk.run("tickets", "list"))
    (stats,) = desk.ask("/api/stats")
    assert stats["second_tickets"] == 0
    (told,) = desk.read("explain", "look:refused")
    assert [len(letter["replays"]) for letter in told["dead_letters"]] == [1]
    states = [step["state"] for life in told["tickets"] for step in life["steps"]]
    assert states == ["accepted", "sending", "dead", "accepted", "sending", "done"]


def test_a_shell_gets_its_completion(desk: Desk) -> None:
    assert "_PLAINT_COMPLETE" in desk.run("completion", "bash")
    asked = {**desk.settings, "_PLAINT_COMPLETE": "bash_complete", "COMP_WORDS": "plaint dead re", "COMP_CWORD": "2"}
    assert plaint(cwd=desk.folder, settings=asked).stdout.strip() == b"plain,replay"

"""The door of a running ``plaint up`` and of ``plaint run ingest``, as somebody uses them who has installed plaint."""

import json
import signal
import statistics
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.burden import burden
from tests.support.command import PLAINT, environment, plaint, shown, trap
from tests.support.door import answer_of
from tests.support.kafka_process import free_ports
from tests.system.test_up import ENDING_S, SMALL, Up, ask, everything, start

__all__ = ["everything", "start"]

pytestmark = pytest.mark.timeout(240)

TEXT = "my router is dead for the third time, nobody answers"
SENDS = 7
TOKEN = "a-token-for-the-door"


class Here:
    """Ports and a runtime folder of the test's own, and ``plaint send`` there."""

    def __init__(self, folder: Path) -> None:
        self.door, self.inbox = (f"http://127.0.0.1:{port}" for port in free_ports(2))
        self._folder = trap(folder / "sender")
        self._runtime = {"PLAINT_RUNTIME_DIR": str(folder / "running")}
        self.settings = {
            "PLAINT_DOOR__PORT": self.door.rpartition(":")[2],
            "PLAINT_INBOX__PORT": self.inbox.rpartition(":")[2],
            **self._runtime,
        }

    def guard(self) -> None:
        """Have the door ask for a token, which ``plaint send`` finds in the same settings."""
        (self._folder / "tokens").write_text(TOKEN)
        guarded = {"PLAINT_DOOR__TOKEN_FILE": str(self._folder / "tokens")}
        self.settings |= guarded
        self._runtime |= guarded

    def send(self, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        return plaint("send", *arguments, cwd=self._folder, settings=self._runtime)

    def sent(self, *arguments: str) -> str:
        """The id of what was sent."""
        done = self.send("--json", *arguments)
        assert done.returncode == 0, shown(done)
        id_: str = json.loads(done.stdout)["ids"][0]
        return id_

    def is_open(self) -> bool:
        return bool(ask(f"{self.door}/openapi.json"))

    def ticket(self, post_id: str, limit_s: float = 60) -> dict[str, Any]:
        """The ticket of this post in the inbox, waited for."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            for held in (ask(f"{self.inbox}/api/tickets?limit=100") or {"tickets": []})["tickets"]:
                if held["ticket"]["post_id"] == post_id:
                    found: dict[str, Any] = held
                    return found
            time.sleep(0.02)
        raise AssertionError(f"no ticket of {post_id} within {limit_s} s")

    def status(self, body: object, headers: Mapping[str, str] | None = None) -> int:
        """What the door answers."""
        return answer_of(self.door, body, headers)


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def test_what_is_sent_from_the_shell_is_a_ticket_within_a_second(
    start: Callable[..., Up], here: Here, record_property: Callable[[str, object], None]
) -> None:
    up = start(settings=here.settings | {"PLAINT_CLASSIFY__MODEL": ""})
    up.wait_for(here.is_open, "the door")
    assert f"door: {here.door}" in up.stdout
    here.ticket(here.sent(TEXT))  # once everything is at work
    since_accepted, since_started = [], []
    for _ in range(SENDS):
        began = time.time()
        id_ = here.sent(TEXT)
        held = here.ticket(id_)
        accepted = held["ticket"]["received_at"].replace("Z", "+00:00")
        busy = burden()
        since_accepted.append((held["arrived_at"] - datetime.fromisoformat(accepted).timestamp()) / busy)
        since_started.append((held["arrived_at"] - began) / busy)
    record_property("seconds from acceptance to ticket", statistics.median(since_accepted))
    record_property("seconds from the command to ticket", statistics.median(since_started))
    assert statistics.median(since_accepted) <= 1, since_accepted
    assert statistics.median(since_started) <= 2, "the command's own start comes on top"
    assert held["queue"] == "helpdesk"
    assert b"helpdesk" in here.send("--wait", TEXT).stdout


@pytest.mark.long
def test_what_comes_by_a_guarded_door_while_sources_are_read_is_delivered_and_not_in_their_count(
    start: Callable[..., Up], here: Here, tmp_path: Path, everything: dict[str, str]
) -> None:
    posts = tmp_path / "posts.jsonl"
    posts.write_text(
        "".join(f'{{"id": {number}, "text": "My order {number} never arrived"}}\n' for number in range(60))
    )
    here.guard()
    up = start("--source", f"file:{posts},rate=20", settings=here.settings | everything)
    up.wait_for(here.is_open, "the door")
    ids = [here.sent("--id", f"door-{number}", TEXT) for number in range(3)]
    again = {"id": 5, "text": "My order 5 never arrived"}
    assert here.status(again) == 401
    assert here.status(again, {"Authorization": f"Bearer {TOKEN}"}) == 202
    up.wait_for(lambda: "still up" in up.stdout, "the summary")
    summary = up.stdout
    assert "60 posts read, 0 of them repeated, 60 triaged" in summary
    assert "tickets: helpdesk 0, marketing 0, service 60" in summary
    assert "lost: 0; second tickets: 0" in summary
    for id_ in ids:
        here.ticket(id_)

    # A worker that is killed opens its door again and does not read again what was read.
    up.child("run", "ingest").kill()
    up.wait_for(lambda: "the sources were read before" in up.stderr, "the worker's second start")
    up.wait_for(here.is_open, "the door")
    here.ticket(here.sent(TEXT))
    assert ask(f"{here.inbox}/api/stats")["tickets"] == 64
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(ENDING_S) == 0
    assert "Traceback" not in up.stderr
    assert TOKEN not in up.stdout + up.stderr


@pytest.mark.parametrize("command", [["run", "ingest", "--door"], ["up"], ["check-config"]], ids=" ".join)
def test_where_others_reach_the_door_it_does_not_start_without_a_secret(tmp_path: Path, command: list[str]) -> None:
    settings = {"PLAINT_DOOR__HOST": "0.0.0.0", "PLAINT_KAFKA__BROKERS": '["127.0.0.1:9"]', **SMALL}
    done = plaint(*command, cwd=tmp_path, settings=settings | {"PLAINT_RUNTIME_DIR": str(tmp_path)})
    assert done.returncode == 2, shown(done)
    assert "door.host: 0.0.0.0 can be reached from elsewhere, and there is neither a secret nor a token" in shown(done)
    assert "set door.secret_file or door.token_file" in shown(done)


def test_the_stage_alone_takes_posts_until_it_is_told_to_end(tansu: str, here: Here, tmp_path: Path) -> None:
    settings = {
        "PLAINT_DOOR__PORT": here.settings["PLAINT_DOOR__PORT"],
        "PLAINT_KAFKA__BROKERS": json.dumps([tansu]),
        "PLAINT_KAFKA__IDEMPOTENT_PRODUCER": "false",
        "PLAINT_MONITORING__PORT": str(monitoring := free_ports(1)[0]),
    }
    command = ["run", "ingest", "--door"]
    with subprocess.Popen(
        [PLAINT, *command], cwd=tmp_path, env=environment(settings), stderr=subprocess.PIPE
    ) as worker:
        try:
            deadline = time.monotonic() + 60
            while not here.is_open():
                assert worker.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert here.status([{"id": str(number), "text": "x"} for number in range(50)]) == 202
            assert here.status({"id": "1"}) == 400
            with urllib.request.urlopen(f"http://127.0.0.1:{monitoring}/metrics", timeout=60) as told:
                metrics = told.read().decode().splitlines()
            assert 'plaint_door_requests_total{stage="ingest",status="202",why="none"} 1.0' in metrics
            assert 'plaint_door_requests_total{stage="ingest",status="400",why="invalid_post"} 1.0' in metrics
            assert 'plaint_door_requests_total{stage="ingest",status="503",why="late_acknowledgement"} 0.0' in metrics
            assert 'plaint_door_posts_total{stage="ingest"} 50.0' in metrics
            assert 'plaint_door_request_seconds_count{stage="ingest"} 1.0' in metrics
            second = plaint(*command, cwd=tmp_path, settings=settings | {"PLAINT_MONITORING__PORT": "0"})
            assert second.returncode == 69
            assert "another program listens there, set door.port" in shown(second)
            worker.terminate()
            assert worker.wait(60) == 0
        finally:
            worker.kill()
        assert worker.stderr
        assert b"Traceback" not in worker.stderr.read()
    assert not here.is_open()

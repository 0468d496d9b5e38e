"""Delivery made safe, from outside: a destination that is gone and is enabled again, and no secret in anything that is said."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.command import PLAINT, environment, plaint, shown
from tests.support.kafka_process import REPOSITORY, free_ports

LIMIT_S = 90
CONCURRENCY = 4
WHSEC = "c2VjcmV0cyBvZiB0aGUgaGVscGRlc2sgZG9uJ3QgbGVhaw=="
TOKEN, QUERY_TOKEN, DEAF_TOKEN, TLS_TOKEN = (
    "T0K3N-in-the-path",
    "T0K3N-in-the-query",
    "T0K3N-of-the-deaf",
    "T0K3N-of-tls",
)
PASSWORD = "hunter2-of-sasl"
SECRETS = (WHSEC, TOKEN, QUERY_TOKEN, DEAF_TOKEN, TLS_TOKEN, PASSWORD)
TINY = next(iter(sorted((REPOSITORY / "tests" / "models").glob("tiny-*"))), None)


class Desk:
    """A receiver that echoes all that it was sent, and answers with ``status``."""

    def __init__(self) -> None:
        self.status = 410
        self.requests: list[str] = []
        desk = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                desk.requests.append(self.headers["webhook-id"])
                echo = f"{self.path} {self.headers['webhook-signature']} whsec_{WHSEC}".encode()
                self.send_response(desk.status)
                self.send_header("Content-Length", str(len(echo)))
                self.end_headers()
                self.wfile.write(echo)

            def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base class calls it so

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.server.shutdown()
    desk.server.server_close()


def until(holds: Callable[[], Any], said: Callable[[], str]) -> Any:
    """What ``holds`` gives once it gives something."""
    deadline = time.monotonic() + LIMIT_S
    while not (found := holds()):
        assert time.monotonic() < deadline, said()
        time.sleep(0.1)
    return found


def settings(desk: Desk, folder: Path) -> dict[str, str]:
    """Destinations that fail in every way, each with a secret and a token in its address."""
    secret = {
        "secret": f"whsec_{WHSEC}",
        "first_wait_s": 0.2,
        "max_wait_s": 1,
        "tries": 3,
        "timeout_s": 5,
        "concurrency": CONCURRENCY,
    }
    helpdesk = f"http://127.0.0.1:{desk.port}/hooks/{TOKEN}?auth={QUERY_TOKEN}"
    deaf, tls = f"http://127.0.0.1:{free_ports(1)[0]}/{DEAF_TOKEN}", f"https://127.0.0.1:{desk.port}/{TLS_TOKEN}"
    return {
        "PLAINT_LOG_LEVEL": "DEBUG",
        "PLAINT_RUNTIME_DIR": str(folder / "runtime"),
        "PLAINT_KAFKA": json.dumps({"session_timeout_s": 6, "heartbeat_s": 1}),  # the embedded broker waits half of it
        "PLAINT_DESTINATIONS": json.dumps(
            {
                "helpdesk": {**secret, "url": helpdesk},
                "service": {**secret, "url": deaf},
                "marketing": {**secret, "url": tls},
            }
        ),
        **({"PLAINT_CLASSIFY__MODEL": str(TINY)} if TINY else {}),
    }


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_destination_is_turned_off_and_on_and_nothing_that_is_said_holds_a_secret(desk: Desk, tmp_path: Path) -> None:
    env = settings(desk, tmp_path)
    out = tmp_path / "out"
    said: list[str] = []

    def run(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
        done = plaint(*arguments, cwd=tmp_path, settings=env)
        said.append(shown(done))
        return done

    def state(name: str) -> dict[str, Any]:
        lines = run("destination", "list", "--json").stdout.splitlines()
        found: dict[str, Any] = next(one for one in map(json.loads, lines) if one["destination"] == name)
        return found

    def log() -> str:
        return out.read_text(errors="replace")

    with out.open("wb") as to:
        up = subprocess.Popen([PLAINT, "up", "--samples"], stdout=to, stderr=to, cwd=tmp_path, env=environment(env))
    try:
        until(lambda: "the destination is disabled: it answered that it is gone: 410" in log(), log)
        off = state("helpdesk")
        assert (off["enabled"], off["status"], off["by"]) == (False, 410, "answers")
        assert len(desk.requests) <= CONCURRENCY  # nothing is sent while it is off
        desk.status = 200
        assert run("destination", "enable", "helpdesk").returncode == 0
        until(lambda: len(set(desk.requests)) > 30, log)
        assert run("destination", "disable", "helpdesk", "--why", "until\x1b[31m noon").returncode == 0
        listed = run("destination", "list")
        assert b"by a person, until\\x1b[31m noon" in listed.stdout
        assert b"plaint destination enable" in run("status").stdout

        wrong = run("destination", "enable", "helpdsek")
        assert wrong.returncode == 2
        assert b'did you mean "helpdesk"?' in wrong.stderr
        until(lambda: "no connection" in log() and "TLS failed" in log(), log)
        words = [" ".join(one.cmdline()) for one in psutil.Process(up.pid).children(recursive=True)]
        assert any("run deliver" in line for line in words)
        said.extend(words)
    finally:
        up.terminate()
        up.wait(60)
    said.append(log())
    for secret in SECRETS:
        assert not [text for text in said if secret in text], secret
    assert "Traceback" not in "".join(said)


def test_a_broker_that_lets_nobody_in_is_told_without_the_password(tmp_path: Path) -> None:
    kafka = {
        "brokers": [f"127.0.0.1:{free_ports(1)[0]}"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_username": "plaint",
        "sasl_password": PASSWORD,
    }
    env = {"PLAINT_KAFKA": json.dumps(kafka), "PLAINT_LOG_LEVEL": "DEBUG", "PLAINT_RUNTIME_DIR": str(tmp_path)}
    env["PLAINT_DESTINATIONS"] = json.dumps({"helpdesk": {"url": "http://127.0.0.1:9/", "secret": f"whsec_{WHSEC}"}})
    done = plaint("destination", "list", cwd=tmp_path, settings=env)
    assert done.returncode == 69
    assert PASSWORD not in shown(done)
    assert WHSEC not in shown(done)
    assert "Traceback" not in shown(done)

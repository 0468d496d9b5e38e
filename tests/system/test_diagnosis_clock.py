"""A clock that is an hour off is named by ``plaint doctor``: that of a destination, and this machine's own."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import PLAINT, environment
from tests.support.https import serving
from tests.system.stack import SECRET

HOUR_S = 3600


class _Desk(BaseHTTPRequestHandler):
    """Answers 404 to everything, with a Date that is ``ahead_s`` ahead."""

    ahead_s = 0

    def do_HEAD(self) -> None:
        self.send_response(404)
        self.end_headers()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(time.time() + self.ahead_s, usegmt=True)

    def log_message(self, *said: object) -> None:
        """Say nothing."""


@pytest.fixture
def desk() -> Iterator[ThreadingHTTPServer]:
    """A receiver on a port of its own, its clock right."""
    handler = type("Desk", (_Desk,), {"ahead_s": 0})
    with serving(handler) as server:
        yield server


def clock(desk: ThreadingHTTPServer, folder: Path, *before: str) -> dict[str, Any]:
    """What ``plaint doctor clock`` finds; ``before`` are words in front of the command."""
    url = f"http://127.0.0.1:{desk.server_port}/hooks/helpdesk"
    settings = {
        "PLAINT_DESTINATIONS": json.dumps({"helpdesk": {"url": url, "secret": SECRET}}),
        "PLAINT_RUNTIME_DIR": str(folder / "run"),
    }
    command = [*before, str(PLAINT), "doctor", "clock", "--json"]
    done = subprocess.run(command, capture_output=True, cwd=folder, env=environment(settings), timeout=60)
    [check] = json.loads(done.stdout)
    assert done.returncode == (1 if check["state"] == "fail" else 0)
    found: dict[str, Any] = check
    return found


def test_clocks_that_agree_are_well(desk: ThreadingHTTPServer, tmp_path: Path) -> None:
    check = clock(desk, tmp_path)
    assert (check["state"], check["findings"]) == ("ok", [])
    assert f"127.0.0.1:{desk.server_port}" in check["looked"]


def test_a_destination_an_hour_ahead_is_named(desk: ThreadingHTTPServer, tmp_path: Path) -> None:
    desk.RequestHandlerClass.ahead_s = HOUR_S  # type: ignore[attr-defined]
    [finding] = clock(desk, tmp_path)["findings"]
    assert f"this machine's clock is 60 min behind that of 127.0.0.1:{desk.server_port}" in finding["what"]
    assert "timedatectl set-ntp true" in finding["mend"]


def test_a_machine_whose_clock_is_an_hour_ahead_is_named(desk: ThreadingHTTPServer, tmp_path: Path) -> None:
    if shutil.which("faketime") is None:
        pytest.skip("NOT TESTED with this machine's clock put forward: no faketime (Debian's package of that name)")
    [finding] = clock(desk, tmp_path, "faketime", "-f", f"+{HOUR_S}s")["findings"]
    assert f"this machine's clock is 60 min ahead of that of 127.0.0.1:{desk.server_port}" in finding["what"]
    assert "timedatectl set-ntp true" in finding["mend"]

"""What a process answers, by whom it is asked, and where it listens."""

import gzip
import logging
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from plaint.monitoring import listener
from plaint.monitoring.listener import Listener, open_socket, text
from plaint.monitoring.monitor import Monitor
from plaint.monitoring.needs import Needs
from plaint.monitoring.settings import MonitoringSettings
from plaint.monitoring.state import StageState
from schemas.faults import Unavailable
from tests.plaint.monitoring.asking import ask, state, told


def settings(folder: Path, **changed: object) -> MonitoringSettings:
    """Any free port, whose address is written to a file."""
    return MonitoringSettings.model_validate({"address_file": folder / "address", "port": 0, **changed})


def address(folder: Path) -> str:
    return (folder / "address").read_text()


def test_it_is_ready_once_nothing_is_missing_and_says_what_is(tmp_path: Path) -> None:
    needs = Needs(kafka="no broker has answered yet", group="waits for its place in its group")
    with Monitor("classify", settings(tmp_path), needs=needs).told():
        where = address(tmp_path)
        assert ask(where, "/readyz")[::2] == (
            503,
            "kafka: no broker has answered yet\ngroup: waits for its place in its group\n",
        )
        assert state(where)["missing"][0] == "kafka: no broker has answered yet"
        assert told(where)["plaint_ready"] == {(): 0}
        needs.met("kafka")
        member = False
        needs.ask("group", lambda: member)
        assert ask(where, "/readyz")[::2] == (503, "group: waits for its place in its group\n")
        member = True
        assert ask(where, "/readyz")[::2] == (200, "ready\n")
        assert ask(where, "/healthz")[::2] == (200, "alive\n")
        assert told(where)["plaint_ready"] == {(): 1}


def test_the_state_names_the_process(tmp_path: Path) -> None:
    with Monitor("deliver", settings(tmp_path), destination="desk", instance="pod-1").told():
        found = StageState.model_validate(state(address(tmp_path)))
    assert (found.stage, found.destination, found.instance, found.name) == ("deliver", "desk", "pod-1", "deliver-desk")
    assert found.started_at <= found.at
    assert (found.ready, found.healthy) == (True, True)


def test_both_formats_are_told_and_compressed_for_who_wants(tmp_path: Path) -> None:
    with Monitor("route", settings(tmp_path)).told():
        where = address(tmp_path)
        _, kind, text = ask(where, "/metrics")
        assert kind.startswith("text/plain; version=0.0.4")
        assert "# TYPE plaint_records_total counter" in text
        _, kind, text = ask(where, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
        assert kind.startswith("application/openmetrics-text")
        assert next(f.name for f in text_string_to_metric_families(text)) == "plaint_records"  # type: ignore[no-untyped-call]
        request = urllib.request.Request(f"{where}/metrics", headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert b"plaint_records_total" in gzip.decompress(answer.read())


def test_only_what_there_is_can_be_asked_and_only_asked(tmp_path: Path) -> None:
    with Monitor("route", settings(tmp_path)).told():
        where = address(tmp_path)
        assert ask(where, "/")[0] == 404
        assert "/metrics, /healthz, /readyz, /state" in ask(where, "/../etc/passwd")[2]
        for path in ("/state", "/metrics"):
            request = urllib.request.Request(where + path, method="POST", data=b"x")
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=60)
            with refused.value:
                assert refused.value.code == 405


def test_a_client_that_says_nothing_keeps_nobody_waiting(tmp_path: Path) -> None:
    with Monitor("route", settings(tmp_path)).told():
        where = address(tmp_path)
        host, port = where.removeprefix("http://").split(":")
        with (
            socket.create_connection((host, int(port))) as silent,
            socket.create_connection((host, int(port))) as garbage,
        ):
            garbage.sendall(b"\x00\xff\r\n\r\n")
            assert ask(where, "/healthz")[0] == 200
            silent.sendall(b"GET")
            assert ask(where, "/healthz")[0] == 200


@contextmanager
def listening(**pages: listener.Page) -> Iterator[tuple[str, int]]:
    opened = open_socket("127.0.0.1", 0)
    listens = Listener(opened, {f"/{name}": page for name, page in pages.items()}, list)
    host, port = opened.getsockname()
    listens.start()
    try:
        yield host, port
    finally:
        listens.stop()


def alive() -> listener.Answer:
    return text("200 OK", ["alive"])


def test_a_client_that_says_its_request_byte_by_byte_is_hung_up_on_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HEAD_S", 0.3)
    with listening(healthz=alive) as where, socket.create_connection(where) as drips:
        drips.settimeout(0.05)
        deadline, is_on = time.monotonic() + 60, True
        while is_on and time.monotonic() < deadline:
            try:
                is_on = drips.recv(1000) != b""
            except TimeoutError:
                with suppress(ConnectionError):
                    drips.sendall(b"G")
            except ConnectionError:
                is_on = False
        assert not is_on


def test_those_who_only_connect_shut_out_nobody_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_LINES", 5)
    with listening(healthz=alive) as where, ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(where, timeout=60)) for _ in range(20)]
        assert ask("http://{}:{}".format(*where), "/healthz")[0] == 200
        for line in idle[:15]:
            assert line.recv(1) == b""
        idle[-1].sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert idle[-1].recv(12) == b"HTTP/1.0 200"


def test_connections_beyond_the_bound_are_closed_and_those_that_asked_are_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "MAX_LINES", 3)
    asked, released = threading.Semaphore(0), threading.Event()

    def slow() -> listener.Answer:
        asked.release()
        assert released.wait(60)
        return alive()

    with listening(slow=slow) as where, ExitStack() as stack:
        lines = [stack.enter_context(socket.create_connection(where, timeout=60)) for _ in range(3)]
        for line in lines:
            line.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
            assert asked.acquire(timeout=60)
        with socket.create_connection(where, timeout=60) as over:
            assert over.recv(1) == b""
        released.set()
        for line in lines:
            assert line.recv(12) == b"HTTP/1.0 200"


def test_where_no_file_descriptor_is_left_it_waits_at_rest_and_answers_later() -> None:
    code = """
import os, resource, sys, threading, time
from plaint.monitoring.listener import Listener, open_socket, text
opened = open_socket("127.0.0.1", 0)
Listener(opened, {"/healthz": lambda: text("200 OK", ["alive"])}, list).start()
print(opened.getsockname()[1], flush=True)
sys.stdin.readline()
while threading.active_count() > 2:  # the connection of the first request is not yet closed
    time.sleep(0.01)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True:
        taken.append(os.dup(0))
except OSError:
    print("none is left", flush=True)
sys.stdin.readline()
began, used = time.monotonic(), time.process_time()
time.sleep(1)
print((time.process_time() - used) / (time.monotonic() - began), flush=True)
for one in taken:
    os.close(one)
sys.stdin.readline()
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        port = int(process.stdout.readline())
        assert ask(f"http://127.0.0.1:{port}", "/healthz")[0] == 200
        process.stdin.write("take all\n")
        process.stdin.flush()
        assert process.stdout.readline() == "none is left\n"
        with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
            line.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            process.stdin.write("measure\n")
            process.stdin.flush()
            assert float(process.stdout.readline()) < 0.1
            assert line.recv(12) == b"HTTP/1.0 200"


def test_what_is_logged_as_an_error_is_the_last_error_in_one_harmless_line(tmp_path: Path) -> None:
    with Monitor("route", settings(tmp_path)).told():
        try:
            raise ValueError("a post's text")
        except ValueError:
            logging.getLogger("plaint.test").exception("it\x1b[31m failed\nbadly")
        where = address(tmp_path)
        assert state(where)["last_error"]["what"] == "it\\x1b[31m failed badly"
        assert told(where)["plaint_logged_errors_total"] == {(): 1}


def test_a_port_that_is_taken_is_a_fault_with_its_mend(tmp_path: Path) -> None:
    with Monitor("route", settings(tmp_path)).told():
        port = int(address(tmp_path).rpartition(":")[2])
        with (
            pytest.raises(Unavailable, match=r"set monitoring\.port to 0"),
            Monitor("route", settings(tmp_path, port=port)).told(),
        ):
            pass
    with (
        pytest.raises(Unavailable, match=r"mend monitoring\.host"),
        Monitor("route", settings(tmp_path, host="256.1.1.1")).told(),
    ):
        pass


def test_nothing_listens_if_it_is_off_and_nothing_is_left_afterwards(tmp_path: Path) -> None:
    with Monitor("route", settings(tmp_path, enabled=False)).told():
        assert not (tmp_path / "address").exists()
    with Monitor("route", settings(tmp_path)).told():
        ask(address(tmp_path), "/healthz")
    assert not [thread for thread in threading.enumerate() if thread.name == "monitoring"]
    with pytest.raises(OSError, match="refused"):
        ask(address(tmp_path), "/healthz")


def test_a_process_that_nobody_asks_imports_no_server() -> None:
    """Six processes start with ``plaint up``, on maybe two cores."""
    code = (
        "import sys\n"
        "from plaint.monitoring.monitor import Monitor\n"
        "from plaint.monitoring.settings import MonitoringSettings\n"
        "with Monitor('route', MonitoringSettings(port=0)).told(): pass\n"
        "print([name for name in ('prometheus_client', 'wsgiref', 'http.server') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")

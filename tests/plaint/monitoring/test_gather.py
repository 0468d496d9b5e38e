"""``plaint up`` at one address: what its processes tell, put together, and what is said of one that tells nothing."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from plaint.local.supervisor import Child, Look, RestartPolicy, Supervisor
from plaint.monitoring import gather
from plaint.monitoring.gather import RunMonitor, child_settings
from plaint.monitoring.monitor import Monitor
from plaint.monitoring.needs import Needs
from plaint.monitoring.settings import AddressFileInvalid, MonitoringSettings
from plaint.monitoring.state import RunState
from tests.plaint.delivering import until
from tests.plaint.monitoring.asking import ask, state, told

FREE = MonitoringSettings(port=0)


@contextmanager
def child(folder: Path, monitor: Monitor, name: str) -> Iterator[Look]:
    """A process as ``up`` sees it; it is this one."""
    with monitor.told():
        yield Look(name, os.getpid(), 0, False, None)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[tuple[RunMonitor, str]]:
    """A run without processes, and its address."""
    monitor = RunMonitor(FREE, tmp_path, None, answer_s=60)
    with monitor.told() as address:
        yield monitor, address


def monitored(folder: Path, name: str, needs: Needs | None = None) -> Monitor:
    """What tells of the child with this name."""
    stage, _, destination = name.partition("-")
    return Monitor(stage, child_settings(FREE, folder, name), destination=destination, needs=needs)  # type: ignore[arg-type]


def test_the_samples_of_all_stand_under_one_name(run: tuple[RunMonitor, str], tmp_path: Path) -> None:
    monitor, address = run
    names = ("classify", "deliver-desk", "deliver-shop", "inbox")
    with ExitStack() as stack:
        looks = [stack.enter_context(child(tmp_path, monitored(tmp_path, name), name)) for name in names]
        monitor.looks = lambda: looks
        for kind in ("text/plain", "application/openmetrics-text; version=1.0.0"):
            text = ask(address, "/metrics", Accept=kind)[2]
            assert text.count("# TYPE plaint_records") == 1
            assert text.count("# TYPE process_cpu_seconds") == 1
        families = {f.name: f for f in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
        who = [(s.labels["stage"], s.labels.get("destination")) for s in families["plaint_ready"].samples]
        assert who == [("classify", None), ("deliver", "desk"), ("deliver", "shop"), ("inbox", None)]
        assert families["plaint_build"].type == "info"
        assert ask(address, "/readyz")[::2] == (200, "ready\n")


def test_restarts_and_what_is_lacking_are_told_of_each(run: tuple[RunMonitor, str], tmp_path: Path) -> None:
    monitor, address = run
    waiting = monitored(tmp_path, "route", Needs(group="waits for its place in its group"))
    with child(tmp_path, waiting, "route") as route:
        ingest, deliver = Look("ingest", None, 0, True, 0), Look("deliver-desk", None, 3, False, 70)
        starting = Look("classify", os.getpid(), 0, False, None)
        monitor.looks = lambda: [ingest, starting, route, deliver]
        assert ask(address, "/readyz")[::2] == (
            503,
            "classify: is starting\nroute: group: waits for its place in its group\n"
            "deliver-desk: is not running, it ended with code 70\n",
        )
        assert ask(address, "/healthz")[::2] == (200, "alive\n")
        found = told(address)
        assert found["plaint_child_restarts_total"][("deliver-desk",)] == 3
        assert found["plaint_child_up"] == {("ingest",): 1, ("classify",): 0, ("route",): 1, ("deliver-desk",): 0}
        seen = RunState.model_validate(state(address))
    assert [(c.name, c.done, c.restarts) for c in seen.children][::3] == [
        ("ingest", True, 0),
        ("deliver-desk", False, 3),
    ]


async def test_a_process_that_is_stopped_is_named_and_holds_nobody_up(tmp_path: Path) -> None:
    monitor = RunMonitor(FREE, tmp_path, None, answer_s=0.3)
    with (
        monitor.told() as address,
        socket.create_server(("127.0.0.1", 0)) as silent,
        child(tmp_path, monitored(tmp_path, "route"), "route") as route,
    ):
        (tmp_path / "classify.address").write_text(f"http://127.0.0.1:{silent.getsockname()[1]}")
        monitor.looks = lambda: [Look("classify", os.getpid(), 0, False, None), route]
        why = "classify: does not answer within 0.3 s: it is stopped, or has no CPU\n"
        # The other one may need several tries on a machine that is busy.
        await until(lambda: ask(address, "/healthz")[::2] == (503, why))
        await until(lambda: told(address)["plaint_child_up"] == {("classify",): 0, ("route",): 1})


class Nonsense(BaseHTTPRequestHandler):
    """Answers everything with bytes that mean nothing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{]\xff")

    def log_message(self, *args: object) -> None:
        """Nothing."""


def test_one_that_answers_nonsense_is_left_out(run: tuple[RunMonitor, str], tmp_path: Path) -> None:
    monitor, address = run
    with (
        HTTPServer(("127.0.0.1", 0), Nonsense) as server,
        child(tmp_path, monitored(tmp_path, "inbox"), "inbox") as inbox,
    ):
        serving = Thread(target=server.serve_forever)
        serving.start()
        (tmp_path / "classify.address").write_text(f"http://127.0.0.1:{server.server_port}")
        monitor.looks = lambda: [Look("classify", os.getpid(), 0, False, None), inbox]
        assert ask(address, "/healthz")[::2] == (503, "classify: answers something else than its state\n")
        assert told(address)["plaint_child_up"] == {("classify",): 0, ("inbox",): 1}
        server.shutdown()
        serving.join()


def test_the_usual_port_is_taken_if_it_is_free_else_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(gather, "DEFAULT_PORT", port)
        with RunMonitor(MonitoringSettings(), tmp_path, None).told() as address:
            assert not address.endswith(f":{port}")
    with RunMonitor(MonitoringSettings(), tmp_path, None).told() as address:
        assert address == f"http://127.0.0.1:{port}"
    with RunMonitor(MonitoringSettings(enabled=False), tmp_path, None).told() as address:
        assert address == ""


def test_a_run_and_a_stage_alone_write_their_address_to_the_file_that_the_settings_name(tmp_path: Path) -> None:
    wanted = MonitoringSettings(port=0, address_file=tmp_path / "address")
    with RunMonitor(wanted, tmp_path, None).told() as address:
        assert (tmp_path / "address").read_text() == address
    with Monitor("route", wanted).told():
        told_by_stage = (tmp_path / "address").read_text()
        assert told_by_stage != address
        assert ask(told_by_stage, "/healthz")[0] == 200


def test_a_file_for_the_address_that_cannot_be_written_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    for file, why in ((tmp_path / "none" / "address", "No such file or directory"), (tmp_path, "Is a directory")):
        wanted = MonitoringSettings(port=0, address_file=file)
        for monitor in (RunMonitor(wanted, tmp_path, None), Monitor("route", wanted)):
            with pytest.raises(AddressFileInvalid) as raised, monitor.told():
                pass
            [fault] = raised.value.faults
            assert fault.place == "monitoring.address_file"
            assert fault.what == f"{file} can't be written: {why}"


async def test_the_supervisor_tells_how_each_child_is() -> None:
    code = "import sys, time; time.sleep(float(sys.argv[2])); sys.exit(int(sys.argv[1]))"

    def runs(name: str, exit_code: int, seconds: float, once: bool = False) -> Child:
        return Child(name, (sys.executable, "-c", code, str(exit_code), str(seconds)), once=once)

    policy = RestartPolicy(first_s=0.01, exits=100)
    supervisor = Supervisor(
        [[runs("once", 0, 0, once=True)], [runs("failing", 7, 0), runs("well", 0, 60)]], policy, write=lambda line: None
    )
    running = asyncio.create_task(supervisor.run())

    def by_name() -> dict[str, Look]:
        return {look.name: look for look in supervisor.looks()}

    await until(lambda: by_name()["failing"].restarts > 0 and by_name()["once"].done)
    by = by_name()
    assert by["failing"].last_exit == 7
    assert (by["once"].pid, by["once"].last_exit) == (None, 0)
    assert by["well"].pid is not None
    assert (by["well"].restarts, by["well"].last_exit) == (0, None)
    supervisor.stop()
    await running

"""A real Prometheus on a real ``plaint up``; a stage that hangs, and those that have nothing to do meanwhile."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import PLAINT, environment, trap
from tests.support.frozen import Frozen
from tests.support.kafka_process import REPOSITORY, free_ports

pytestmark = pytest.mark.timeout(240)

LIMIT_S = 90.0
STALL_S = 2.0
SCRAPE_S = 1
TINY = next(iter(sorted((REPOSITORY / "tests" / "models").glob("tiny-*"))), None)
QUEUES = ("helpdesk", "service", "marketing")


class Up:
    """A running ``plaint up --samples`` and its addresses."""

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]", monitoring: str, door: str) -> None:
        self.folder, self.process, self.monitoring, self.door = folder, process, monitoring, door

    def said(self) -> str:
        return (self.folder / "out").read_text() + (self.folder / "err").read_text()

    def state(self) -> Any:
        return json.loads(get(f"{self.monitoring}/state")[1])

    def child(self, name: str) -> Any:
        return next(child for child in self.state()["children"] if child["name"] == name)

    def wait(self, look: Callable[[], Any], what: str) -> Any:
        """What ``look`` finds as soon as it finds something."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                if found := look():
                    return found
            time.sleep(0.1)
        raise AssertionError(f"waited for {what}, code {self.process.poll()}:\n{self.said()[-5000:]}")


def get(address: str) -> tuple[int, str]:
    """Status and body. Raises OSError if nobody answers."""
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Up and summed up: every sample has come to its end."""
    folder = trap(tmp_path_factory.mktemp("metrics") / "elsewhere")
    monitoring, door = free_ports(2)
    settings = {
        "PLAINT_MONITORING": json.dumps({"port": monitoring, "stall_s": STALL_S}),
        "PLAINT_DOOR__PORT": str(door),
        "PLAINT_INBOX__PORT": "0",
        "PLAINT_KAFKA__SESSION_TIMEOUT_S": "6",
        "PLAINT_KAFKA__HEARTBEAT_S": "1",
        "PLAINT_RUNTIME_DIR": str(folder / "run"),
    } | ({"PLAINT_CLASSIFY__MODEL": str(TINY)} if TINY else {})
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [PLAINT, "up", "--samples"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=folder,
            env=environment(settings),
        )
    try:
        found = Up(folder, process, f"http://127.0.0.1:{monitoring}", f"http://127.0.0.1:{door}")
        found.wait(lambda: "still up" in found.said(), "the summary")
        yield found
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(45)
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def prometheus(
    up: Up, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], dict[tuple[str, ...], float]]]:
    """Asks a real Prometheus, which scrapes the one address of ``up``: values by those of the labels, by name.

    All of one moment at which every process had answered in time.
    """
    if shutil.which("prometheus") is None:
        pytest.skip("NOT TESTED WITH PROMETHEUS: it is not installed (Debian: apt-get install prometheus)")
    folder, port = tmp_path_factory.mktemp("prometheus"), free_ports(1)[0]
    job = {"job_name": "plaint", "static_configs": [{"targets": [up.monitoring.removeprefix("http://")]}]}
    config = {"global": {"scrape_interval": f"{SCRAPE_S}s", "scrape_timeout": f"{SCRAPE_S}s"}, "scrape_configs": [job]}
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )

    def query(expression: str, at: float) -> dict[tuple[str, ...], float]:
        body = f"query={expression}&time={at}".encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/query", data=body)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            found = json.load(answer)["data"]["result"]
        values = {}
        for one in found:
            labels = sorted((k, v) for k, v in one["metric"].items() if k not in ("__name__", "job", "instance"))
            values[tuple(value for _, value in labels)] = float(one["value"][1])
        return values

    def whole() -> float | None:
        at = time.time() - 1.5 * SCRAPE_S  # no scrape that began before then is still under way
        return at if query("min(up) * min(plaint_child_up)", at) == {(): 1.0} else None

    try:
        moment = up.wait(whole, f"Prometheus: {(folder / 'log').read_text()[-2000:]}")
        yield lambda expression: query(expression, moment)
    finally:
        process.terminate()
        process.wait(60)


def test_prometheus_finds_what_the_run_sums_up(
    up: Up, prometheus: Callable[[str], dict[tuple[str, ...], float]]
) -> None:
    said = up.said()
    done = {
        queue: int(count)
        for queue, count in re.findall(r"(helpdesk|service|marketing) (\d+)", said.split("requests:")[0])
    }
    assert prometheus('plaint_records_total{stage="ingest",outcome="result"}') == {("result", "none", "ingest"): 200}
    assert prometheus('sum(plaint_records_total{stage="classify"})') == {(): 200}
    assert prometheus('plaint_records_total{stage="classify",reason="repeated"}') == {
        ("dropped", "repeated", "classify"): 3
    }
    assert prometheus("sum by (destination) (plaint_records_total{stage='deliver',outcome='result'})") == {
        (queue,): done[queue] for queue in QUEUES
    }
    taken = prometheus('sum by (destination) (plaint_delivery_attempts_total{outcome="taken"})')
    timed = prometheus("sum by (destination) (plaint_post_to_ticket_seconds_count)")
    assert all(0 < timed[(queue,)] <= taken[(queue,)] for queue in QUEUES)  # withdraws have no such time
    assert sum(prometheus("sum by (intent) (plaint_triaged_posts_total)").values()) == 197
    unrouted = re.search(r"unrouted (\d+)", said)
    assert prometheus("sum(plaint_unrouted_posts_total)") == {(): float(unrouted[1]) if unrouted else 0.0}
    assert prometheus("sum(plaint_lag_records)") == {(): 0}
    assert prometheus("count(plaint_lag_records)") == {(): 4 * 5}
    assert prometheus("max(plaint_oldest_undelivered_seconds)") == {(): 0}
    assert prometheus("min(plaint_ready)") == {(): 1}
    assert prometheus("plaint_broker_up") == {("up",): 1}
    assert set(prometheus("plaint_child_up").values()) == {1.0}
    stages = {labels[-1] for labels in prometheus("process_resident_memory_bytes")}
    assert stages == {"up", "ingest", "classify", "route", "deliver", "inbox"}


def test_what_runs_the_model_is_named_in_the_log_and_on_metrics(up: Up) -> None:
    named = re.search(r"model: (\S+) on (onnxruntime \d.+)", up.said())
    assert named is not None
    metrics = get(f"{up.monitoring}/metrics")[1]
    info = next(line for line in metrics.splitlines() if line.startswith("plaint_model_info{"))
    assert f'version="{named[1]}"' in info
    assert f'engine="{named[2]}"' in info


def test_promtool_finds_nothing_to_say_of_all_stages_together(up: Up) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("NOT CHECKED WITH PROMTOOL: it is not installed (Debian: apt-get install prometheus)")
    text = get(f"{up.monitoring}/metrics")[1]
    done = subprocess.run([promtool, "check", "metrics"], input=text.encode(), capture_output=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.long
def test_a_stage_that_hangs_is_named_and_restarted_and_idle_ones_are_left_alone(up: Up) -> None:
    def idle_s() -> float:
        return time.time() - float(
            re.findall(r'plaint_last_progress_timestamp_seconds{stage="route"} (\S+)', metrics())[0]
        )

    def metrics() -> str:
        return get(f"{up.monitoring}/metrics")[1]

    up.wait(lambda: idle_s() > 3 * STALL_S, "a while in which nothing is to do")
    state = up.state()
    assert (state["ready"], state["healthy"], state["faults"]) == (True, True, [])
    before = up.child("classify")
    with contextlib.ExitStack() as stack:
        try:
            hang = stack.enter_context(Frozen(before["pid"]))
        except OSError as error:
            pytest.skip(f"NOT TESTED WITH A HANGING STAGE: this system lets nobody stop a thread: {error}")
        os.kill(before["pid"], 0)
        for number in range(3):
            send(up, f"hang-{number}")
        _, said = up.wait(lambda: (got := get(f"{up.monitoring}/healthz"))[0] == 503 and got, "the fault")
        assert re.fullmatch(r"classify: stalled: plaint\.posts\[\d\]@\d+ waits and nothing moved for \d+ s\n", said)
        up.wait(hang.is_gone, "its end")
    after = up.wait(lambda: (found := up.child("classify"))["restarts"] == 1 and found["state"] and found, "its return")
    assert after["pid"] != before["pid"]
    assert after["last_exit"] == 70
    up.wait(
        lambda: re.search(r'plaint_records_total{outcome="result",reason="none",stage="classify"} 3.0', metrics()),
        "posts",
    )
    assert get(f"{up.monitoring}/healthz") == (200, "alive\n")
    assert get(f"{up.monitoring}/readyz") == (200, "ready\n")
    assert {c["name"]: c["restarts"] for c in up.state()["children"] if c["restarts"]} == {"classify": 1}


@pytest.mark.long
def test_an_ingest_that_hangs_is_named_and_restarted_and_its_door_goes_on(up: Up) -> None:
    before, others = up.child("ingest"), {c["name"]: c["restarts"] for c in up.state()["children"]}
    with contextlib.ExitStack() as stack:
        try:
            hang = stack.enter_context(Frozen(before["pid"]))
        except OSError as error:
            pytest.skip(f"NOT TESTED WITH A HANGING STAGE: this system lets nobody stop a thread: {error}")
        _, said = up.wait(lambda: (got := get(f"{up.monitoring}/healthz"))[0] == 503 and got, "the fault")
        assert re.fullmatch(r"ingest: stalled: the main thread hangs and nothing moved for \d+ s\n", said)
        up.wait(hang.is_gone, "its end")
    after = up.wait(lambda: (found := up.child("ingest"))["restarts"] == 1 and found["state"] and found, "its return")
    assert after["last_exit"] == 70
    send(up, "after the hang")
    up.wait(lambda: get(f"{up.monitoring}/healthz") == (200, "alive\n"), "its health")
    restarts = {c["name"]: c["restarts"] for c in up.state()["children"]}
    assert restarts == others | {"ingest": 1}


def send(up: Up, post_id: str) -> None:
    """A post through the door, which acknowledges it."""
    body = json.dumps({"id": post_id, "text": "my router is dead for the third time, nobody answers"}).encode()
    asked = urllib.request.Request(f"{up.door}/v1/posts", data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert answer.status == 202


def test_a_stage_without_a_broker_is_alive_and_says_what_it_waits_for(tmp_path: Path) -> None:
    port, nobody = free_ports(2)
    settings = {
        "PLAINT_KAFKA__BROKERS": json.dumps([f"127.0.0.1:{nobody}"]),
        "PLAINT_MONITORING__PORT": str(port),
        "PLAINT_DESTINATIONS": json.dumps(
            {"helpdesk": {"url": "https://desk.example.com", "secret": "whsec_" + "A" * 32}}
        ),
    }
    process = subprocess.Popen(
        [PLAINT, "run", "route"], cwd=tmp_path, env=environment(settings), stderr=subprocess.DEVNULL
    )
    try:
        one = Up(tmp_path, process, f"http://127.0.0.1:{port}", "")
        (tmp_path / "out").touch()
        (tmp_path / "err").touch()
        status, said = one.wait(lambda: get(f"{one.monitoring}/readyz"), "its answer")
        assert status == 503
        assert said.splitlines() == [
            "kafka: no broker has answered yet",
            "topics: were not looked at yet",
            "routes: are being read",
            "group: waits for its place in its group",
        ]
        assert get(f"{one.monitoring}/healthz") == (200, "alive\n")
        assert 'plaint_ready{stage="route"} 0.0' in get(f"{one.monitoring}/metrics")[1]
        assert one.state()["missing"] == said.splitlines()
    finally:
        process.kill()
        process.wait()

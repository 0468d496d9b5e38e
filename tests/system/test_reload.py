"""Routes and models that change while plaint runs, from outside: ``plaint reload``, SIGHUP, a terminal that is closed."""

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.command import PLAINT, environment, plaint, shown, trap
from tests.support.kafka_process import free_ports
from tests.support.weights import make_weights
from tests.system.test_up import DONE, ENDING_S, SECRET, Up, ask, gone

pytestmark = pytest.mark.timeout(300)

ALL = "rules:\n  - {{name: all, why: A test counts them., destinations: {destinations}}}\n"
BAD = "rules:\n  - {name: all, why: w, destinations: [nowhere]}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return trap(tmp_path / "elsewhere")


@pytest.fixture
def routes(tmp_path: Path) -> Path:
    path = tmp_path / "routes.yaml"
    path.write_text(ALL.format(destinations="[service]"))
    return path


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two sound models, of which the first is chosen, and one whose network is damaged."""
    make_weights(tmp_path / "models", "first", "second")
    choose(tmp_path / "models", "first")
    return tmp_path / "models"


def choose(models: Path, *names: str) -> None:
    """As `plaint models use` does, but unchecked."""
    chosen = [{"name": name, "since": "2026-01-01T00:00:00Z"} for name in names]
    (models / "in-use.json").write_text(json.dumps({"chosen": chosen}))


@pytest.fixture
def settings(tmp_path: Path, routes: Path, models: Path) -> dict[str, str]:
    """Of a ``plaint up`` that others can be told from."""
    return {
        "PLAINT_CLASSIFY__MODELS": str(models),
        "PLAINT_RUNTIME_DIR": str(tmp_path / "run"),
        "PLAINT_ROUTE__ROUTES": str(routes),
        "PLAINT_INBOX__PORT": str(free_ports(1)[0]),
        "PLAINT_INBOX__SECRET": SECRET,
    }


class Fed(Up):
    """A ``plaint up`` that gets its posts through a pipe, when the test wants it to."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self._out, self._err = folder / "out", folder / "err"
        self.fed = 0
        self._inbox = f"http://127.0.0.1:{settings['PLAINT_INBOX__PORT']}/api/stats"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [PLAINT, "up", "--source", "stdin", *DONE],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                cwd=folder,
                env=environment(settings),
            )

    def feed(self, count: int) -> None:
        """Give it so many posts more."""
        assert self.process.stdin is not None
        for number in range(self.fed, self.fed + count):
            self.process.stdin.write(b'{"id": %d, "text": "Order %d never came"}\n' % (number, number))
        self.process.stdin.flush()
        self.fed += count

    def end(self) -> None:
        """There are no more posts."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def tickets(self, queue: str) -> int:
        """How many the inbox has there."""
        found: dict[str, dict[str, int]] = (ask(self._inbox) or {}).get("queues", {})
        return found.get(queue, {}).get("tickets", 0)

    def wait_for_tickets(self, queue: str, count: int) -> None:
        """Return once there are exactly so many."""
        self.wait_for(lambda: self.tickets(queue) == count, f"{count} tickets at {queue}")


@pytest.fixture
def up(folder: Path, settings: dict[str, str]) -> Iterator[Fed]:
    started = Fed(folder, settings)
    yield started
    left = started.children()
    started.process.kill()
    started.process.wait()
    for process in left:
        process.kill()


@pytest.mark.long
def test_a_run_whose_routes_and_model_change_again_and_again_loses_nothing(
    up: Fed, settings: dict[str, str], folder: Path, routes: Path, models: Path
) -> None:
    up.feed(30)
    up.wait_for_tickets("service", 30)

    routes.write_text(ALL.format(destinations="[helpdesk]"))
    done = plaint("reload", "--json", cwd=folder, settings=settings)
    assert done.returncode == 0, shown(done)
    told, model = json.loads(done.stdout)
    assert (told["role"], told["what"], told["file"]) == ("up", "routes", str(routes))
    assert told["version"] != told["before"]
    assert (model["what"], model["version"], model["changed"]) == ("model", "first", False)
    up.feed(30)
    up.wait_for_tickets("helpdesk", 30)

    routes.write_text(BAD)
    done = plaint("reload", cwd=folder, settings=settings)
    assert done.returncode == 1
    fault = 'routes.yaml:2, rule "all", destinations.0: undefined destination "nowhere" used in rule "all"'
    assert fault in shown(done)
    assert "nothing was reloaded" in shown(done)
    up.process.send_signal(signal.SIGHUP)
    up.wait_for(lambda: f"version {told['version']} stays in use" in up.stderr, "the refusal")
    assert fault in up.stderr

    up.child("run", "route").kill()  # the next one gets the routes that were good, not what stands there
    up.feed(30)
    up.wait_for_tickets("helpdesk", 60)

    chosen = plaint("models", "use", "second", cwd=folder, settings=settings)
    assert f"`plaint reload` has `plaint up` (process {up.process.pid}) take it now" in shown(chosen)
    up.feed(200)  # some of these meet the old model, some the new one
    routes.write_text(ALL.format(destinations="[helpdesk]"))
    done = plaint("reload", cwd=folder, settings=settings)
    assert f"model second ({models / 'second'}) from now on, was first" in shown(done)
    up.wait_for_tickets("helpdesk", 260)
    assert "model: second on onnxruntime" in up.stderr

    choose(models, "first", "damaged")
    done = plaint("reload", cwd=folder, settings=settings)
    assert done.returncode == 1, shown(done)
    assert "the model that is chosen was refused, second stays in use" in shown(done)
    done = plaint("status", "--json", cwd=folder, settings=settings)
    assert "model second stays in use: " in shown(done)
    choose(models, "first")

    routes.write_text(ALL.format(destinations="[]"))
    up.feed(200)  # some of these meet the old routes, some the new ones
    done = plaint("reload", cwd=folder, settings=settings)
    assert done.returncode == 0, shown(done)
    assert b"from now on, was " + told["version"].encode() in done.stdout
    assert b"is unchanged" in plaint("reload", cwd=folder, settings=settings).stdout
    up.feed(30)
    up.end()

    found = up.summary()
    assert up.process.returncode == 0, up.stderr[-5000:]
    assert (found["read"], found["triaged"], found["lost"], found["duplicates"]) == (up.fed, up.fed, 0, 0)
    assert found["tickets"]["service"] == 30
    assert found["tickets"]["helpdesk"] + found["dropped"]["unrouted"] == up.fed - 30
    assert found["dropped"]["unrouted"] >= 30
    assert "Traceback" not in up.stderr


class Terminal:
    """``plaint up`` in a terminal of its own, as a person starts it."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.screen = b""
        self.pid, self._side = pty.fork()
        if self.pid == 0:  # the child, whose controlling terminal is the other side
            os.chdir(folder)
            os.execve(PLAINT, ["plaint", "up"], environment(settings))
        os.set_blocking(self._side, False)

    def wait_for(self, text: bytes, limit_s: float = 120) -> None:
        """Return once this was on the screen."""
        deadline = time.monotonic() + limit_s
        while text not in self.screen:
            assert time.monotonic() < deadline, self.screen[-3000:].decode(errors="replace")
            try:
                self.screen += os.read(self._side, 65536)
            except BlockingIOError:
                time.sleep(0.05)

    def close(self) -> None:
        """Close the window."""
        os.close(self._side)


def test_in_a_terminal_it_reloads_while_that_is_open_and_ends_when_it_is_closed(
    folder: Path, settings: dict[str, str], routes: Path, models: Path
) -> None:
    terminal = Terminal(folder, settings)
    process = psutil.Process(terminal.pid)
    try:
        terminal.wait_for(b"all well")
        deadline = time.monotonic() + 60
        while (done := plaint("reload", cwd=folder, settings=settings)).returncode == 69:  # its stages are starting
            assert time.monotonic() < deadline, shown(done)
        routes.write_text(ALL.format(destinations="[helpdesk]"))
        choose(models, "second")
        done = plaint("reload", cwd=folder, settings=settings)
        assert done.returncode == 0, shown(done)
        assert f"model second ({models / 'second'}) from now on, was first" in shown(done)
        choose(models, "damaged")
        done = plaint("reload", cwd=folder, settings=settings)
        assert done.returncode == 1, shown(done)
        assert "the model that is chosen was refused, second stays in use" in shown(done)
        children = process.children(recursive=True)
        terminal.close()
        os.waitpid(terminal.pid, 0)
        assert gone(children, ENDING_S) == []
    finally:
        for left in [*process.children(recursive=True), process] if process.is_running() else []:
            left.kill()

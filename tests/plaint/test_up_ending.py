"""``plaint up`` is told to end, or to read its routes again, while it starts."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import LIMIT_S, PLAINT, environment
from tests.support.kafka_process import REPOSITORY, free_ports

TINY = REPOSITORY / "tests" / "models" / "tiny-2"


class Starting:
    """One that has begun its run, and heeds no signal as its supervisor would."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self._temporary, self._log = folder / "tmp", folder / "log"
        self._temporary.mkdir()
        own = {"TMPDIR": str(self._temporary), "PLAINT_RUNTIME_DIR": str(folder / "run"), "PLAINT_INBOX__PORT": "0"}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [PLAINT, "up", "--no-board"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=environment({**own, "PLAINT_CLASSIFY__MODEL": str(TINY), **settings}),
            )
        self.wait_for(lambda: any(self._temporary.glob("plaint-*/routes/routes.yaml")), "the routes of the run")

    @property
    def said(self) -> str:
        return self._log.read_text()

    def left(self) -> list[Path]:
        """What lies in the folder for temporary files."""
        return [*self._temporary.glob("plaint-*")]

    def wait_for(self, look: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not look():
            assert time.monotonic() < deadline, f"waited for {what}:\n{self.said}"
            assert self.process.poll() is None, self.said
            time.sleep(0.01)


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[Callable[..., Starting]]:
    made: list[Starting] = []

    def start(**settings: str) -> Starting:
        made.append(Starting(tmp_path, **settings))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_before_the_brokers_have_answered_leaves_nothing_behind(
    starting: Callable[..., Starting], number: signal.Signals
) -> None:
    up = starting(PLAINT_KAFKA__BROKERS=f'["127.0.0.1:{free_ports(1)[0]}"]')
    up.process.send_signal(number)
    assert up.process.wait(LIMIT_S) == 130, up.said
    assert up.left() == []
    assert "Traceback" not in up.said


def test_routes_that_are_to_be_read_again_before_anybody_can_are_as_soon_as_somebody_can(
    starting: Callable[..., Starting],
) -> None:
    up = starting()
    up.process.send_signal(signal.SIGHUP)
    up.wait_for(lambda: "routes.yaml is unchanged" in up.said, "the routes")
    up.process.terminate()
    assert up.process.wait(LIMIT_S) == 0, up.said

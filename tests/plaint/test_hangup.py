"""SIGHUP: a terminal that was closed, or somebody who wants the routes read again."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAM = """
import fcntl, os, signal, sys, termios, time
if "terminal" in sys.argv:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
if "nohup" in sys.argv:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
from plaint.reloading.hangup import Hangup
hangup = Hangup()
out = open(sys.argv[1], "a", buffering=1)
signal.signal(signal.SIGHUP, lambda *_: out.write("end\\n" if hangup.means_end() else "again\\n"))
out.write("ready\\n")
while True: time.sleep(0.1)
"""


class Program:
    """A process that notes what each SIGHUP meant; ``terminal`` is its controlling one."""

    def __init__(self, folder: Path, *how: str) -> None:
        self._notes = folder / "notes"
        self.terminal, inner = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self._notes), *how],
            stdin=inner,
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        )
        os.close(inner)
        self.wait_for("ready")

    def wait_for(self, *lines: str) -> None:
        """Return once it has noted these, in this order and nothing else."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = self._notes.read_text().splitlines() if self._notes.exists() else []
            if len(found) >= len(lines):
                assert tuple(found) == lines
                return
            time.sleep(0.01)
        raise AssertionError(f"{lines} wanted, {found} noted")

    def close(self) -> None:
        """As a terminal emulator does whose window is closed."""
        os.close(self.terminal)
        self.terminal = -1


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    started: list[Program] = []

    def run(*how: str) -> Program:
        started.append(Program(tmp_path, *how))
        return started[-1]

    yield run
    for program in started:
        program.process.kill()
        program.process.wait()
        if program.terminal >= 0:
            program.close()


def test_with_a_terminal_that_is_there_it_means_again_and_once_that_is_closed_it_means_the_end(
    start: Callable[..., Program],
) -> None:
    program = start("terminal")
    program.process.send_signal(signal.SIGHUP)
    program.wait_for("ready", "again")
    program.close()  # the kernel sends the signal
    program.wait_for("ready", "again", "end")


def test_without_a_terminal_it_always_means_again(
    start: Callable[..., Program],
) -> None:
    program = start()
    program.process.send_signal(signal.SIGHUP)
    program.wait_for("ready", "again")
    program.close()
    program.process.send_signal(signal.SIGHUP)
    program.wait_for("ready", "again", "again")


def test_under_nohup_a_closed_terminal_does_not_end_it(
    start: Callable[..., Program],
) -> None:
    program = start("terminal", "nohup")
    program.close()
    program.wait_for("ready", "again")

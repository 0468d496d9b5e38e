"""A program on a terminal of the test's own, and what a person would see there.

Imports nothing of plaint.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import pyte


class Terminal:
    """Runs ``argv`` on a terminal of this size. ``screen`` is what stands on it, ``raw`` all that was ever written to it."""

    def __init__(
        self, argv: Sequence[str | Path], env: Mapping[str, str], cwd: Path, columns: int = 80, rows: int = 24
    ) -> None:
        self.raw = b""
        self.code: int | None = None
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self.pid, self._line = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                os.execve(argv[0], [str(word) for word in argv], {"TERM": "xterm-256color", **env})
            finally:
                os._exit(127)
        self.resize(columns, rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.code is None:
            left = psutil.Process(self.pid).children(recursive=True)
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            for process in left:
                if process.is_running():
                    process.kill()
        os.close(self._line)

    def resize(self, columns: int, rows: int) -> None:
        """Make the window so large; the program is told, as by a real one."""
        fcntl.ioctl(self._line, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen.resize(rows, columns)

    @property
    def lines(self) -> list[str]:
        """What stands on the screen, line by line."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.lines)

    @property
    def is_restored(self) -> bool:
        """Whether the cursor is shown and the other screen was left as often as entered."""
        alternate = self.raw.count(b"\x1b[?1049h") == self.raw.count(b"\x1b[?1049l")
        return alternate and not self._screen.cursor.hidden

    def until(self, holds: Callable[["Terminal"], object], limit_s: float = 60.0) -> None:
        """Read on until it holds. Raises AssertionError with what stands there."""
        deadline = time.monotonic() + limit_s
        while not holds(self):
            assert time.monotonic() < deadline, f"not within {limit_s} s:\n{self.text}"
            if not self._read(0.1):
                assert holds(self), f"it ended:\n{self.text}\n{self.raw[-2000:]!r}"
                return

    def end(self, number: signal.Signals = signal.SIGINT, limit_s: float = 60.0) -> int:
        """Send a signal and read to the end; the exit code as a shell tells it."""
        os.kill(self.pid, number)
        return self.wait(limit_s)

    def wait(self, limit_s: float = 60.0) -> int:
        """Read to the end; the exit code as a shell tells it."""
        deadline = time.monotonic() + limit_s
        while self._read(0.1):
            assert time.monotonic() < deadline, f"it did not end within {limit_s} s:\n{self.text}"
        status = os.waitpid(self.pid, 0)[1]
        code = os.waitstatus_to_exitcode(status)
        self.code = code if code >= 0 else 128 - code
        return self.code

    def _read(self, wait_s: float) -> bool:
        """Whether there may be more."""
        if not select.select([self._line], [], [], wait_s)[0]:
            return True
        try:
            chunk = os.read(self._line, 65536)
        except OSError:  # the program has closed its end
            return False
        self.raw += chunk
        self._stream.feed(chunk)
        return bool(chunk)

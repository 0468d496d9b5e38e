"""Who is told how a training comes along."""

import time
from collections.abc import Callable
from typing import Protocol

EVERY = 50
"""Steps between two lines."""


class Listener(Protocol):
    """Both are called between steps, so they should be quick."""

    def step(self, done: int, steps: int, loss: float) -> None:
        """So many of the steps are done; the loss is a moving average."""
        ...

    def say(self, line: str) -> None:
        """Something worth a line of its own."""
        ...


class Lines:
    """Plain lines, for logs and files."""

    def __init__(self, now: Callable[[], float] = time.monotonic, write: Callable[[str], None] | None = None) -> None:
        self._now = now
        self._write = write or (lambda line: print(line, flush=True))
        self._first: tuple[int, float] | None = None

    def step(self, done: int, steps: int, loss: float) -> None:
        """A line now and then, with the pace since the first step that was told."""
        if self._first is None or done < self._first[0]:
            self._first = (done, self._now())
        since, began = self._first
        if done % EVERY == 0 and done > since:
            pace = (self._now() - began) / (done - since)
            left = duration(pace * (steps - done))
            self._write(f"step {done}/{steps} loss {loss:.3f} {pace:.2f} s/step, {left} left")

    def say(self, line: str) -> None:
        """The line as it is."""
        self._write(line)


def duration(seconds: float) -> str:
    """`1 h 05 min`, `12 min`, `40 s`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{round(seconds)} s"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"

"""The board on a terminal: looks at the run, draws a few times a second, and leaves the terminal as it found it.

It runs in a thread with an event loop of its own: a terminal that takes no output (Ctrl-S, a slow line) stops the drawing
and nothing else.
"""

import asyncio
import io
import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    redirect_stderr,
    redirect_stdout,
    suppress,
)
from typing import TextIO

import aiohttp
from rich.console import Console, Group
from rich.live import Live

from plaint.board.numbers import History, read_numbers
from plaint.board.urgent import UrgentPosts
from plaint.board.view import Shown, lines, one_row
from plaint.kafka.settings import KafkaSettings
from plaint.local.running import Running
from plaint.monitoring.state import RunState
from schemas.faults import Unavailable

log = logging.getLogger(__name__)

DRAW_S = 0.4
ANEW_S = 15.0
"""After so long it is drawn although nothing has changed: something else may have written over it."""
STATE_S = 2.0
NUMBERS_S = 3.0
"""Asking for the numbers costs the stages 50 ms of CPU, for their state 15 ms."""
ANSWER_S = 5.0
MAX_LINES = 2_000


class Board:
    """What is known of the run at ``monitoring`` (``http://127.0.0.1:8322``), and drawing it.

    ``kafka`` is where its urgent posts are read from. ``kept`` are lines to show below, growing while it runs.
    """

    def __init__(
        self, monitoring: str, kafka: KafkaSettings, inbox: str = "", kept: "deque[str] | None" = None
    ) -> None:
        self._monitoring = monitoring.rstrip("/")
        self._inbox = inbox
        self._kept = kept
        self._urgent = UrgentPosts(kafka)
        self._history = History()
        self._run: RunState | None = None
        self._away = ""

    def shown(self, ascii_only: bool = False) -> Shown:
        """All that is known now."""
        return Shown(
            run=self._run,
            away=self._away,
            history=self._history,
            urgent=tuple(self._urgent.newest),
            trouble=self._urgent.trouble,
            inbox=self._inbox,
            log=None if self._kept is None else list(self._kept),
            ascii_only=ascii_only,
        )

    async def draw(self, console: Console) -> None:
        """Draw on the whole of ``console`` until cancelled."""
        with Live(
            console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        ) as drawn:
            with suppress(ValueError, RuntimeError):  # beside `plaint up`, in a thread, signals are not ours
                asyncio.get_running_loop().add_signal_handler(signal.SIGTSTP, _pause, drawn)
            async with self._looking():
                before: object = None
                while True:
                    width, height = console.size
                    found = lines(self.shown(console.options.ascii_only), width, height)
                    now = (width, height, found, int(time.monotonic() / ANEW_S))
                    if now != before:  # drawing costs most
                        drawn.update(Group(*found), refresh=True)
                        before = now
                    await asyncio.sleep(DRAW_S)

    async def tell(self, out: TextIO, every_s: float, once: bool = False) -> None:
        """Write a line as soon as all is known, and with ``once`` end; else one about every so many seconds until cancelled.

        Raises Unavailable with ``once`` if there is nobody to tell of.
        """
        async with self._looking():
            while not self._away and (self._run is None or self._history.newest is None):  # noqa: ASYNC110 - once, at the start
                await asyncio.sleep(0.1)
            if once and self._away:
                raise Unavailable(self._away)
            while True:
                out.write(one_row(self.shown(ascii_only=True)) + "\n")
                out.flush()
                if once:
                    return
                await asyncio.sleep(every_s)

    def _looking(self) -> AbstractAsyncContextManager[None]:
        return _beside(self._look_at_state(), self._look_at_numbers(), self._urgent.follow())

    async def _look_at_state(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as session:
            while True:
                try:
                    async with session.get(f"{self._monitoring}/state") as answer:
                        self._run = RunState.model_validate_json(await answer.read())
                    self._away = ""
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    self._away = f"{self._monitoring} does not tell ({type(error).__name__}); has it ended?"
                await asyncio.sleep(STATE_S)

    async def _look_at_numbers(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as session:
            while True:
                try:
                    async with session.get(f"{self._monitoring}/metrics") as answer:
                        text = await answer.text()
                    self._history.add(read_numbers(text, time.monotonic()))
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    log.debug("no numbers: %r", error)  # the state says so to the person
                await asyncio.sleep(NUMBERS_S)


@asynccontextmanager
async def _beside(*work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run these beside the block, and end them with it; what one of them raises ends the block.

    Raises what failed first as it is: whoever reads no more of the lines is no failure, and must be known as that.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
            yield
            for task in tasks:
                task.cancel()
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


def _pause(drawn: Live) -> None:
    """Ctrl-Z: give the terminal back until ``fg``."""
    drawn.stop()
    os.kill(os.getpid(), signal.SIGSTOP)
    drawn.start()


def can_draw(console: Console) -> bool:
    """Whether the console is a terminal on which a cursor can be moved."""
    return console.is_terminal and not console.is_dumb_terminal


@contextmanager
def around(console: Console, own: KafkaSettings, running: Running) -> Iterator[None]:
    """The board of ``running``, which is this process, while the block runs; ``own`` is Kafka unless it brought its own."""
    kept = Kept()
    board = Board(running.monitoring, running.kafka or own, running.inbox, kept.newest)
    with live(board, console, kept):
        yield


@contextmanager
def live(board: Board, console: Console, kept: "Kept") -> Iterator[None]:
    """Draw in a thread while the block runs; what this process writes meanwhile is kept, and written at the end."""
    loop = asyncio.new_event_loop()
    drawing = loop.create_task(board.draw(console))

    def run() -> None:
        with ExitStack() as stack:
            stack.callback(loop.close)
            try:
                loop.run_until_complete(drawing)
            except asyncio.CancelledError:
                pass
            except Exception:
                kept.let_go()
                log.exception("the board can't be drawn; going on without")

    thread = threading.Thread(target=run, name="board", daemon=True)
    with kept.keeping():
        thread.start()
        try:
            yield
        finally:
            if thread.is_alive():
                loop.call_soon_threadsafe(drawing.cancel)
            thread.join(timeout=10)


class Kept(io.TextIOBase):
    """Stands in for stdout and stderr while the board is drawn: lines that are written to it go to ``newest``."""

    def __init__(self) -> None:
        self.newest: deque[str] = deque(maxlen=MAX_LINES)
        self._count = 0
        self._rest = ""
        self._lock = threading.Lock()
        self._through: TextIO | None = None

    def write(self, text: str) -> int:
        """Keep ``text``."""
        with self._lock:
            if self._through is not None:
                return self._through.write(text)
            *whole, self._rest = (self._rest + text).split("\n")
            self.newest.extend(whole)
            self._count += len(whole)
        return len(text)

    def let_go(self) -> None:
        """Write what was kept to stderr, and from now on everything at once."""
        with self._lock:
            if self._through is None:
                self._through = sys.__stderr__
                self._tell(self._through)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Take the place of both streams, and of stderr in the logging handlers; write all at the end."""
        stderr = sys.stderr
        handlers = [one for one in logging.getLogger().handlers if isinstance(one, logging.StreamHandler)]
        handlers = [one for one in handlers if one.stream is stderr]
        try:
            with redirect_stdout(self), redirect_stderr(self):
                for handler in handlers:
                    handler.setStream(self)
                yield
        finally:
            for handler in handlers:
                handler.setStream(stderr)
            with self._lock:
                if self._through is None:
                    self._tell(stderr)

    def _tell(self, out: TextIO | None) -> None:
        if out is None:
            return
        if missing := self._count - len(self.newest):
            out.write(f"({missing:,} earlier lines are gone; `plaint up 2>FILE` keeps them all)\n")
        out.writelines(f"{line}\n" for line in [*self.newest, *([self._rest] if self._rest else [])])
        out.flush()

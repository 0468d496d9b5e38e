"""Keeps the stages of ``plaint up`` running: starts, restarts, gives up on a crash loop, ends them in the order of the way.

Own code, since nothing to build on fits: supervisor and circus are daemons with a configuration and a control socket of their
own (circus brings ZeroMQ and tornado), honcho runs processes but restarts none, mode (Faust's) supervises coroutines.

A child runs in a session of its own, so that a terminal's Ctrl-C reaches only the parent, which then ends them in order; if
the parent is killed, Linux kills the children (see ``plaint.local.leash``).
"""

import asyncio
import logging
import math
import os
import random
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from plaint.failures import EXIT_FAILED, EXIT_UNAVAILABLE
from plaint.local.leash import leashed
from plaint.logs import escaped

log = logging.getLogger(__name__)

NEVER_AGAIN = frozenset({2, 78})
"""Exit codes that a restart can't mend: wrong usage, wrong configuration."""

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What ends everything in order; one that was ignored already (nohup) stays ignored."""

LINE_LIMIT = 64 * 1024


@dataclass(frozen=True)
class Child:
    """A process to keep running. ``once``: exit code 0 is its end, it is not started again.

    ``stream``: it reads this process's standard input or a pipe, so any end but that one ends everything. ``sockets``:
    numbers of this process's descriptors that it has too.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    once: bool = False
    stream: bool = False
    sockets: tuple[int, ...] = ()
    grace_s: float = 30.0


@dataclass(frozen=True)
class RestartPolicy:
    """Waits between restarts double from ``first_s`` to ``longest_s``; ``exits`` within ``window_s`` are a crash loop.

    Without the broker children can't finish what they do: they have ``orphan_grace_s`` to end then.
    """

    first_s: float = 0.5
    longest_s: float = 15.0
    exits: int = 5
    window_s: float = 30.0
    orphan_grace_s: float = 5.0

    def delay(self, recent: int, dice: Callable[[], float]) -> float:
        """Seconds to wait after the ``recent``-th exit in the window; ``dice`` in [0, 1) takes off up to half."""
        return min(self.longest_s, self.first_s * 2.0 ** (recent - 1)) * (1 - dice() / 2)


def python_module(*arguments: str) -> tuple[str, ...]:
    """The command of ``python -m``, without the working directory on the path: a folder ``models/`` there is not ours."""
    return (sys.executable, "-P", "-m", *arguments)


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@dataclass(frozen=True)
class Look:
    """How a child is now. ``done``: it has ended well for good. ``last_exit`` as in a shell, None before its first end."""

    name: str
    pid: int | None
    restarts: int
    done: bool
    last_exit: int | None


class _Kept:
    """A child with the process that it is now."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.process: Process | None = None
        self.done = False
        self.last_exit: int | None = None
        self.stop = asyncio.Event()
        self.exits: deque[float] = deque()


class Supervisor:
    """Runs groups of children; ``groups`` in the order of the data's way, in which they are also ended, a group at a time."""

    def __init__(
        self,
        groups: Sequence[Sequence[Child]],
        policy: RestartPolicy = RestartPolicy(),
        *,
        write: Callable[[str], None] = _to_stderr,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        dice: Callable[[], float] = random.random,
        hung_up: Callable[[], bool] | None = None,
    ) -> None:
        """``hung_up`` is called for a SIGHUP and says whether that was all it meant; else it ends everything."""
        self._groups = [[_Kept(child) for child in group] for group in groups]
        self._policy = policy
        self._write, self._clock, self._sleep, self._dice = write, clock, sleep, dice
        self._hung_up = hung_up
        self._width = max((len(child.name) for group in groups for child in group), default=0)
        self._end: asyncio.Future[int] | None = None
        self._hurry = asyncio.Event()
        self._longest_grace_s = math.inf
        self._once_left = sum(child.once for group in groups for child in group)
        self._once_done = asyncio.Event()
        self.restarts: dict[str, int] = {child.name: 0 for group in groups for child in group}

    async def run(self, guard: Awaitable[int] | None = None) -> int:
        """Run until ``stop`` or a signal (0), a crash loop (that child's code) or the end of ``guard`` (its code).

        ``guard`` is what all children hang on, the broker: when it ends, there is nothing left to wait for. A second signal
        kills at once. Codes of processes ended by a signal are 128 + signal, as in a shell. Main thread only.
        """
        loop = asyncio.get_running_loop()
        self._end = loop.create_future()
        before = {number: signal.getsignal(number) for number in ENDING if self._heeds(number)}
        for number in before:
            loop.add_signal_handler(number, self._signalled, number)
        watch = asyncio.create_task(self._watch(guard)) if guard is not None else None
        tasks = {kept: asyncio.create_task(self._keep(kept)) for group in self._groups for kept in group}
        for task in (*tasks.values(), *((watch,) if watch else ())):
            task.add_done_callback(self._fell)
        try:
            return await self._end
        finally:
            if watch is not None:
                watch.cancel()
            for group in self._groups:
                await asyncio.gather(*(self._finish(kept, tasks[kept]) for kept in group))
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)

    def stop(self, code: int = 0) -> None:
        """End everything in order; ``run`` returns the code of the first call."""
        if self._end is not None and not self._end.done():
            self._end.set_result(code)

    def looks(self) -> list[Look]:
        """How each child is, in the order of the way. Any thread may ask."""
        return [self._look(kept) for group in self._groups for kept in group]

    def _look(self, kept: _Kept) -> Look:
        process, name = kept.process, kept.child.name
        return Look(name, process.pid if process else None, self.restarts[name], kept.done, kept.last_exit)

    async def finished(self) -> None:
        """Wait until every ``once`` child has ended with 0; at once if there is none."""
        if self._once_left:
            await self._once_done.wait()

    def _heeds(self, number: int) -> bool:
        has_meaning = number == signal.SIGHUP and self._hung_up is not None
        return has_meaning or signal.getsignal(number) is not signal.SIG_IGN

    def _signalled(self, number: int) -> None:
        is_hangup = number == signal.SIGHUP
        if is_hangup and self._hung_up is not None and self._hung_up():
            return
        if is_hangup and self._end is not None and self._end.done():
            return  # of a closed terminal the kernel tells, and the shell too: that is no hurry
        if self._end is None or self._end.done():
            log.warning("second %s: killing what is left", signal.Signals(number).name)
            self._hurry.set()
        else:
            log.info("%s: ending", signal.Signals(number).name)
            self.stop()

    def _fell(self, task: asyncio.Task[None]) -> None:
        """A fault of the supervisor itself ends everything; it is never silent."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the supervisor failed", exc_info=error)
            self.stop(EXIT_FAILED)

    async def _watch(self, guard: Awaitable[int]) -> None:
        code = await guard
        log.error("the broker ended with code %d, so everything ends", code)
        self._longest_grace_s = self._policy.orphan_grace_s
        self.stop(_shell_code(code) or EXIT_UNAVAILABLE)

    async def _keep(self, kept: _Kept) -> None:
        """Run the child again and again until it is done, is told to stop, or is given up."""
        name = kept.child.name
        while True:
            code = await self._run_once(kept)
            kept.last_exit = _shell_code(code)
            if kept.stop.is_set():
                return
            if kept.child.once and code == 0:
                log.info("%s is done", name)
                kept.done = True
                self._once_left -= 1
                if not self._once_left:
                    self._once_done.set()
                return
            recent = self._count_exit(kept)
            if why := self._hopeless(kept.child, code, recent):
                log.error("%s ended with code %d: %s, giving up", name, code, why)
                self.stop(_shell_code(code) or EXIT_UNAVAILABLE)
                return
            delay = self._policy.delay(recent, self._dice)
            log.warning("%s ended with code %d, starting it again in %.1f s", name, code, delay)
            if await _first(self._sleep(delay), kept.stop):
                return
            self.restarts[name] += 1

    def _hopeless(self, child: Child, code: int, recent: int) -> str:
        """Why there is no use in another start, or nothing."""
        if child.stream:
            return "what it took from standard input or a pipe can't be read again"
        if code in NEVER_AGAIN:
            return "a restart won't mend it"
        return f"{recent} exits within {self._policy.window_s:g} s" if recent >= self._policy.exits else ""

    def _count_exit(self, kept: _Kept) -> int:
        now = self._clock()
        kept.exits.append(now)
        while kept.exits[0] < now - self._policy.window_s:
            kept.exits.popleft()
        return len(kept.exits)

    async def _run_once(self, kept: _Kept) -> int:
        child = kept.child
        try:
            kept.process = process = await asyncio.create_subprocess_exec(
                *leashed(list(child.argv)),
                stdin=None if child.stream else DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                env={**os.environ, **child.env},
                start_new_session=True,
                pass_fds=child.sockets,
            )
        except OSError as error:
            log.error("%s can't be started: %s", child.name, error)
            return 127
        if kept.stop.is_set():  # told to stop while it was being started
            process.terminate()
        forward = asyncio.create_task(self._forward(child.name, process))
        try:
            return await process.wait()
        finally:
            kept.process = None
            # A process that the child left behind may hold the pipe open.
            await asyncio.wait({forward}, timeout=1)
            forward.cancel()

    async def _forward(self, name: str, process: Process) -> None:
        """What the child writes, line by line, with its name. Control characters are shown, not sent to a terminal."""
        assert process.stdout is not None
        rest = b""
        while chunk := await process.stdout.read(LINE_LIMIT):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > LINE_LIMIT:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._line(name, line)
        if rest:
            self._line(name, rest)

    def _line(self, name: str, line: bytes) -> None:
        text = escaped(line.decode(errors="replace").removesuffix("\r"), keep="\t")
        with suppress(OSError):  # nobody reads what we write: go on reading, or the child would block
            self._write(f"{name:<{self._width}} | {text}")

    async def _finish(self, kept: _Kept, task: asyncio.Task[None]) -> None:
        """SIGTERM, and SIGKILL to its whole process group after the grace period or when it is to be quick."""
        kept.stop.set()
        if kept.process is not None:
            with suppress(ProcessLookupError):
                kept.process.terminate()
        hurry = asyncio.create_task(self._hurry.wait())
        grace = min(kept.child.grace_s, self._longest_grace_s)
        await asyncio.wait({task, hurry}, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not task.done():
            log.warning("%s did not end in time: killing it", kept.child.name)
        while not task.done():
            if kept.process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(kept.process.pid, signal.SIGKILL)
            await asyncio.wait({task}, timeout=0.1)


async def _first(wait: Awaitable[None], event: asyncio.Event) -> bool:
    """Wait for either; whether the event is set."""
    sleeping, told = asyncio.ensure_future(wait), asyncio.create_task(event.wait())
    await asyncio.wait({sleeping, told}, return_when=asyncio.FIRST_COMPLETED)
    sleeping.cancel()
    told.cancel()
    return event.is_set()


def _shell_code(code: int) -> int:
    """Exit code as a shell tells it: a process ended by signal n has 128 + n."""
    return code if code >= 0 else 128 - code

"""All that can go wrong on the way of a ticket, in an order drawn by chance."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGHUP, SIGSTOP
from typing import Any

from tests.support.command import plaint
from tests.system import wire
from tests.system.lives import Found, Lives, judge
from tests.system.receiver import TAKES_LONG
from tests.system.stack import DESTINATIONS, ROUTES, SESSION_S, Incident, Plaint, Routes, Stack

OTHER_ROUTES: Routes = {
    "complaint": ("service",),
    "question": ("helpdesk",),
    "praise": (),
    "marketing": ("helpdesk", "service"),
    "other": ("helpdesk",),
}
PATIENCE_S = 120.0
LIVES = {"tries": 6, "retry_after_max_s": 3, "window": 40, "timeout_s": 3}
"""Settings of a destination that bring a ticket to each of its ends within a minute."""
MOODS: tuple[dict[str, Any], ...] = (
    {"do": "hang"},
    {"do": "hang", "taken": True},
    {"do": "drop"},
    {"do": "drop", "taken": True},
    {"do": "answer", "status": 400},
    {"do": "answer", "status": 404},
    {"do": "answer", "status": 410},
    {"do": "answer", "status": 429, "retry_after": "2"},
    {"do": "answer", "status": 500},
    {"do": "answer", "status": 503, "retry_after": "1"},
    {"do": "answer", "status": 503, "taken": True},
)
"""What the receiver may do instead of taking a ticket and saying so."""


class Trouble:
    """Strikes at ``stack`` while ``lives`` flow; what was done stands in ``done``."""

    def __init__(self, stack: Stack, lives: Lives, dice: Random) -> None:
        self.done: list[str] = []
        self.routes: list[tuple[float, Routes]] = []
        self._stack = stack
        self._lives = lives
        self._dice = dice
        self._stopped: dict[str, float] = {}
        self._mood_ends = float("inf")

    def strike(self, seconds: float) -> None:
        """Strike again and again for so long; halfway the routes change."""
        strikes: dict[Callable[[], str], int] = {
            self._kill: 6,
            self._stop: 3,
            self._mood: 7,
            self._all_moods: 2,
            self._gone: 1,
            self._off_and_on: 1,
            self._retry: 2,
            self._replay: 1,
        }
        begun = time.monotonic()
        self._stack.receiver.fail(TAKES_LONG)
        while (passed := time.monotonic() - begun) < seconds:
            self._wait(self._dice.uniform(0.3, 2.5))
            if passed > seconds / 2 and len(self.routes) == 1:
                self.use(OTHER_ROUTES)
            self.done.append(self._dice.choices(list(strikes), list(strikes.values()))[0]())

    def use(self, routes: Routes) -> None:
        """Both route workers go by these when this returns: none is stopped, and who dies reads them when it starts."""
        self._continue(float("inf"))
        self._stack.write_routes(routes)
        for name in ("route-0", "route-1"):
            _reload(self._stack.workers[name])
        self.routes.append((time.time(), routes))
        self.done.append(f"routes {len(self.routes)}")

    def settle(self, timeout_s: float) -> Found:
        """Let everything work again and wait until all tickets have come to their end, at the latest after a time."""
        self._continue(float("inf"))
        self._stack.receiver.fail()
        for name in DESTINATIONS:
            self._plaint("destination", "enable", name)
        deadline = time.monotonic() + timeout_s
        found, since = self._found(), time.monotonic()
        while time.monotonic() < deadline and (found.is_under_way or time.monotonic() - since < SESSION_S):
            self._again("dead")  # what the receiver refused when it was told to
            time.sleep(1)
            found = self._found()
            since = time.monotonic() if found.is_under_way else since
        return found

    # -- what may happen -----------------------------------------------------------------------------------------

    def _kill(self) -> str:
        names = [name for name, worker in self._stack.workers.items() if worker.running and name not in self._stopped]
        killed = self._dice.sample(names, min(len(names), self._dice.choice((1, 1, 2))))
        for name in killed:
            self._stack.workers[name].kill()
        return f"kill {' '.join(killed)}"

    def _stop(self) -> str:
        """Stop a worker; mostly for so long that another has its partitions when it wakes."""
        name = self._dice.choice(sorted(self._stack.workers))
        worker = self._stack.workers[name]
        if not worker.running or name in self._stopped:
            return "nothing"
        seconds = self._dice.choice((2.0, SESSION_S + 2, SESSION_S + 4))
        worker.signal(SIGSTOP, "stopped")
        self._stopped[name] = time.monotonic() + seconds
        return f"stop {name} {seconds:.0f} s"

    def _mood(self) -> str:
        mood = self._dice.choice(MOODS) | {"share": self._dice.choice((0.2, 0.5, 1.0))}
        if self._dice.random() < 0.5:
            mood |= {"queue": self._dice.choice(DESTINATIONS)}
        self._stack.receiver.fail(TAKES_LONG, mood)
        self._mood_ends = time.monotonic() + self._dice.uniform(1, 8)
        return f"receiver {mood}"

    def _all_moods(self) -> str:
        self._stack.receiver.fail(TAKES_LONG, *({**mood, "share": 0.06} for mood in MOODS if mood.get("status") != 410))
        self._mood_ends = time.monotonic() + self._dice.uniform(3, 10)
        return "receiver in all moods"

    def _gone(self) -> str:
        self._stack.wiretap.shut()
        self._wait(self._dice.uniform(1, 4))
        self._stack.wiretap.open()
        return "receiver was gone"

    def _off_and_on(self) -> str:
        name = self._dice.choice(DESTINATIONS)
        self._plaint("destination", "disable", name, "--why", "a system test")
        self._wait(self._dice.uniform(0, 3))
        self._plaint("destination", "enable", name)
        return f"{name} was off"

    def _retry(self) -> str:
        state = self._dice.choice(("open", "dead"))
        return f"retry {self._again(state)} {state}"

    def _replay(self) -> str:
        self._plaint("dead", "replay", "--stage", "deliver", "--since", "10m", "--force", "--yes")
        return "replay"

    # -- how -----------------------------------------------------------------------------------------------------

    def _wait(self, seconds: float) -> None:
        """Let time pass; stopped workers go on and moods end when it is time."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            self._continue(now)
            if now > self._mood_ends:
                self._stack.receiver.fail(TAKES_LONG)
                self._mood_ends = float("inf")
            time.sleep(0.1)

    def _continue(self, now: float) -> None:
        for name in [name for name, at in self._stopped.items() if at <= now]:
            del self._stopped[name]
            self._stack.workers[name].signal(SIGCONT, "continued")

    def _again(self, state: str) -> int:
        """Have tickets in this state tried again; how many."""
        seen = self._stack.read(1)
        steps = {key: seen.deliveries.get((name, key), [])[-1:] for name, key in self._lives.tickets()}
        keys = [key for key, last in steps.items() if last and _is(state, last[0].state)]
        if keys:
            self._plaint("tickets", "retry", "--yes", *keys[:100])
        return len(keys)

    def _plaint(self, *arguments: str) -> None:
        """Its exit code says only that some were settled meanwhile."""
        plaint(*arguments, cwd=self._stack.folder, settings=self._stack.environment("hand"))

    def _found(self) -> Found:
        return judge(self._lives, self._stack.read(), self._stack.receiver.receipts(), self.routes)


def _is(wanted: str, state: str) -> bool:
    return state == "dead" if wanted == "dead" else state not in wire.FINAL


def _until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, f"not so after {PATIENCE_S:.0f} s: {what}"
        time.sleep(0.1)


def _reload(worker: Plaint) -> None:
    """Return once a route worker goes by the routes that stand there now; it may die of the signal while it starts."""
    _until(lambda: worker.running and _says_routes(worker.log) > 0, f"{worker.name} has routes")
    said = _says_routes(worker.log)
    worker.signal(SIGHUP, "told to reload")
    _until(lambda: _says_routes(worker.log) > said, f"{worker.name} has other routes")


def _says_routes(log: Path) -> int:
    """How often a route worker said by which routes it goes: when it starts, and when it is told to reload."""
    said = log.read_bytes() if log.exists() else b""
    return said.count(b"routes.yaml, version") + said.count(b"routes.yaml is unchanged")


@dataclass(frozen=True)
class Report:
    """One run: what was found, what was done, and how much there was of it."""

    found: Found
    done: list[str]
    posts: int
    states: int
    requests: int
    exits: list[Incident]
    """Workers that ended by themselves."""
    seconds: float


def live_through(stack: Stack, seed: int, *, posts: int, seconds: float, timeout_s: float) -> Report:
    """Let so many posts live for ``seconds`` while everything is struck, and judge once all is calm.

    A seed draws the same lives and much the same strikes; what is under way when one comes is up to the machine.
    """
    begun = time.time()
    lives = Lives(f"life-{seed}:", posts, Random(seed))
    trouble = Trouble(stack, lives, Random(seed))
    trouble.use(ROUTES)
    with ThreadPoolExecutor(1) as pool:
        flow = pool.submit(lives.flow, stack.bootstrap, seconds)
        trouble.strike(seconds)
        flow.result()
    found = trouble.settle(timeout_s)
    keys = {key for _, key in lives.tickets()}
    requests = sum(request.webhook_id.partition("-")[0] in keys for request in stack.wiretap.sent(begun))
    states = sum(map(len, lives.states.values()))
    exits = stack.incidents("exit", begun)
    return Report(found, trouble.done, len(lives.states), states, requests, exits, time.time() - begun)

"""One destination dead with a backlog while its workers leave and join: what the other destination feels of it."""

import json
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from uuid import uuid4

from tests.system import wire
from tests.system.poison_later import ticket
from tests.system.raw import PARTITIONS, Writer, until
from tests.system.receiver import HANGS
from tests.system.stack import Stack

DEAD, ALIVE = "helpdesk", "service"
WINDOW_S = 1.0
LINGER_S = 5.0
"""How long a worker stays away between leaving and joining."""


@dataclass(frozen=True)
class Latencies:
    """Milliseconds until the receiver took each ticket: from when it was put on its topic, and from when it was accepted.

    ``at`` is when it was put, in seconds since the epoch.
    """

    at: list[float]
    from_put: list[float]
    from_accepted: list[float]

    def p99_of_windows(self) -> float:
        """The median of the p99 of each second: what a busy machine does to a few of them does not count."""
        windows: dict[int, list[float]] = {}
        for at, latency in zip(self.at, self.from_put, strict=True):
            windows.setdefault(int((at - self.at[0]) / WINDOW_S), []).append(latency)
        return median(p99(window) for window in windows.values())


@dataclass(frozen=True)
class Isolation:
    """What was measured. ``memory`` are MB of each worker of the dead destination over time, by name.

    ``after`` is when the destination is back and has everything: if it differs from ``before``, it is the machine.
    """

    before: Latencies
    during: Latencies
    after: Latencies
    memory: dict[str, list[float]]
    backlog: int
    arrived: int
    second: int
    requests: int
    returned_s: float


def p99(found: Sequence[float]) -> float:
    """The 99th percentile; of less than 100 the largest."""
    return max(found) if len(found) < 100 else quantiles(found, n=100)[-1]


def isolate(stack: Stack, *, backlog: int, rate: float, seconds: float, moves: int, timeout_s: float) -> Isolation:
    """Measure with everything alive, then with the destination dead, ``moves`` workers leaving and joining meanwhile."""
    load = _Load(stack)
    load.steady(rate, 2)  # whatever is slow the first time
    before = load.steady(rate, seconds)
    stack.receiver.fail({**HANGS, "queue": DEAD})
    waiting = load.put_backlog(backlog)
    memory: dict[str, list[float]] = {}
    with _coming_and_going(stack, moves, seconds), _watching(stack, memory):
        during = load.steady(rate, seconds)
    stack.receiver.fail()
    began = time.monotonic()
    load.wait_for(waiting, timeout_s)
    returned_s = time.monotonic() - began
    after = load.steady(rate, seconds)
    receipts = [receipt for receipt in stack.receiver.receipts() if receipt["id"] in waiting]
    return Isolation(
        before,
        during,
        after,
        memory,
        backlog=len(waiting),
        arrived=len(receipts),
        second=sum(receipt["outcome"] != "created" for receipt in receipts),
        requests=sum(receipt["requests"] for receipt in receipts),
        returned_s=returned_s,
    )


class _Load:
    """Puts tickets on the topics, each on the partition that its key has."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._run = uuid4().hex[:16]
        self._count = 0

    def steady(self, rate: float, seconds: float) -> Latencies:
        """One after the other to the destination that is alive; returns once all are taken."""
        put: dict[str, float] = {}
        with Writer(self._stack.bootstrap) as writer:
            begin = time.time()
            for number in range(int(rate * seconds)):
                time.sleep(max(0.0, begin + number / rate - time.time()))
                put[self._put(writer, ALIVE)] = time.time()
        self.wait_for(put.keys(), 60)
        taken = {receipt["id"]: receipt["taken_at"] for receipt in self._stack.receiver.receipts()}
        accepted = self._accepted(put.keys())
        return Latencies(
            list(put.values()),
            [(taken[webhook_id] - at) * 1000 for webhook_id, at in put.items()],
            [(taken[webhook_id] - at) * 1000 for webhook_id, at in accepted.items()],
        )

    def put_backlog(self, count: int) -> set[str]:
        """Tickets for the destination that is dead, all at once."""
        with Writer(self._stack.bootstrap) as writer:
            return {self._put(writer, DEAD) for _ in range(count)}

    def wait_for(self, webhook_ids: Iterable[str], timeout_s: float) -> None:
        """Return once the receiver has taken all of these."""
        wanted = set(webhook_ids)

        def missing() -> set[str]:
            return wanted - {receipt["id"] for receipt in self._stack.receiver.receipts()}

        pause_s = max(0.1, len(wanted) / 10_000)  # asking costs the receiver time, which it should have for tickets
        until(lambda: not missing(), timeout_s, lambda: f"not taken: {len(missing())} of {len(wanted)}", pause_s)

    def _put(self, writer: Writer, destination: str) -> str:
        self._count += 1
        key = f"{self._count:08x}{self._run}".ljust(32, "0")
        value = json.dumps(ticket(key, destination)).encode()
        writer.put(wire.tickets(destination), self._count % PARTITIONS, value, key.encode())
        return wire.webhook_id(key, 0)

    def _accepted(self, webhook_ids: Iterable[str]) -> dict[str, float]:
        """When each was accepted, by Kafka's timestamp in the delivery log."""
        seen = self._stack.read(10)
        return {i: seen.deliveries[ALIVE, i.rpartition("-")[0]][0].at for i in webhook_ids}


@contextmanager
def _coming_and_going(stack: Stack, moves: int, seconds: float) -> Iterator[None]:
    """Workers of the dead destination end in turn, and whoever keeps them starts them again a while later."""
    kept, stack.restart_after_s = stack.restart_after_s, LINGER_S

    def move() -> None:
        for number in range(moves):
            time.sleep(seconds / (moves + 1) / 2)
            stack.workers[f"{DEAD}-{number % 2}"].end()
            time.sleep(seconds / (moves + 1) / 2)

    mover = threading.Thread(target=move, name="mover")
    mover.start()
    try:
        yield
    finally:
        mover.join()
        stack.restart_after_s = kept


@contextmanager
def _watching(stack: Stack, memory: dict[str, list[float]]) -> Iterator[None]:
    """Note the memory of the dead destination's workers again and again."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            for name, worker in stack.workers.items():
                if name.startswith(DEAD) and worker.running:
                    memory.setdefault(name, []).append(resident_mb(worker.pid))

    watcher = threading.Thread(target=watch, name="watcher")
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def resident_mb(pid: int) -> float:
    """Resident memory of a process; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)

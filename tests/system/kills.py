"""kill -9 of workers while posts flow, and what may be seen at the receiver because of it."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.system.evidence import Evidence
from tests.system.posts import write_posts
from tests.system.stack import CONCURRENCY, DESTINATIONS, TIMEOUT_S, Incident, Plaint, Stack
from tests.system.verdict import LAG_S, Verdict, repeated, settle
from tests.system.wiretap import Request

STAGES = ("classify", "route", *DESTINATIONS)
WRITTEN_S = 1.0
"""How long after its answer a request's outcome may take to be written down, on a busy machine."""

IN_FLIGHT_WAIT_S = 5.0
BATCH_S = 1.0
"""About as long as a batch of the shipped model takes."""


@dataclass(frozen=True)
class KillReport:
    """A verdict, the kills that went before, and the repeats by their cause."""

    verdict: Verdict
    kills: list[Incident]
    seconds: float
    in_flight: dict[str, int]
    """Repeats a destination because of a kill."""
    unanswered: dict[str, int]
    """Repeats of requests whose line the receiver dropped."""
    moved: dict[str, int]
    """Repeats by the next owner of a partition whose owner had lost it without a kill: the machine had starved it for
    longer than its session."""
    late: dict[str, int]
    """Repeats of requests that the receiver, starved by the machine, had not answered when their time was over."""
    unexplained: list[str] = field(default_factory=list)
    """All other repeats."""
    exits: list[Incident] = field(default_factory=list)
    """Workers that ended by themselves."""

    def may_repeat(self, destination: str) -> int:
        """The most repeats that kills can have made there."""
        return CONCURRENCY * sum(kill.name.startswith(destination) for kill in self.kills)


def kill_while_flowing(
    stack: Stack, folder: Path, prefix: str, *, posts: int, rate: float, kills: int, seed: int, timeout_s: float
) -> KillReport:
    """Feed ``posts`` and kill workers of every stage in turn, in shuffled order, spread over the flow; each is restarted."""
    dice = random.Random(seed)
    path = folder / f"{prefix}.jsonl"
    ids = write_posts(path, f"{prefix}:", posts)
    begun = time.time()
    ingest = stack.feed(path, rate)
    for number, stage in enumerate(_order(dice, kills)):
        _until_triaged(stack, ids, round(posts * (number + dice.random()) / (kills + 1)), begun + timeout_s)
        _strike(stack, _oldest(stack, stage), dice)
    verdict = settle(stack, ids, ingest, timeout_s)
    seconds = time.time() - begun
    return _report(stack, verdict, begun, seconds, ids)


def _order(dice: random.Random, kills: int) -> list[str]:
    order: list[str] = []
    while len(order) < kills:
        order += dice.sample(STAGES, len(STAGES))
    return order[:kills]


def _until_triaged(stack: Stack, ids: Sequence[str], count: int, deadline: float) -> None:
    while time.time() < deadline:
        triages = stack.read(0.7).triages
        if sum(post_id in triages for post_id in ids) >= count:
            return


def _strike(stack: Stack, worker: Plaint, dice: random.Random) -> None:
    """Kill it; one that delivers when a request of its is under way, if there is one soon, others amid a batch."""
    if worker.name[:-2] not in DESTINATIONS:
        time.sleep(dice.uniform(0, BATCH_S))
    until = time.monotonic() + IN_FLIGHT_WAIT_S
    while worker.name[:-2] in DESTINATIONS and time.monotonic() < until:
        if any(r.worker == worker.name and r.answered_at is None for r in stack.wiretap.requests[-100:]):
            break
        time.sleep(0.002)
    worker.kill()


def _oldest(stack: Stack, stage: str) -> Plaint:
    """The worker of a stage that has run for longest: the one most at work."""
    while not (found := [w for w in stack.workers.values() if w.name[:-2] == stage and w.running]):
        time.sleep(0.1)
    return min(found, key=lambda worker: worker.incidents[-1].at)


def _report(stack: Stack, verdict: Verdict, begun: float, seconds: float, ids: Sequence[str]) -> KillReport:
    kills, late_s = stack.incidents("killed", begun), stack.wiretap.late_s
    in_flight, unanswered, moved, late = (dict.fromkeys(DESTINATIONS, 0) for _ in range(4))
    unexplained = []
    for requests in repeated(stack.wiretap.sent(begun)).values():
        for request, again in pairwise(requests):
            destination = request.worker[:-2]
            if request.dropped:  # would have come again in any case
                unanswered[destination] += 1
            elif was_in_flight(request, kills, late_s):
                in_flight[destination] += 1
            elif _has_moved(stack.read(0), destination, request, again, late_s):
                moved[destination] += 1
            elif request.answered_at is None and again.at - request.at >= TIMEOUT_S - LAG_S - late_s:
                late[destination] += 1
            else:
                unexplained.append(f"{request.webhook_id} by {request.worker} at {request.at:.3f}: {request.status}")
    exits = stack.incidents("exit", begun)
    return KillReport(verdict, kills, seconds, in_flight, unanswered, moved, late, unexplained, exits)


def _has_moved(seen: Evidence, destination: str, request: Request, again: Request, late_s: float) -> bool:
    """Whether the ticket's partition came to another worker between two requests, and that one sent the second."""
    steps = seen.deliveries[destination, request.webhook_id.rpartition("-")[0]]
    owners = seen.owners[destination, steps[0].partition]
    came = any(request.at - LAG_S - late_s < at <= again.at and worker == again.worker for at, worker in owners)
    return came and again.worker != request.worker


def was_in_flight(request: Request, kills: Sequence[Incident], late_s: float = 0.0) -> bool:
    """Whether the worker was killed before it can have written down what came of the request.

    ``late_s``: how much longer than usual anything may have taken, see Wiretap.
    """
    end = request.answered_at if request.answered_at is not None else request.at + TIMEOUT_S
    own = [kill.at for kill in kills if kill.name == request.worker]
    return any(request.at - LAG_S - late_s <= kill <= end + WRITTEN_S + late_s for kill in own)

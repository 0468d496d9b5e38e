"""Outages while posts flow: of Kafka, of a worker, of the receiver."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCONT, SIGSTOP

from tests.support.kafka_process import KafkaProcess
from tests.system import wire
from tests.system.posts import write_posts
from tests.system.receiver import HANGS, TAKES_LONG
from tests.system.stack import CONCURRENCY, DESTINATIONS, PROBE_S, Incident, Stack
from tests.system.verdict import Verdict, settle
from tests.system.wiretap import Request

BREAKER_FAILURES = 10
"""The shipped setting: so many tickets fail before a destination is taken to be down."""


@dataclass(frozen=True)
class OutageReport:
    """A verdict on the posts that flowed before, during and after; times are seconds since the epoch."""

    verdict: Verdict
    began: float
    ended: float
    fed: float
    """When the last post was to be published."""
    settled: float
    first_after: float | None
    """When the first request came after the outage that was answered well."""
    tried: dict[str, int]
    """Tries begun during the outage, a destination, by the delivery log."""
    most_at_once: dict[str, int]
    """Requests in flight at the same time after the outage, a destination, by the wire."""
    exits: list[Incident]
    """Workers that ended by themselves."""

    def may_try(self, workers: int) -> float:
        """The most tries at a destination that is down: those in flight, those that show it, then one a probe time."""
        return workers * (CONCURRENCY + BREAKER_FAILURES + (self.ended - self.began) / PROBE_S + 2)


def outage(
    stack: Stack,
    folder: Path,
    prefix: str,
    *,
    posts: int,
    rate: float,
    before_s: float,
    happen: Callable[[], None],
    timeout_s: float,
) -> OutageReport:
    """Feed ``posts`` evenly; after ``before_s`` let it ``happen``, which returns when it is over; wait until all is settled."""
    path = folder / f"{prefix}.jsonl"
    ids = write_posts(path, f"{prefix}:", posts)
    stack.receiver.fail(TAKES_LONG)
    begun = time.time()
    ingest = stack.feed(path, rate)
    _until_it_flows(stack, ids, timeout_s)
    time.sleep(before_s)
    began = time.time()
    happen()
    ended = time.time()
    verdict = settle(stack, ids, ingest, timeout_s)
    settled = time.time()
    keys = {name: {wire.ticket_key(post_id, name) for post_id in ids} for name in DESTINATIONS}
    sent = {
        name: [r for r in stack.wiretap.sent() if r.webhook_id.rpartition("-")[0] in keys[name]]
        for name in DESTINATIONS
    }
    return OutageReport(
        verdict,
        began,
        ended,
        begun + posts / rate,
        settled,
        min((r.at for found in sent.values() for r in found if _is_taken(r, ended)), default=None),
        {name: _tries(stack, name, keys[name], began, ended) for name in DESTINATIONS},
        {name: most_at_once([r for r in found if r.at >= ended]) for name, found in sent.items()},
        stack.incidents("exit", began),
    )


def _is_taken(request: Request, since: float) -> bool:
    return request.at >= since and request.status in (200, 201)


def _until_it_flows(stack: Stack, ids: Sequence[str], timeout_s: float) -> None:
    """Wait for the first tickets of these posts."""
    mine = {wire.ticket_key(post_id, name) for post_id in ids for name in DESTINATIONS}
    deadline = time.monotonic() + timeout_s
    while not any(request.webhook_id.rpartition("-")[0] in mine for request in stack.wiretap.sent()):
        assert time.monotonic() < deadline, "no ticket came"
        time.sleep(0.1)


def _tries(stack: Stack, destination: str, keys: set[str], since: float, until: float) -> int:
    steps = (step for key in keys for step in stack.read(0).deliveries.get((destination, key), []))
    return sum(step.state == "sending" and since <= step.at < until for step in steps)


def most_at_once(requests: Sequence[Request]) -> int:
    """How many of these requests were under way at the same time at most."""
    edges = [(r.at, 1) for r in requests] + [(r.answered_at, -1) for r in requests if r.answered_at is not None]
    now = most = 0
    for _, change in sorted(edges):
        now += change
        most = max(most, now)
    return most


# -- what may happen ---------------------------------------------------------------------------------------------


def kafka_dies(stack: Stack, node: KafkaProcess) -> Callable[[], None]:
    """Kafka is killed and at once started again on the same data."""

    def happen() -> None:
        stack.hang_up()
        node.restart()

    return happen


def kafka_stops(stack: Stack, node: KafkaProcess, seconds: float) -> Callable[[], None]:
    """Kafka is stopped: its connections stay and nothing answers."""

    def happen() -> None:
        stack.hang_up()
        node.pause()
        time.sleep(seconds)
        node.resume()

    return happen


def workers_stop(stack: Stack, names: Sequence[str], seconds: float) -> Callable[[], None]:
    """These workers are stopped and continued: longer than a session, others have their partitions by then."""

    def happen() -> None:
        for name in names:
            stack.workers[name].signal(SIGSTOP, "stopped")
        time.sleep(seconds)
        for name in names:
            stack.workers[name].signal(SIGCONT, "continued")

    return happen


def receiver_goes(stack: Stack, seconds: float) -> Callable[[], None]:
    """The receiver's process is killed, connections to it are refused; then another is started in its place."""

    def happen() -> None:
        stack.wiretap.shut()
        stack.inbox.kill()
        time.sleep(seconds)
        stack.restart_receiver()
        stack.receiver.fail(TAKES_LONG)
        stack.wiretap.open()

    return happen


def receiver_hangs(stack: Stack, seconds: float) -> Callable[[], None]:
    """The receiver accepts and never answers."""

    def happen() -> None:
        stack.receiver.fail(HANGS)
        time.sleep(seconds)
        stack.receiver.fail(TAKES_LONG)

    return happen

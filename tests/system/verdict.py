"""What became of posts, counted by id from the topics, the receiver's receipts and the wire."""

import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.system import wire
from tests.system.evidence import Evidence
from tests.system.stack import DESTINATIONS, ROUTES, Plaint, Stack
from tests.system.wiretap import Request

LAG_S = 0.5
"""How long a request may lie in a socket before the wire notes it, beside what the machine makes it wait."""


@dataclass(frozen=True)
class Verdict:
    """Counts of one flow of posts. The lists hold ids and should be empty; ``repeats`` is how often an id came again."""

    posts: int
    triaged: int
    intents: dict[str, int]
    expected: dict[str, int]
    tickets: dict[str, int]
    requests: dict[str, int]
    webhook_ids: dict[str, int]
    repeats: dict[str, int]
    triages_repeated: int
    wavering: int
    """Posts that got another intent when they were triaged again, which must not make a ticket of its own."""
    unpublished: list[str] = field(default_factory=list)
    untriaged: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    reopened: list[str] = field(default_factory=list)
    """Tickets that the delivery log leaves open after it had settled them."""
    unexpected: list[str] = field(default_factory=list)
    second: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    """Requests by a worker that did not own the ticket's partition when it sent them; told of static members, whose
    names stand in the log."""

    @property
    def lost(self) -> int:
        """Posts and tickets that did not come to their end."""
        return sum(map(len, (self.unpublished, self.untriaged, self.missing, self.unsettled, self.dead)))

    @property
    def faults(self) -> dict[str, list[str]]:
        """The lists that are not empty, cut short."""
        return {name: found[:5] for name, found in asdict(self).items() if isinstance(found, list) and found}

    def counts(self) -> dict[str, Any]:
        """Everything as numbers."""
        every = asdict(self)
        lists = {name: len(found) for name, found in every.items() if isinstance(found, list)}
        return {"lost": self.lost, **every, **lists}


def expected_tickets(seen: Evidence, ids: Sequence[str]) -> dict[str, set[str]]:
    """Keys of the tickets that these posts should be, a destination, by the first triage of each and the routes."""
    expected: dict[str, set[str]] = {name: set() for name in DESTINATIONS}
    for post_id in ids:
        for intent in seen.intents(post_id)[:1]:
            for name in ROUTES[intent]:
                expected[name].add(wire.ticket_key(post_id, name))
    return expected


def settle(stack: Stack, ids: Sequence[str], ingest: Plaint | None, timeout_s: float) -> Verdict:
    """Wait until these posts have come to their end everywhere, then say what became of them; at the latest after a time."""
    deadline = time.monotonic() + timeout_s
    if ingest is not None:
        try:
            code = ingest.wait(timeout_s)
            assert code == 0, f"ingest ended with {code}:\n{ingest.said()}"
        except subprocess.TimeoutExpired:
            ingest.kill()
    while time.monotonic() < deadline and not _is_settled(stack, ids):
        time.sleep(0.2)
    return judge(stack, ids)


def _is_settled(stack: Stack, ids: Sequence[str]) -> bool:
    seen = stack.read()
    if not all(post_id in seen.triages for post_id in ids):
        return False
    expected = expected_tickets(seen, ids)
    return all(seen.settled(name, key) for name, keys in expected.items() for key in keys)


def judge(stack: Stack, ids: Sequence[str]) -> Verdict:
    """What became of these posts so far."""
    seen = stack.read()
    expected = expected_tickets(seen, ids)
    mine = {wire.webhook_id(wire.ticket_key(i, name), 0): name for i in ids for name in DESTINATIONS}
    keys = {name: {wire.ticket_key(post_id, name) for post_id in ids} for name in DESTINATIONS}
    receipts = [receipt for receipt in stack.receiver.receipts() if receipt["id"] in mine]
    taken = {name: Counter(r["key"] for r in receipts if r["queue"] == name) for name in DESTINATIONS}
    requests = [request for request in stack.wiretap.sent() if request.webhook_id in mine]
    by_id = Counter(request.webhook_id for request in requests)
    places = set(ids) | set().union(*keys.values())
    return Verdict(
        posts=len(ids),
        triaged=sum(post_id in seen.triages for post_id in ids),
        intents=dict(Counter(intent for post_id in ids for intent in seen.intents(post_id)[:1])),
        expected={name: len(found) for name, found in expected.items()},
        tickets={name: len(found) for name, found in taken.items()},
        requests={name: sum(n for i, n in by_id.items() if mine[i] == name) for name in DESTINATIONS},
        webhook_ids={name: sum(mine[i] == name for i in by_id) for name in DESTINATIONS},
        repeats={name: sum(n - 1 for i, n in by_id.items() if mine[i] == name) for name in DESTINATIONS},
        triages_repeated=sum(len(seen.triages[post_id]) - 1 for post_id in ids if post_id in seen.triages),
        wavering=sum(len(set(seen.intents(post_id))) > 1 for post_id in ids),
        unpublished=[post_id for post_id in ids if not seen.posts[post_id]],
        untriaged=[post_id for post_id in ids if post_id not in seen.triages],
        missing=[key for name in DESTINATIONS for key in expected[name] - taken[name].keys()],
        unsettled=[key for name in DESTINATIONS for key in expected[name] if not seen.settled(name, key)],
        reopened=[key for name, key in seen.reopened() if key in keys[name]],
        unexpected=[key for name in DESTINATIONS for key in taken[name].keys() - expected[name]],
        second=[key for found in taken.values() for key, count in found.items() if count > 1],
        dead=[f"{x.stage} {x.place}: {x.reason}" for x in seen.letters if x.key.decode("utf-8", "replace") in places],
        strays=[
            _shown(request)
            for request in requests
            if stack.static
            and request.worker in stack.workers
            and _is_stray(stack, seen, mine[request.webhook_id], request)
        ],
    )


def _is_stray(stack: Stack, seen: Evidence, destination: str, request: Request) -> bool:
    """Sent by a worker that was not the partition's owner, by the owner records in the log."""
    key = request.webhook_id.rpartition("-")[0]
    steps = seen.deliveries.get((destination, key))
    if not steps:
        return True  # a request that the log knows nothing of
    since = request.at - LAG_S - stack.wiretap.late_s
    return request.worker not in seen.owners_between(destination, steps[0].partition, since, request.at)


def _shown(request: Request) -> str:
    return f"{request.webhook_id} by {request.worker} at {request.at:.3f}"


def repeated(requests: Sequence[Request]) -> dict[str, list[Request]]:
    """The requests of each webhook id that came more than once, in order."""
    by_id: dict[str, list[Request]] = {}
    for request in requests:
        by_id.setdefault(request.webhook_id, []).append(request)
    return {webhook_id: found for webhook_id, found in by_id.items() if len(found) > 1}

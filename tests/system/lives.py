"""Whole lives of posts: created, edited, liked, deleted, created again, repeated and late; and what must be so at their end."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from kafka import KafkaProducer

from tests.system import wire
from tests.system.evidence import Evidence
from tests.system.posts import texts
from tests.system.stack import DESTINATIONS, Routes

REFUSALS = ("refused", "retries_exhausted")
"""Why a ticket may become a dead letter here: the receiver was told to refuse some, and to fail for long."""
LATE_S = 5.0
"""So long after the routes have changed a batch may still be under way by those before."""
PAUSES_S = (0.001, 0.02, 0.3, 1.5, 4, 10)
"""Between two states of one post: within a batch, within a request, between two tries."""


@dataclass(frozen=True)
class State:
    """One revision of a post. ``at`` is when it was published first."""

    revision: int
    event: str
    text: str
    likes: int
    at: float

    @property
    def is_gone(self) -> bool:
        """Nobody is to see anything of the post: it is deleted, or was edited away."""
        return self.event == "delete" or not self.text.strip()


class Lives:
    """Draws lives of ``count`` posts and publishes them; ids begin with ``prefix``."""

    def __init__(self, prefix: str, count: int, dice: Random) -> None:
        self.states: dict[str, list[State]] = {f"{prefix}{number:04d}": [] for number in range(count)}
        self._dice = dice
        self._texts = texts()

    def flow(self, bootstrap: str, seconds: float) -> None:
        """Publish everything within about so many seconds."""
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=2)
        begun = time.monotonic()
        for at, post_id in self._plan(seconds):
            time.sleep(max(0.0, begun + at - time.monotonic()))
            state = self._next(self.states[post_id])
            value = {"id": post_id, "network": "x", "event": state.event, "revision": state.revision}
            value |= {"text": state.text, "engagement": {"likes": state.likes}}
            producer.send(wire.POSTS, key=post_id.encode(), value=json.dumps(value).encode())
        producer.flush(timeout=120)
        producer.close()

    def tickets(self) -> dict[tuple[str, str], str]:
        """The post of each ticket that there may be, by destination and key."""
        return {(name, wire.ticket_key(post_id, name)): post_id for post_id in self.states for name in DESTINATIONS}

    def _plan(self, seconds: float) -> list[tuple[float, str]]:
        plan = []
        for post_id in self.states:
            at = self._dice.uniform(0, seconds * 0.8)
            for _ in range(self._dice.choice((1, 1, 2, 3, 4, 6, 9))):
                plan.append((at, post_id))
                at += self._dice.choice(PAUSES_S) * self._dice.uniform(0.5, 1.5)
        return sorted(one for one in plan if one[0] < seconds)

    def _next(self, known: list[State]) -> State:
        """What becomes of a post now: mostly a new revision, sometimes one that was published before."""
        dice = self._dice
        if known and dice.random() < 0.06:
            return dice.choice(known)
        last = known[-1] if known else State(-1, "delete", "", 0, 0.0)
        if last.is_gone:
            event = dice.choices(("create", "edit", "delete"), (8, 2, 1 if known else 0))[0]
        else:
            event = dice.choices(("edit", "delete", "create"), (6, 2, 1))[0]
        text = dice.choice(self._texts)
        if event == "delete":
            text = ""
        elif event == "edit" and not last.is_gone and dice.random() < 0.35:
            text = dice.choice((last.text, last.text, " "))  # it was only liked, or nothing of it is left
        before = (
            0 if event == "edit" and not known else last.revision
        )  # an edit of revision 0 is one without a revision
        state = State(before + dice.choice((1, 1, 5)), event, text, dice.choice((0, 3, 60)), time.time())
        known.append(state)
        return state


@dataclass
class Found:
    """What is wrong, by kind, and how the tickets ended, by destination and end."""

    open: list[str] = field(default_factory=list)
    """Not at its end yet, which may come: posts without triage, tickets that the log leaves open or dead."""
    wrong: list[str] = field(default_factory=list)
    """The receiver has a ticket that it should not have, lacks one, or has an older text."""
    backwards: list[str] = field(default_factory=list)
    """The receiver took an older state after a newer one."""
    second: list[str] = field(default_factory=list)
    """It took a create under another id for a ticket that it had."""
    letters: list[str] = field(default_factory=list)
    """Dead letters for a reason that nobody gave."""
    ends: Counter[str] = field(default_factory=Counter)

    @property
    def is_under_way(self) -> bool:
        """Time may still bring what is missing."""
        return bool(self.open or self.wrong)

    @property
    def faults(self) -> dict[str, list[str]]:
        """The lists that are not empty, cut short."""
        named = {name: getattr(self, name) for name in ("open", "wrong", "backwards", "second", "letters")}
        return {name: found[:5] for name, found in named.items() if found}


def judge(
    lives: Lives, seen: Evidence, receipts: Sequence[Mapping[str, Any]], routes: Sequence[tuple[float, Routes]]
) -> Found:
    """What became of each post's tickets against what its last state asks for, by its first triage.

    ``routes`` are all that were in force, from which time on: a post may have met any that were not over when it came.
    """
    found = Found()
    took: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for receipt in receipts:
        took[receipt["queue"], receipt["key"]].append(receipt)
    for (name, key), post_id in lives.tickets().items():
        last = lives.states[post_id][-1]
        where = f"{post_id} at {name}, last {last.event} {last.revision}: {_told(took[name, key])}"
        intent = _intent(seen, post_id, last.revision)
        steps = seen.deliveries.get((name, key))
        if intent is None or (steps and steps[-1].state != "done"):
            found.open.append(where)
            continue
        holds = _follow(found, where, took[name, key])
        may = _may_have(name, last, intent, routes)
        found.ends[f"{name} {'none' if holds is None else 'withdrawn' if holds < 0 else 'there'}"] += 1
        is_there = holds is not None and holds >= 0
        if is_there not in may or (is_there and holds != last.revision):
            found.wrong.append(f"{where}; {intent}")
    found.letters = [f"{letter.place}: {letter.reason}" for letter in seen.letters if letter.reason not in REFUSALS]
    return found


def _intent(seen: Evidence, post_id: str, revision: int) -> str | None:
    """The intent in the first triage of this revision, which counts; None while there is no triage."""
    for triage in seen.triages.get(post_id, []):
        if triage["post"].get("revision", 0) == revision:
            return str(triage.get("intent"))
    return None


def _may_have(name: str, last: State, intent: str, routes: Sequence[tuple[float, Routes]]) -> set[bool]:
    if last.is_gone:
        return {False}
    over = [began for began, _ in routes[1:]] + [float("inf")]
    return {name in known[intent] for (_, known), ended in zip(routes, over, strict=True) if ended + LATE_S > last.at}


def _follow(found: Found, where: str, took: Sequence[Mapping[str, Any]]) -> int | None:
    """The revision that the receiver holds in the end, -1 if it was withdrawn, None if there never was one."""
    holds: int | None = None
    newest = (-1, 0)
    for receipt in took:
        version = receipt["revision"], _generation(receipt["id"])
        if version < newest:
            found.backwards.append(where)
        if receipt["op"] == "create" and holds is not None and holds >= 0:
            found.second.append(where)
        newest = max(newest, version)
        holds = -1 if receipt["op"] == "withdraw" else version[0]
    return holds


def _generation(webhook_id: str) -> int:
    parts = webhook_id.split("-")
    return int(parts[2]) if len(parts) > 2 else 0


def _told(took: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{receipt['op']} {receipt['id'].partition('-')[2]}" for receipt in took) or "nothing taken"

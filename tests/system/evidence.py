"""What the topics say, read from their beginning and folded by id; nothing that plaint counted itself is believed."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from tests.system import wire


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter."""

    reason: str
    stage: str
    place: str
    detail: str
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """One record of a ticket in a delivery log. ``at`` is Kafka's timestamp in seconds since the epoch."""

    state: str
    revision: int
    partition: int
    offset: int
    at: float
    ticket: bool


@dataclass(slots=True)
class Evidence:
    """Everything found so far. Deliveries are by (destination, ticket key), owners by (destination, partition)."""

    posts: Counter[str] = field(default_factory=Counter)
    triages: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    tickets: Counter[tuple[str, str]] = field(default_factory=Counter)
    letters: list[Letter] = field(default_factory=list)
    deliveries: dict[tuple[str, str], list[Step]] = field(default_factory=lambda: defaultdict(list))
    owners: dict[tuple[str, int], list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    unreadable: list[str] = field(default_factory=list)
    """Places of records on plaint's own output topics that are not JSON."""

    def intents(self, post_id: str) -> list[str]:
        """The intents written for a post, in their order; the first one counts."""
        return [str(triage.get("intent")) for triage in self.triages.get(post_id, [])]

    def settled(self, destination: str, key: str) -> str | None:
        """The state in which the log leaves a ticket, if that is a final one."""
        steps = self.deliveries.get((destination, key))
        return steps[-1].state if steps and steps[-1].state in wire.FINAL else None

    def reopened(self) -> list[tuple[str, str]]:
        """Tickets that the log leaves open although the same revision was settled before."""
        return [
            found
            for found, steps in self.deliveries.items()
            if steps[-1].state not in wire.FINAL
            and any(s.state in wire.FINAL and s.revision >= steps[-1].revision for s in steps)
        ]

    def owners_between(self, destination: str, partition: int, since: float, until: float) -> set[str]:
        """Who owned a partition of a destination in that time, by the owner records in the log."""
        came = self.owners.get((destination, partition), [])
        before = [worker for at, worker in came if at <= since]
        return {*before[-1:], *(worker for at, worker in came if since < at <= until)}


class Reader:
    """Reads on where it stopped. End offsets are not asked for: the embedded broker tells wrong ones."""

    def __init__(self, bootstrap: str, destinations: Sequence[str]) -> None:
        self.evidence = Evidence()
        self._destinations = {wire.deliveries(name): name for name in destinations}
        self._tickets = {wire.tickets(name): name for name in destinations}
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            fetch_max_wait_ms=500,
            check_crcs=False,
        )
        self._consumer.assign(self._partitions(60))
        self._consumer.seek_to_beginning()

    def read(self, for_s: float = 2.0) -> Evidence:
        """Fold what is there until nothing more comes, at most for a time."""
        deadline = time.monotonic() + for_s
        while time.monotonic() < deadline:
            polled = self._consumer.poll(timeout_ms=600, max_records=10_000)
            for tp, records in polled.items():
                for record in records:
                    self._fold(tp.topic, record)
            if not polled:
                break
        return self.evidence

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def _partitions(self, timeout_s: float) -> list[TopicPartition]:
        """All partitions of all topics, waited for: the first of plaint's processes makes them."""
        topics = {wire.POSTS, wire.TRIAGED, wire.DEAD_LETTERS, *self._destinations, *self._tickets}
        deadline = time.monotonic() + timeout_s
        while missing := topics - self._consumer.topics():
            assert time.monotonic() < deadline, f"no {missing}"
            time.sleep(0.2)
        return [TopicPartition(topic, p) for topic in topics for p in self._consumer.partitions_for_topic(topic) or ()]

    def _fold(self, topic: str, record: Any) -> None:
        seen, key = self.evidence, record.key or b""
        if topic == wire.POSTS:
            seen.posts[key.decode("utf-8", "replace")] += 1
        elif topic == wire.DEAD_LETTERS:
            head = {name.removeprefix("plaint-"): value.decode() for name, value in record.headers}
            if "reason" not in head:  # the mark of one that was sent again
                return
            text = (head["reason"], head["stage"], head["place"], head["detail"])
            seen.letters.append(Letter(*text, key, record.value or b""))
        elif topic == wire.TRIAGED:
            triage = self._parsed(record)
            if triage is not None:
                seen.triages[str(triage["post"]["id"])].append(triage)
        elif topic in self._tickets:
            seen.tickets[self._tickets[topic], key.decode("utf-8", "replace")] += 1
        else:
            self._fold_delivery(self._destinations[topic], record)

    def _fold_delivery(self, destination: str, record: Any) -> None:
        entry, at = self._parsed(record), record.timestamp / 1000
        if entry is None:
            return
        if record.key == wire.OWNER_KEY:
            self.evidence.owners[destination, record.partition].append((at, entry["worker"]))
            return
        step = Step(entry["state"], entry["revision"], record.partition, record.offset, at, "ticket" in entry)
        self.evidence.deliveries[destination, record.key.decode()].append(step)

    def _parsed(self, record: Any) -> dict[str, Any] | None:
        try:
            found = json.loads(record.value or b"")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self.evidence.unreadable.append(f"{record.topic}[{record.partition}]@{record.offset}")
            return None
        return found

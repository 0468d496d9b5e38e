"""Follows plaint's topics until every post of a run has come to its end, and sums the run up."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import aiohttp
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from pydantic import BaseModel, ValidationError

from plaint.inbox.store import Outcome
from plaint.kafka.admin import BrokerAway, open_admin
from plaint.kafka.consumer import new_consumer
from plaint.kafka.groups import committed_offsets
from plaint.kafka.settings import KafkaSettings
from plaint.local.census import Census
from schemas import topics
from schemas.deadletter import DeadLetter

log = logging.getLogger(__name__)

ADMIN_S = 5.0


LOOK_S = 2.0
"""How often to look what is missing while records come: what comes by the door may never leave a pause."""


class Summary(BaseModel):
    """What became of a run. ``lost`` has no outcome anywhere; ``duplicates`` are second tickets at the receiver."""

    read: int
    posts: int
    repeated: int
    triaged: int
    intents: dict[str, int]
    tickets: dict[str, int]
    requests: dict[str, int]
    dropped: dict[str, int]
    dead: dict[str, int]
    lost: int
    duplicates: int
    seconds: float

    def text(self) -> str:
        """The same for a person."""
        lines = [
            f"{self.read} posts read, {self.repeated} of them repeated, {self.triaged} triaged: {_counts(self.intents)}",
            f"tickets: {_counts(self.tickets)}; requests: {_counts(self.requests)}",
            f"dropped: {_counts(self.dropped)}; dead letters: {_counts(self.dead)}",
            f"lost: {self.lost}; second tickets: {self.duplicates}; {self.seconds:.1f} s",
        ]
        return "\n".join(lines)


class Follower:
    """Reads all topics of these destinations into a census, from where they ended when ``begin`` was called.

    The delivery logs are read whole: what they say of a ticket may be older than this run. So may the first triage of a
    post: the last ``remember`` records of each partition are read too, as the router does. The embedded broker holds
    nothing older and tells wrong end offsets, so it is read whole (``fresh``).
    """

    def __init__(
        self, kafka: KafkaSettings, census: Census, destinations: list[str], fresh: bool, remember: int
    ) -> None:
        self._census = census
        self._fresh = fresh
        self._destinations = {topics.tickets(name): name for name in destinations}
        self._logs = {topics.deliveries(name): name for name in destinations}
        self._earlier: dict[TopicPartition, int] = {}
        self._remember = remember
        self._kafka = kafka
        self._consumer: AIOKafkaConsumer
        self._again = False

    def triages_again(self) -> None:
        """Read the triages of this run once more: the census has forgotten them."""
        self._again = True

    async def begin(self) -> None:
        """Connect and note where the topics end, which must exist with as many partitions as the settings say."""
        self._consumer = new_consumer(self._kafka)
        await self._consumer.start()
        names = [topics.POSTS, topics.TRIAGED, topics.DEAD_LETTERS, *self._destinations, *self._logs]
        found = [TopicPartition(name, number) for name in names for number in range(self._kafka.partitions)]
        self._consumer.assign(found)
        await self._consumer.seek_to_beginning(*found)
        if not self._fresh:
            self._earlier = await self._consumer.end_offsets(found)
            for tp, offset in self._earlier.items():
                if tp.topic == topics.TRIAGED:
                    self._consumer.seek(tp, max(0, offset - self._remember))
                elif tp.topic not in self._logs:
                    self._consumer.seek(tp, offset)

    async def read(self) -> int:
        """Fold what is there now; the number of records."""
        if self._again:
            self._again = False
            await self._rewind()
        if self._census.undecided():
            self._census.routed = await asyncio.to_thread(self._acknowledged)
        count = 0
        for tp, records in (await self._consumer.getmany(timeout_ms=500, max_records=5000)).items():
            for record in records:
                self._fold(tp, record)
                count += 1
            await asyncio.sleep(0)
        return count

    async def end(self) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def _rewind(self) -> None:
        found = [tp for tp in self._consumer.assignment() if tp.topic == topics.TRIAGED]
        await self._consumer.seek_to_beginning(*found)
        for tp in found if not self._fresh else ():
            self._consumer.seek(tp, max(0, self._earlier[tp] - self._remember))

    def _acknowledged(self) -> dict[int, int]:
        """The offset before which the router has acknowledged all, by partition; nothing while the broker is away."""
        with suppress(BrokerAway, KafkaError), open_admin(self._kafka, ADMIN_S) as admin:
            return committed_offsets(admin, topics.group("route")).get(topics.TRIAGED, {})
        return {}

    def _fold(self, tp: TopicPartition, record: Any) -> None:
        topic = tp.topic
        place = topic, record.partition, record.offset
        is_earlier = record.offset < self._earlier.get(tp, 0)
        if topic == topics.POSTS:
            if any(name == topics.OFFERED_HEADER for name, _ in record.headers):
                self._census.add_offer(record.value)
            else:
                self._census.add_post(place, record.value, record.timestamp / 1000)
        elif topic == topics.TRIAGED:
            self._census.add_triage(place, record.value, is_earlier)
        elif topic == topics.DEAD_LETTERS:
            with suppress(ValidationError):  # somebody else's
                self._census.add_dead_letter(DeadLetter.from_kafka(record.key, record.value, record.headers))
        elif topic in self._destinations:
            self._census.add_ticket(self._destinations[topic], place, record.value)
        else:
            self._census.add_delivery(self._logs[topic], record.key, record.value, is_earlier)


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(found.items())) or "none"


async def settle(
    follower: Follower, census: Census, patience_s: float, now: Callable[[], float] = time.monotonic
) -> list[str]:
    """Follow until nothing is missing, or until no more comes to its end for ``patience_s``. What is still missing.

    A destination that is down makes records (one probe a second) but no progress.
    """
    left, moved, looked = -1, now(), now()
    while True:
        if await follower.read() and now() - looked < LOOK_S:
            continue
        looked = now()
        missing = census.missing()
        if not missing:
            return []
        if len(missing) != left:
            left, moved = len(missing), now()
        elif now() - moved >= patience_s:
            return missing


async def receipts(inbox: str, patience_s: float) -> list[dict[str, Any]]:
    """Every webhook id that the inbox at this address took. It may just be restarting.

    Raises aiohttp.ClientError if it does not answer for ``patience_s``.
    """
    deadline = time.monotonic() + patience_s
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        while True:
            try:
                async with session.get(f"{inbox}/api/receipts") as answer:
                    return [orjson.loads(line) for line in (await answer.read()).splitlines()]
            except aiohttp.ClientError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.5)


def sum_up(
    census: Census,
    missing: list[str],
    taken: Mapping[str, list[dict[str, Any]]] | None,
    seconds: float,
) -> Summary:
    """``taken`` are the receiver's receipts a destination, where it can be asked."""
    others = {name: census.others(name) for name in census.tickets}
    counted = {name: len((known.created & known.held) - others[name]) for name, known in census.tickets.items()}
    requests = {
        name: sum(count for key, count in known.requests.items() if key not in others[name])
        for name, known in census.tickets.items()
    }
    duplicates, absent = 0, 0
    if taken is not None:
        taken = {name: [r for r in found if r["key"] not in others[name]] for name, found in taken.items()}
        creates = {name: {r["key"] for r in found if r["op"] == "create"} for name, found in taken.items()}
        requests = {name: sum(r["requests"] for r in found) for name, found in taken.items()}
        duplicates = sum(r["outcome"] == Outcome.SECOND for found in taken.values() for r in found)
        arrived = {name: {(r["key"], r["revision"]) for r in found} for name, found in taken.items()}
        absent = sum(
            key not in others[name] and (key, revision) not in arrived[name]
            for name in taken
            for key, revision in census.tickets[name].taken
        )
        counted = {name: len(found) for name, found in creates.items()}
    return Summary(
        read=census.read,
        posts=len(census.posts),
        repeated=census.repeated,
        triaged=sum(not census.is_other(id_) for id_ in census.triaged),
        intents=dict(Counter(intent for id_, intent in census.intents.items() if not census.is_other(id_))),
        tickets=counted,
        requests=requests,
        dropped=dict(census.drops),
        dead=dict(census.dead),
        lost=len(missing) + absent,
        duplicates=duplicates,
        seconds=round(seconds, 3),
    )

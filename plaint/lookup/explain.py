"""Why a post has a ticket, or none: everything that the topics hold of it, put in order."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import orjson
from kafka.errors import KafkaError

from plaint.kafka.admin import BrokerAway, open_admin
from plaint.kafka.groups import group_states
from plaint.kafka.reading import Progress, Stored, TopicReader, Where, partition_of
from plaint.kafka.settings import KafkaSettings
from plaint.lookup.explanation import Drop, Explanation, Routing, TicketLife
from plaint.lookup.holds import NO_CLUES, Clues, look_for_holds
from plaint.lookup.letters import LetterBook
from plaint.lookup.lives import LifeBook
from plaint.lookup.verdicts import labels_of, posts_of, routing_of, triage_in
from plaint.lookup.words import checks, summary, unknowns
from route.rules import RouteTable
from schemas import topics
from schemas.deadletter import DeadLetter
from schemas.reasons import DropReason
from schemas.ticket import ticket_key

MIN_TELLING_ID = 6
"""An id that is shorter stands in many a record by chance."""
ADMIN_S = 5.0
"""What it takes at most to ask how far route has come."""


async def explain(
    kafka: KafkaSettings,
    destinations: Iterable[str],
    table: RouteTable | None,
    post_id: str,
    *,
    removed: Collection[str] = (),
    everywhere: bool = False,
    progress: Progress | None = None,
    clues: Clues = NO_CLUES,
) -> Explanation:
    """What is known of the post with this id. ``table`` None: the routes can't be read, and say nothing.

    ``removed`` destinations have topics and stand in no settings any more: a ticket that was made for one is told too.

    Reads the partitions on which plaint puts what belongs to the post, all of plaint.deadletters, and, if nothing is found
    there or ``everywhere`` is set, the other partitions of posts and triages too: a foreign producer may choose them
    otherwise. What holds tickets back is told by the logs and the ``clues``. Raises as TopicReader does.
    """
    # Before the tickets are read: what route has settled by now has its tickets there.
    routed = await asyncio.to_thread(_routed, kafka)
    holds = await look_for_holds(clues)
    found = _Found(post_id, tuple(destinations), removed)
    async with TopicReader(kafka) as reader:
        there = await reader.partitions(found.topics)
        near = found.near(there)
        async for record in reader.scan(near, progress=progress):
            found.add(record)
        if everywhere or not (found.posts or found.triages):
            async for record in reader.scan(_rest(there, near), progress=progress):
                found.add(record)
        lives = await found.lives.held_lives(reader, holds)
    lives = tuple(life for life in lives if life.destination not in removed or life.asked or life.steps)
    facts = found.facts(table, lives, routed)
    missing = [name for name in found.topics if name not in there and topics.destination_of(name) not in removed]
    told = {"summary": summary(facts), "unknown": unknowns(facts, missing, table is None), "check": checks(facts)}
    return facts.model_copy(update=told)


def _routed(kafka: KafkaSettings) -> Mapping[int, int] | None:
    """Before which offset route has acknowledged every triage, by partition; None where that can't be looked at."""
    name = topics.group("route")
    with suppress(BrokerAway, KafkaError), open_admin(kafka, ADMIN_S) as admin:
        state = group_states(admin, [name])[name]
        return None if state.refused or state.trouble else state.committed.get(topics.TRIAGED, {})
    return None


def _rest(there: Where, near: Where) -> dict[str, list[int]]:
    """The partitions of posts and triages that were not read yet."""
    read = {name: set(near.get(name, ())) for name in (topics.POSTS, topics.TRIAGED)}
    return {name: [number for number in there.get(name, ()) if number not in read[name]] for name in read}


class _Found:
    """The records that concern one post."""

    def __init__(self, post_id: str, destinations: tuple[str, ...], removed: Collection[str]) -> None:
        self.post_id = post_id
        self._removed = removed
        self.posts: list[Stored] = []
        self.triages: list[Stored] = []
        self._key = post_id.encode("utf-8", "replace")
        self.lives = LifeBook({name: ticket_key(self._key.decode(), name) for name in (*destinations, *removed)})
        self._letters = LetterBook(self._concerned)
        self._letter_keys = {self._key[:1024], *(key.encode() for key in self.lives.keys.values())}

    @property
    def topics(self) -> list[str]:
        """All that may hold something of it."""
        return [topics.POSTS, topics.TRIAGED, *self.lives.topics, topics.DEAD_LETTERS]

    def near(self, there: Where) -> dict[str, list[int]]:
        """Where plaint itself puts what belongs to this post; dead letters may lie on any partition."""
        found = self.lives.where(there)
        for name in (topics.POSTS, topics.TRIAGED):
            if name in there:
                found[name] = [partition_of(self._key, len(there[name]))]
        found[topics.DEAD_LETTERS] = list(there.get(topics.DEAD_LETTERS, ()))
        return found

    def add(self, record: Stored) -> None:
        """Take in a record of any of these topics."""
        if record.topic == topics.POSTS:
            if record.key == self._key or (not record.key and _id_in(record.value) == self.post_id):
                self.posts.append(record)
        elif record.topic == topics.TRIAGED:
            if record.key == self._key:
                self.triages.append(record)
        elif record.topic == topics.DEAD_LETTERS:
            held = self._letters.add(record)
            if held is not None:
                held.certain = held.letter.key != b"" or _id_in(record.value) is not None
        else:
            self.lives.add(record)

    def _concerned(self, letter: DeadLetter, record: Stored) -> bool:
        if letter.key:
            return letter.key in self._letter_keys
        said = _id_in(letter.value)
        if said is not None:
            return said == self.post_id
        return len(self.post_id) >= MIN_TELLING_ID and self._key in letter.value

    def facts(
        self, table: RouteTable | None, lives: Sequence[TicketLife], routed: Mapping[int, int] | None
    ) -> Explanation:
        """All of it, not yet in sentences; ``lives`` are its tickets, ``routed`` is how far route has come."""
        triages = [(record, triage) for record in self.triages if (triage := triage_in(record)) is not None]
        letters = sorted(self._letters.letters.values(), key=lambda held: held.letter.at)
        labels, label_drops = labels_of(triages)
        posts, post_drops = posts_of(self.posts, {label.revision for label in labels}, letters)
        routing, route_drops = routing_of(triages, labels, table, routed)
        lives = [life if life.state != "none" or _is_routed(life, routing) else _unheld(life) for life in lives]
        return Explanation(
            post_id=self.post_id,
            at=datetime.now(UTC),
            found=bool(posts or labels or letters or any(life.state != "none" for life in lives)),
            summary="",
            posts=tuple(posts),
            labels=tuple(labels),
            routing=routing,
            tickets=tuple(lives),
            removed=tuple(life.destination for life in lives if life.destination in self._removed),
            dead_letters=tuple(held.shape() for held in letters),
            drops=(*post_drops, *label_drops, *route_drops, *_withdrawn(lives)),
        )


def _is_routed(life: TicketLife, routing: Routing | None) -> bool:
    return routing is not None and life.destination in routing.destinations


def _unheld(life: TicketLife) -> TicketLife:
    return life.model_copy(update={"hold": None})


def _withdrawn(lives: Iterable[TicketLife]) -> Iterator[Drop]:
    """Withdraws of what never was: route asks all destinations, since only delivery knows where a ticket went."""
    for life in lives:
        if life.state == "none" and life.asked:
            why = f"{life.destination} never had a ticket of it"
            yield Drop(reason=DropReason.NOTHING_TO_WITHDRAW, place=life.asked[-1].place, why=why)


def _id_in(value: bytes | None) -> str | None:
    """The id of the post in a record of any topic, if it is JSON that names one."""
    try:
        fields = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict):
        return None
    post = fields.get("post")
    found = fields.get("post_id", post.get("id") if isinstance(post, dict) else fields.get("id"))
    return str(found) if isinstance(found, str | int) else None

"""Erasing what plaint holds of a post or of an author, and saying what stays for how long.

A delete event goes the way of every post: it has no text and the same key, so compaction takes the text out of
plaint.posts and plaint.triaged, tickets are withdrawn at their destinations, and open ones end in the delivery logs without
their text. Topics that are not compacted hold it until it ages out.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict

from ingest.stamp import milliseconds
from plaint.kafka.publisher import OutRecord, Publisher
from plaint.kafka.reading import Progress, Stored, TopicReader, partition_of
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topic_states import TopicState
from plaint.send import Target, send_all
from schemas import topics
from schemas.post import Post

Kind = Literal["post", "author"]
Json = dict[str, Any]

SOURCE = "forget"
OUTSIDE = (
    "what a destination has: it gets ticket.withdrawn, whether it deletes its copy is its own affair",
    "the sources: they may deliver the post again; a revision that is not newer stays without effect",
    "backups, mirrors of the topics, and logs of whoever reads them",
)
NOBODY = (
    "its destination is not in the settings, so that nobody withdraws a ticket that is open there: put the destination back "
    "and run this again, or delete the topic"
)
EMBEDDED = "until that `plaint up` ends: the embedded broker keeps everything in memory and compacts nothing"


class HeldPost(BaseModel):
    """A post of which something is held. ``revision`` is the highest found, ``partitions`` where it lies in plaint.posts."""

    model_config = ConfigDict(frozen=True)

    id: str
    revision: int
    partitions: tuple[int, ...]


class Held(BaseModel):
    """What is held of somebody or something. ``records`` are those with text or author, by topic."""

    model_config = ConfigDict(frozen=True)

    who: str
    kind: Kind
    posts: tuple[HeldPost, ...]
    records: dict[str, int]


class Remains(BaseModel):
    """What stays in a topic after the delete. ``at_most_s``: None where nothing bounds it but new records."""

    model_config = ConfigDict(frozen=True)

    topic: str
    records: int
    until: str
    at_most_s: float | None


class Forgotten(BaseModel):
    """What was done. ``published`` is false in a dry run; ``outside`` is what plaint can't reach.

    ``deletes`` were taken; ``refused`` is why others were not.
    """

    model_config = ConfigDict(frozen=True)

    held: Held
    published: bool
    deletes: int = 0
    refused: tuple[str, ...] = ()
    remains: tuple[Remains, ...]
    outside: tuple[str, ...] = OUTSIDE


# -- finding -----------------------------------------------------------------------------------------------------------


@dataclass
class _Trace:
    """What was found of one post."""

    revision: int = 0
    partitions: set[int] = field(default_factory=set)
    topics: Counter[str] = field(default_factory=Counter)
    by_author: bool = False


async def find(
    kafka: KafkaSettings,
    destinations: Sequence[str],
    who: str,
    kind: Kind | None = None,
    progress: Progress | None = None,
) -> Held | None:
    """Everything that is held of ``who``: a post's id, an author's id, ``network:handle``, or the handle alone for posts
    that carry no network.

    Without ``kind`` a post of that id is looked for first. None if nothing is held; of a post that is named as one there is
    always something to delete, since a destination may have its ticket after the topics have forgotten it. Raises
    Unavailable or ReadRefused.
    """
    traces: dict[str, _Trace] = {}
    async with TopicReader(kafka) as reader:
        every = [topic.name for topic in topics.all_topics(destinations)]
        where = await reader.partitions(name for name in every if name != topics.DEAD_LETTERS)
        async for record in reader.scan(where, progress=progress):
            _take(traces, record, who)
        found_kind = kind or ("post" if who in traces else "author")
        chosen = _chosen(traces, who, found_kind)
        if found_kind == "post" and kind == "post":
            chosen.setdefault(who, _Trace())
        letters = await reader.partitions([topics.DEAD_LETTERS])
        dead = [r async for r in reader.scan(letters) if _speaks_of(r, who, chosen, found_kind)]
    counts = sum((trace.topics for trace in chosen.values()), Counter({topics.DEAD_LETTERS: len(dead)}))
    if not chosen and not dead:
        return None
    posts = tuple(
        HeldPost(id=id_, revision=trace.revision, partitions=tuple(sorted(trace.partitions)))
        for id_, trace in chosen.items()
    )
    return Held(who=who, kind=found_kind, posts=posts, records={name: counts[name] for name in every if counts[name]})


def _chosen(traces: dict[str, _Trace], who: str, kind: Kind) -> dict[str, _Trace]:
    if kind == "post":
        return {who: traces[who]} if who in traces else {}
    return {id_: trace for id_, trace in traces.items() if trace.by_author}


def _take(traces: dict[str, _Trace], record: Stored, who: str) -> None:
    """Note a record of the post, or of a post of the author; others leave no trace."""
    about = _about(record)
    if about is None:
        return
    id_, post, has_text = about
    by_author = is_by(post, who)
    if id_ != who and not by_author and id_ not in traces:
        return
    trace = traces.setdefault(id_, _Trace())
    trace.by_author |= by_author
    revision = post.get("revision")
    trace.revision = max(trace.revision, revision if isinstance(revision, int) else 0)
    if record.topic == topics.POSTS:
        trace.partitions.add(record.partition)
    trace.topics[record.topic] += has_text


def _about(record: Stored) -> tuple[str, Json, bool] | None:
    """Id of the post that a record is about, the post's or ticket's fields, and whether it holds text or author."""
    fields = _object(record.value)
    if record.topic == topics.TRIAGED:
        fields = _inner(fields, "post")
    elif record.topic.startswith(topics.deliveries("")):
        fields = _inner(fields, "ticket")
    id_ = fields.get("post_id" if record.topic not in (topics.POSTS, topics.TRIAGED) else "id")
    if not isinstance(id_, str):
        return None
    return id_, fields, bool(fields.get("text")) or any((_inner(fields, "author")).get(key) for key in ("id", "handle"))


def _object(value: bytes | None) -> Json:
    try:
        found = orjson.loads(value or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _inner(fields: Json, name: str) -> Json:
    found = fields.get(name)
    return found if isinstance(found, dict) else {}


def is_by(post: Json, who: str) -> bool:
    """Whether ``who`` is its author: by id, ``network:id`` or ``network:handle``, the handle with or without its @.

    Of a post without a network by the handle alone. A post that names no author is nobody's.
    """
    author = _inner(post, "author")
    network = str(post.get("network") or "").casefold()
    before = f"{network}:" if network else ""
    said = who.casefold()
    if who and author.get("id") == who:
        return True
    if not said.startswith(before):
        return False
    names = {str(author[key]).casefold().lstrip("@") for key in ("id", "handle") if author.get(key)}
    return said.removeprefix(before).lstrip("@") in names


def _speaks_of(record: Stored, who: str, posts: Iterable[str], kind: Kind) -> bool:
    """Whether a dead letter holds one of these posts or the author; its bytes may be anything."""
    value = record.value or b""
    fields = _object(value)
    inner = _inner(fields, "post") or fields
    if kind == "author" and is_by(inner, who):
        return True
    names = [*posts, *([who.partition(":")[2] or who] if kind == "author" else [who])]
    if inner.get("id") in names or inner.get("post_id") in names:
        return True
    return not fields and any(_stands_in(name, value) or _stands_in(name, record.key or b"") for name in names)


def _stands_in(name: str, value: bytes) -> bool:
    return re.search(rb"(?<!\w)" + re.escape(name.encode()) + rb"(?!\w)", value) is not None


# -- deleting ----------------------------------------------------------------------------------------------------------


def deletes(held: Held, now: datetime | None = None) -> list[Json]:
    """A delete event for each post, newer than all that is known of it."""
    revision = milliseconds(datetime.now(UTC) if now is None else now)
    return [
        {"id": post.id, "event": "delete", "revision": max(revision, post.revision + 1), "source": SOURCE}
        for post in held.posts
    ]


class Erased(NamedTuple):
    """How many deletes were taken, and why others were refused."""

    taken: int
    refused: tuple[str, ...]


async def erase(kafka: KafkaSettings, target: Target, held: Held) -> Erased:
    """Publish the deletes, and return once Kafka has them.

    ``target`` takes them as it takes every post. A post that lies on another partition than plaint's own producer puts it
    on (librdkafka's do) is deleted there as well, since compaction knows one partition only. Raises Unavailable or NotWritten.
    """
    taken: list[Json] = []
    refused: list[str] = []
    for events, why in send_all(target, deletes(held)):
        if why:
            refused.append(why)
        else:
            taken += events
    if strays := list(_strays(held, taken, kafka.partitions)):
        async with Publisher(kafka) as publisher:
            await publisher.publish(strays)
    return Erased(len(taken), tuple(refused))


def _strays(held: Held, events: Iterable[Json], partitions: int) -> Iterator[OutRecord]:
    places = {post.id: post.partitions for post in held.posts}
    for event in events:
        key = event["id"].encode()
        value = Post.model_validate({"v": 1, **event}).model_dump_json(exclude_unset=True).encode()
        for number in places[event["id"]]:
            if number != partition_of(key, partitions):
                yield OutRecord(topics.POSTS, number, key, value)


# -- what stays --------------------------------------------------------------------------------------------------------


def remains(
    held: Held, states: Iterable[TopicState], is_embedded: bool, removed: Collection[str] = ()
) -> tuple[Remains, ...]:
    """What stays in each topic, for how long at most by its real settings. ``removed`` destinations are in no settings."""
    return tuple(
        _remains(state, held.records[state.name], is_embedded, topics.destination_of(state.name) in removed)
        for state in states
        if state.name in held.records
    )


def _remains(state: TopicState, records: int, is_embedded: bool, is_removed: bool) -> Remains:
    if is_embedded:
        return Remains(topic=state.name, records=records, until=EMBEDDED, at_most_s=None)
    policy = state.config.get("cleanup.policy", "")
    aged = _seconds(state, "retention.ms") if "delete" in policy else None
    rolled = _seconds(state, "segment.ms") or 0.0
    at_most = None if aged is None else aged + rolled
    if is_removed:
        span = "until compaction, or for good if a ticket is open" if aged is None else "until it ages out"
        until = f"{span}; {NOBODY}"
    elif "compact" not in policy:
        until = "until it ages out" if aged is not None else "for ever: the topic has no retention"
    else:
        until = "until compaction"
        lag = _seconds(state, "max.compaction.lag.ms")
        if lag is not None:
            until += f", which comes {lag / 3600:g} h after the delete if the partition gets other records by then"
    return Remains(topic=state.name, records=records, until=until, at_most_s=at_most)


def _seconds(state: TopicState, key: str) -> float | None:
    """A setting in ms as seconds; None if there is none, or none in effect."""
    value = state.number(key)
    return None if value is None or value < 0 or value > 2**62 else value / 1000

"""``plaint dead replay``: the original record of a dead letter goes to the topic of the stage that refused it again."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from ingest.decode import post_from_json
from ingest.stamp import milliseconds, record_value, stamped
from plaint.again.plan import Done, Plan, publisher_for, send, ticket_again
from plaint.kafka.publisher import OutRecord
from plaint.kafka.reading import Progress, TopicReader, Where, partition_of
from plaint.kafka.settings import KafkaSettings
from plaint.lookup.letters import HeldLetter, LetterBook
from plaint.lookup.tickets import TicketBook, TicketRow
from route.delivery.entry import is_key
from schemas import topics
from schemas.deadletter import DeadLetter, Header
from schemas.post import Post
from schemas.record import MAX_RECORD_BYTES, RecordDropped, RecordInvalid
from schemas.ticket import Ticket, ticket_partition
from schemas.triage import Triage

MAX_KEY_BYTES = 1024
"""A dead letter keeps so much of its record's key."""
CHUNK, CHUNK_BYTES = 200, 8 << 20
SOURCE = "replay"
REPLAYED: list[Header] = [(topics.REPLAYED_HEADER, b"1")]
OFFERED: list[Header] = [*REPLAYED, (topics.OFFERED_HEADER, b"1")]
"""Of a post, which belongs to no source that is being read."""


@dataclass(frozen=True)
class Stand:
    """What a plan hangs on: the partitions of the topics that are there, and how the tickets concerned stand."""

    there: Where
    tickets: Mapping[str, TicketRow]
    force: bool


def plan_replay(held: HeldLetter, stand: Stand) -> Plan:
    """What to do with a dead letter, whose value must be whole in memory. Pure."""
    letter = held.letter
    why = _not_whole(letter) or _before(held, stand.force)
    if why:
        return Plan(held.id, None, why, held)
    found = topics.PLACE.fullmatch(letter.place)
    if found is None:
        return _line(held, stand)
    topic, number = found[1], int(found[2])
    if topic.startswith(topics.deliveries("")):
        return _ticket(held, stand)
    return _record(held, topic, number, stand)


def _not_whole(letter: DeadLetter) -> str:
    if letter.size > len(letter.value):
        return f"only {len(letter.value):,} of its {letter.size:,} bytes are kept: send the original from where it came"
    if not letter.value:
        return "the record had no value: there is nothing to send"
    if sha256(letter.value).hexdigest() != letter.sha256:
        return "its bytes are not those that were refused (their SHA-256 differs): somebody changed the dead letter"
    return ""


def _before(held: HeldLetter, force: bool) -> str:
    if not held.replays or force:
        return ""
    last = held.replays[-1]
    return f"it was sent again at {last.at:%Y-%m-%d %H:%M:%S}Z as {last.place}: --force sends it once more"


# -- a line that no source could make a post of ------------------------------------------------------------------


def _line(held: HeldLetter, stand: Stand) -> Plan:
    try:
        post = post_from_json(held.letter.value)
    except RecordInvalid as refusal:
        why = f"it is still no post ({refusal.detail}): mend the line and send it, plaint send --file"
        return Plan(held.id, None, why, held)
    numbers = stand.there.get(topics.POSTS, ())
    if not numbers:
        return Plan(held.id, None, _absent(topics.POSTS), held)
    key, value = post.id.encode(), record_value(stamped(post, SOURCE, datetime.now(UTC)))
    if len(value) > MAX_RECORD_BYTES:
        return Plan(held.id, None, f"the post is a record of {len(value):,} bytes, over {MAX_RECORD_BYTES:,}", held)
    return Plan(held.id, OutRecord(topics.POSTS, partition_of(key, len(numbers)), key, value, OFFERED), "", held)


# -- a record of a topic -----------------------------------------------------------------------------------------


def _record(held: HeldLetter, topic: str, number: int, stand: Stand) -> Plan:
    if number not in stand.there.get(topic, ()):
        return Plan(held.id, None, _absent(topic), held)
    identity, refusal = _read(topic, held.letter.value)
    if refusal and not stand.force:
        why = f"{held.letter.stage} would refuse it again ({refusal}): mend its producer, or --force sends it all the same"
        return Plan(held.id, None, why, held)
    key: bytes | None = held.letter.key or None
    if key is not None and len(key) >= MAX_KEY_BYTES:  # it may have been longer
        if identity is None or not identity.startswith(key):
            return Plan(held.id, None, "its key was too long to be kept whole", held)
        key = identity
    if topic != topics.POSTS:
        return Plan(held.id, OutRecord(topic, number, key, held.letter.value, REPLAYED), "", held)
    # With its own time, which is the revision of an edit or delete that has none: what came after it stays newer.
    written_at = held.letter.written_at
    timestamp = None if written_at is None else milliseconds(written_at)
    return Plan(held.id, OutRecord(topic, number, key, held.letter.value, OFFERED, timestamp), "", held)


def _read(topic: str, value: bytes) -> tuple[bytes | None, str]:
    """The key that the record should have, and why this version would refuse it, if it would."""
    try:
        if topic == topics.POSTS:
            return Post.from_bytes(value).id.encode(), ""
        if topic == topics.TRIAGED:
            return Triage.from_bytes(value).post.id.encode(), ""
        return Ticket.from_bytes(value).key.encode(), ""
    except RecordInvalid as refusal:
        return None, refusal.detail
    except RecordDropped as drop:
        return None, drop.reason


# -- a ticket that will not be delivered -------------------------------------------------------------------------


def _ticket(held: HeldLetter, stand: Stand) -> Plan:
    try:
        ticket = Ticket.from_bytes(held.letter.value)
    except (RecordInvalid, RecordDropped) as refusal:
        return Plan(held.id, None, f"it is no ticket: {refusal}", held)
    count = len(stand.there.get(topics.tickets(ticket.destination), ()))
    if not count:
        return Plan(held.id, None, _absent(topics.tickets(ticket.destination)), held)
    known = stand.tickets.get(ticket.key)
    plan = ticket_again(held.id, ticket, known, count, held)
    if plan.record is None or known is None or (known.state == "dead" and stand.force):
        return plan
    if known.state == "open":
        return Plan(held.id, None, f"it is open: plaint tickets retry {ticket.key} makes it due now", held)
    if known.revision == ticket.revision and not stand.force:
        why = "it ended as dead, so that deliver would drop it as repeated: --force sends it in a new generation"
        return Plan(held.id, None, why, held)
    return plan


def _absent(topic: str) -> str:
    return f"{topic} does not exist, has fewer partitions now, or this user may not see it"


# -- all of them -------------------------------------------------------------------------------------------------


async def stand_of(
    reader: TopicReader,
    letters: Sequence[HeldLetter],
    destinations: Collection[str],
    force: bool,
    progress: Progress | None,
) -> Stand:
    """How things stand for these letters: which topics are there, and what the logs say of the tickets among them."""
    names = [topics.POSTS, topics.TRIAGED, *map(topics.tickets, destinations), *map(topics.deliveries, destinations)]
    there = await reader.partitions(names)
    logs: dict[str, set[str]] = {}
    for held in letters:
        found, key = topics.PLACE.fullmatch(held.letter.place), held.letter.key
        if found and found[1].startswith(topics.deliveries("")) and is_key(key):
            logs.setdefault(found[1], set()).add(key.decode())
    where = {
        name: sorted({ticket_partition(key, len(there[name])) for key in keys})
        for name, keys in logs.items()
        if name in there
    }
    book = TicketBook(True, set().union(*logs.values()))
    async for record in reader.scan(where, progress=progress):
        book.feed(record)
    return Stand(there, {row.key: row for row in book.rows()}, force)


async def replay(
    kafka: KafkaSettings, reader: TopicReader, letters: Sequence[HeldLetter], stand: Stand, dry_run: bool
) -> AsyncGenerator[Done, None]:
    """Send these letters again, a few at a time; what was done with each. Raises as TopicReader and ``send`` do.

    Their bytes are read now: there may be more of them than memory.
    """
    async with nullcontext() if dry_run else publisher_for(kafka) as publisher:
        async for plans in _planned(reader, letters, stand):
            for done in await send(publisher, plans) if publisher else [plan.would() for plan in plans]:
                yield done


async def _planned(
    reader: TopicReader, letters: Sequence[HeldLetter], stand: Stand
) -> AsyncGenerator[list[Plan], None]:
    replays = {held.id: held.replays for held in letters}
    book = LetterBook(lambda _, record: f"{record.partition}@{record.offset}" in replays, keep_values=True)
    where = {topics.DEAD_LETTERS: sorted({held.record.partition for held in letters})}
    plans: list[Plan] = []
    size = 0
    async for record in reader.scan(where):
        held = book.add(record)
        if held is None:
            continue
        del book.letters[held.id]
        held.replays = replays[held.id]
        plans.append(plan_replay(held, stand))
        size += len(held.letter.value)
        if len(plans) >= CHUNK or size >= CHUNK_BYTES:
            yield plans
            plans, size = [], 0
    if plans:
        yield plans

"""Tickets by what the delivery logs say of them: all of them, or one."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict

from plaint.kafka.reading import Progress, Stored, TopicReader
from plaint.kafka.settings import KafkaSettings
from plaint.lookup.explanation import Hold, TicketLife
from plaint.lookup.holds import NO_CLUES, Clues, Holds, Waiting, look_for_holds, waiting_author
from plaint.lookup.lives import LifeBook, ticket_in
from plaint.lookup.logbook import LogBook
from plaint.switches import SwitchBook
from route.delivery.entry import Entry, is_key
from schemas import topics
from schemas.post import Moment
from schemas.ticket import Op, message_id, ticket_key, ticket_partition

State = Literal["open", "done", "dead"]
STATES: tuple[State, ...] = ("open", "done", "dead")


class TicketRow(BaseModel):
    """How one ticket stands. ``since`` is when the log first tells of its newest revision, ``at`` when it last does.

    ``attempt`` counts the requests begun. ``post_id`` is empty where no record is left that names the post: the log holds
    neither text nor post once a ticket is settled. ``hold`` is what it waits for, of one that is not done; of a dead one what
    it would wait for if it went again.
    """

    model_config = ConfigDict(frozen=True)

    destination: str
    key: str
    webhook_id: str
    state: State
    under_way: bool
    post_id: str
    op: Op
    revision: int
    generation: int
    attempt: int
    since: Moment
    at: Moment
    next_try: Moment | None
    status: int | None
    reason: str
    remote_id: str
    remote_url: str
    place: str
    hold: Hold | None = None

    @property
    def age(self) -> timedelta:
        """Since the log first told of it."""
        return datetime.now(UTC) - self.since


@dataclass(frozen=True)
class WantedTickets:
    """Which tickets; all that are set must hold. ``older_s`` and ``younger_s`` are seconds of age."""

    states: Collection[State] = ("open", "dead")
    older_s: float = 0.0
    younger_s: float = float("inf")
    reasons: Collection[str] = ()
    keys: Collection[str] = ()

    def takes(self, row: TicketRow) -> bool:
        """Whether it is one of them."""
        return (
            row.state in self.states
            and (not self.keys or row.key in self.keys)
            and (not self.reasons or row.reason in self.reasons)
            and self.older_s <= row.age.total_seconds() <= self.younger_s
        )


@dataclass(slots=True)
class _Known:
    """The newest record of a ticket that counts, and what older ones told besides."""

    record: Stored
    entry: Entry
    since: str
    post_id: str
    waiting: Waiting | None


@dataclass
class TicketBook:
    """Folds delivery logs. Kept are those with these ``keys`` (None: all), settled as done only if ``keep_done``.

    There may be millions of them.
    """

    keep_done: bool
    keys: Collection[str] | None = None
    _books: dict[tuple[str, int], LogBook] = field(default_factory=dict)
    _known: dict[tuple[str, str], _Known] = field(default_factory=dict)
    _switches: SwitchBook = field(default_factory=SwitchBook)

    def feed(self, record: Stored) -> None:
        """The next record of a partition of a delivery log."""
        self._switches.feed(record)
        told = self._books.setdefault((record.topic, record.partition), LogBook()).feed(record)
        if told is None or not told.counts:
            if record.value is None and is_key(record.key or b""):
                self._known.pop((record.topic, (record.key or b"").decode()), None)
            return
        entry = told.entry
        name = record.topic, entry.key
        if self.keys is not None and entry.key not in self.keys:
            return
        if entry.state is None and not entry.dead and not self.keep_done:
            self._known.pop(name, None)
            return
        fields = orjson.loads(record.value or b"{}")
        before = self._known.get(name)
        same = before is not None and before.entry.version == entry.version
        since = before.since if before is not None and same else str(fields.get("at"))
        post_id = str((fields.get("ticket") or {}).get("post_id") or (before.post_id if before else ""))
        waiting = _waiting(record.topic, entry) if entry.state == "accepted" else None
        entry.body = b""
        self._known[name] = _Known(record._replace(value=_without_ticket(fields)), entry, since, post_id, waiting)

    def rows(self) -> list[TicketRow]:
        """All that are known, oldest first."""
        return sorted(map(_row, self._known.values()), key=lambda row: row.since)

    def off(self, holds: Holds, destinations: Iterable[str]) -> dict[str, Hold]:
        """Which of these get nothing now, as far as the logs were fed."""
        return holds.of_destinations(self._switches.states(destinations))

    async def held(
        self, rows: Sequence[TicketRow], off: Mapping[str, Hold], reader: TopicReader, holds: Holds
    ) -> list[TicketRow]:
        """These of the rows, each that is not done with what holds it back. Raises as TopicReader does."""
        now = datetime.now(UTC)
        due = [row for row in rows if row.next_try is not None and row.next_try <= now and row.destination not in off]
        known = [self._known[topics.deliveries(row.destination), row.key].waiting for row in due]
        limited = await holds.of_tickets(reader, [one for one in known if one is not None])
        return [
            row.model_copy(update={"hold": off.get(row.destination) or limited.get(row.key)})
            if row.state != "done"
            else row
            for row in rows
        ]


def _waiting(topic: str, entry: Entry) -> Waiting:
    return Waiting(topics.destination_of(topic), entry.key, entry.rank, waiting_author(entry.op, entry.body))


def _without_ticket(fields: dict[str, Any]) -> bytes:
    fields.pop("ticket", None)
    return orjson.dumps(fields)


def _row(known: _Known) -> TicketRow:
    entry, record = known.entry, known.record
    said = orjson.loads(record.value or b"{}")
    state: State = "open" if entry.state else "dead" if entry.dead else "done"
    return TicketRow(
        destination=topics.destination_of(record.topic),
        key=entry.key,
        webhook_id=message_id(entry.key, entry.revision, entry.generation),
        state=state,
        under_way=entry.state == "sending",
        post_id=known.post_id,
        op=said.get("op", "create"),
        revision=entry.revision,
        generation=entry.generation,
        attempt=said.get("attempt", 0),
        since=known.since,
        at=said["at"],
        next_try=said.get("due_at") if entry.state else None,
        status=said.get("status"),
        reason=said.get("reason") or "",
        remote_id=said.get("remote_id", ""),
        remote_url=said.get("remote_url", ""),
        place=record.place,
    )


class Listed(NamedTuple):
    """``rows`` of ``found`` that there are, and ``off``: which of the destinations get nothing now."""

    rows: list[TicketRow]
    found: int
    off: dict[str, Hold]


async def list_tickets(
    kafka: KafkaSettings,
    destinations: Sequence[str],
    wanted: WantedTickets,
    most: int = 0,
    progress: Progress | None = None,
    clues: Clues = NO_CLUES,
) -> Listed:
    """The newest ``most`` (0: all) of those wanted, oldest first. Raises as TopicReader does.

    Post ids that the logs no longer tell are looked up in the tickets topics.
    """
    holds = await look_for_holds(clues)
    book = TicketBook("done" in wanted.states, wanted.keys or None)
    async with TopicReader(kafka) as reader:
        logs = {topics.deliveries(name): name for name in destinations}
        there = await reader.partitions([*logs, *map(topics.tickets, destinations)])
        where = {name: numbers for name, numbers in there.items() if name in logs}
        if wanted.keys:
            where = {
                n: sorted({ticket_partition(k, len(numbers)) for k in wanted.keys}) for n, numbers in where.items()
            }
        async for record in reader.scan(where, progress=progress):
            book.feed(record)
        found = [row for row in book.rows() if wanted.takes(row)]
        chosen = found[-most:] if most else found
        off = book.off(holds, destinations)
        held = await book.held(chosen, off, reader, holds)
        return Listed(await _named(reader, there, held), len(found), off)


async def _named(reader: TopicReader, there: dict[str, list[int]], rows: list[TicketRow]) -> list[TicketRow]:
    nameless = {(topics.tickets(row.destination), row.key) for row in rows if not row.post_id}
    where: dict[str, set[int]] = {}
    for topic, key in nameless:
        if topic in there:
            where.setdefault(topic, set()).add(ticket_partition(key, len(there[topic])))
    names: dict[str, str] = {}
    async for record in reader.scan(where):
        key = (record.key or b"").decode("utf-8", "replace")
        if (record.topic, key) in nameless and (ticket := ticket_in(record)):
            names[key] = ticket.post_id
    return [row.model_copy(update={"post_id": row.post_id or names.get(row.key, "")}) for row in rows]


async def show_tickets(
    kafka: KafkaSettings,
    destinations: Sequence[str],
    name: str,
    progress: Progress | None = None,
    clues: Clues = NO_CLUES,
) -> list[TicketLife]:
    """The lives of the tickets that ``name`` means: a ticket's key, a webhook id, or the id of a post."""
    holds = await look_for_holds(clues)
    keys = {destination: key_of(name, destination) for destination in destinations}
    book = LifeBook(keys)
    async with TopicReader(kafka) as reader:
        there = await reader.partitions(book.topics)
        async for record in reader.scan(book.where(there), progress=progress):
            book.add(record)
        return [life for life in await book.held_lives(reader, holds) if life.state != "none"]


def key_of(name: str, destination: str) -> str:
    """The key of the ticket that ``name`` means at ``destination``: a key, a webhook id, or the id of a post."""
    head = name.partition("-")[0]
    return (
        head
        if is_key(head.encode("utf-8", "replace"))
        else ticket_key(name.encode("utf-8", "replace").decode(), destination)
    )

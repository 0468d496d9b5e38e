"""Posts, triages, tickets, deliveries and dead letters as they pass: what to show of each, and which to leave out."""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import re2
from pydantic import BaseModel, ConfigDict, ValidationError

from plaint.kafka.reading import NOW, Start, Stored, TopicReader
from plaint.kafka.settings import KafkaSettings
from plaint.terminal import clock, one_line
from schemas import topics
from schemas.deadletter import DeadLetter, Replayed
from schemas.delivery import OWNER_KEY, Delivery
from schemas.labels import Intent, Sentiment
from schemas.post import Moment, Post
from schemas.record import RecordDropped, RecordInvalid
from schemas.ticket import Ticket
from schemas.triage import Triage

Kind = Literal["posts", "triage", "tickets", "deliveries", "dead"]
KINDS: tuple[Kind, ...] = ("posts", "triage", "tickets", "deliveries", "dead")
TELLS: dict[str, tuple[Kind, ...]] = {
    "--intent": ("triage", "tickets"),
    "--urgent": ("triage", "tickets"),
    "--destination": ("tickets", "deliveries"),
    "--network": ("posts", "triage", "tickets"),
}
"""Which kinds can be filtered so; the others don't know it."""
MAX_TEXT = 160


class Line(BaseModel):
    """One record as it passed; what its kind doesn't know is None. ``note`` says in words what is only in it.

    ``text`` and all that a post brings are as they came: escape them for a terminal.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    place: str
    at: Moment
    post_id: str | None = None
    key: str | None = None
    network: str | None = None
    author: str | None = None
    event: str | None = None
    revision: int | None = None
    text: str | None = None
    intent: Intent | None = None
    confidence: float | None = None
    sentiment: Sentiment | None = None
    urgency: int | None = None
    urgent: bool | None = None
    unsure: bool | None = None
    language: str | None = None
    destination: str | None = None
    rule: str | None = None
    priority: str | None = None
    state: str | None = None
    attempt: int | None = None
    due_at: Moment | None = None
    status: int | None = None
    reason: str | None = None
    stage: str | None = None
    remote_id: str | None = None
    note: str | None = None

    def json_fields(self) -> dict[str, Any]:
        """What is known of it, for JSON."""
        return self.model_dump(mode="json", exclude_none=True)


@dataclass(frozen=True)
class Wanted:
    """Which lines to show; all that are set must hold. ``grep`` is an RE2 expression, looked for in the text or detail."""

    intents: Collection[str] = ()
    urgent: bool = False
    destinations: Collection[str] = ()
    networks: Collection[str] = ()
    grep: Callable[[str], bool] | None = None
    since: datetime | None = None

    def takes(self, line: Line) -> bool:
        """Whether to show it."""
        return (
            (not self.intents or (line.intent or "") in self.intents)
            and (not self.urgent or line.urgent is True)
            and (not self.destinations or line.destination in self.destinations)
            and (not self.networks or (line.network or "").casefold() in self.networks)
            and (self.grep is None or any(self.grep(said) for said in (line.text, line.note) if said))
        )


def searcher(pattern: str) -> Callable[[str], bool]:
    """A search for ``pattern`` (RE2, without regard to case). Raises ValueError with what is wrong with it."""
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    try:
        search = re2.compile(pattern.encode(), options).search
    except re2.error as error:
        what = error.args[0] if error.args else error
        raise ValueError(what.decode("utf-8", "replace") if isinstance(what, bytes) else str(what)) from None
    return lambda text: search(text.encode("utf-8", "replace")) is not None


@dataclass
class Tail:
    """Follows these kinds. ``destinations`` are those whose topics are read."""

    kafka: KafkaSettings
    kinds: Sequence[Kind]
    destinations: Sequence[str]
    wanted: Wanted = field(default_factory=Wanted)

    async def lines(self) -> AsyncGenerator[Line, None]:
        """Each line that is wanted, as it comes, without end. Raises as TopicReader does."""
        asked = self._topics()
        start = NOW if self.wanted.since is None else Start(since=self.wanted.since)
        async with (
            TopicReader(self.kafka) as reader,
            aclosing(reader.follow(await reader.partitions(asked), start)) as records,
        ):
            async for record in records:
                line = line_of(*asked[record.topic], record)
                if line is not None and self.wanted.takes(line):
                    yield line

    def _topics(self) -> dict[str, tuple[Kind, str]]:
        shared: dict[Kind, str] = {
            "posts": topics.POSTS,
            "triage": topics.TRIAGED,
            "dead": topics.DEAD_LETTERS,
        }
        each = {"tickets": topics.tickets, "deliveries": topics.deliveries}
        chosen = [
            name for name in self.destinations if not self.wanted.destinations or name in self.wanted.destinations
        ]
        found: dict[str, tuple[Kind, str]] = {}
        for kind in self.kinds:
            if kind in shared:
                found[shared[kind]] = kind, ""
            else:
                found |= {each[kind](name): (kind, name) for name in chosen}
        return found


def line_of(kind: Kind, destination: str, record: Stored) -> Line | None:
    """The line of one record; None for what is no record of a post or ticket (an owner's mark in a log)."""
    try:
        return _READ[kind](record, destination)
    except (RecordInvalid, RecordDropped) as refusal:
        words = "is none that this version can read, and has or gets a dead letter"
        return _line(kind, record, destination=destination or None, reason=refusal.reason, note=words)


def _line(kind: Kind, record: Stored, **fields: Any) -> Line:
    return Line(kind=kind, place=record.place, at=record.at, **fields)


def _post_fields(post: Post) -> dict[str, Any]:
    return {
        "post_id": post.id,
        "network": post.network,
        "author": post.author.handle or post.author.id,
        "event": post.event,
        "revision": post.revision,
        "text": post.text,
    }


def _post(record: Stored, _: str) -> Line:
    return _line("posts", record, **_post_fields(Post.from_bytes(record.value)))


def _triage(record: Stored, _: str) -> Line:
    triage = Triage.from_bytes(record.value)
    return _line(
        "triage",
        record,
        **_post_fields(triage.post),
        intent=triage.intent,
        confidence=triage.confidence,
        sentiment=triage.sentiment,
        urgency=triage.urgency,
        urgent=triage.urgent,
        unsure=triage.unsure,
        language=triage.language or None,
    )


def _ticket(record: Stored, destination: str) -> Line:
    ticket = Ticket.from_bytes(record.value)
    return _line(
        "tickets",
        record,
        destination=destination,
        post_id=ticket.post_id,
        key=ticket.key,
        network=ticket.network,
        author=ticket.author.handle or ticket.author.id,
        event=ticket.op,
        revision=ticket.revision,
        text=ticket.text,
        intent=ticket.intent,
        confidence=ticket.confidence,
        urgency=ticket.urgency,
        urgent=ticket.urgent,
        rule=ticket.rule,
        priority=ticket.priority,
    )


def _delivery(record: Stored, destination: str) -> Line | None:
    if record.key is None or record.key.startswith(OWNER_KEY[:1].encode()):  # an owner, or another mark of the workers
        return None
    said = Delivery.from_bytes(record.value)
    ticket = said.ticket
    return _line(
        "deliveries",
        record,
        destination=destination,
        key=record.key.decode("utf-8", "replace"),
        post_id=ticket.post_id if ticket else None,
        event=said.op,
        revision=said.revision,
        state=said.state,
        attempt=said.attempt,
        due_at=said.due_at,
        status=said.status,
        reason=said.reason,
        remote_id=said.remote_id or None,
        text=ticket.text if ticket else None,
    )


def _dead(record: Stored, _: str) -> Line:
    key = (record.key or b"").decode("utf-8", "replace") or None
    try:
        letter = DeadLetter.from_kafka(record.key, record.value, record.headers)
    except ValidationError:
        return _line("dead", record, key=key, note=_mark(record))
    return _line(
        "dead", record, key=key, reason=letter.reason, stage=letter.stage, note=f"{letter.place}: {letter.detail}"
    )


def _mark(record: Stored) -> str:
    try:
        mark = Replayed.from_kafka(record.headers)
    except ValidationError:
        return "is no dead letter of plaint's"
    return f"dead letter {mark.letter} was sent again as {mark.place}"


_READ: dict[Kind, Callable[[Stored, str], Line | None]] = {
    "posts": _post,
    "triage": _triage,
    "tickets": _ticket,
    "deliveries": _delivery,
    "dead": _dead,
}


def words(line: Line, with_kind: bool) -> str:
    """A line for a person, escaped."""
    said = [clock(line.at), *([line.kind] if with_kind else []), *filter(None, _WORDS[line.kind](line))]
    if line.reason and line.kind in ("posts", "triage", "tickets"):
        said.append(f"{line.reason}, {line.place}: {line.note}")
    elif line.note:
        said.append(one_line(line.note, MAX_TEXT * 2))
    if line.text:
        said.append(f"“{one_line(line.text, MAX_TEXT)}”")
    return " ".join(said)


def _id(line: Line) -> str:
    return one_line(line.post_id or line.key or "", 120)


def _by(line: Line) -> str:
    author = f"@{one_line(line.author.removeprefix('@'), 40)}" if line.author else ""
    return " on ".join(part for part in (author, one_line(line.network or "", 40)) if part)


def _event(line: Line) -> str:
    return "" if line.event in ("create", None) else f"{line.event} (revision {line.revision})"


def _label(line: Line) -> str:
    if line.intent is None:
        return ""
    return f"{line.intent}{' URGENT' * bool(line.urgent)} {line.confidence or 0:.0%} urgency {line.urgency}"


def _post_words(line: Line) -> list[str]:
    return [_event(line), _label(line), _id(line), _by(line)]


def _ticket_words(line: Line) -> list[str]:
    rule = f"rule {one_line(line.rule, 60)}" if line.rule else ""
    return [f"→ {line.destination}", _event(line), line.priority or "", _label(line), rule, _id(line), _by(line)]


def _delivery_words(line: Line) -> list[str]:
    told = [str(line.status)] if line.status is not None else []
    told += [str(line.reason)] if line.reason else []
    told += [f"as {one_line(line.remote_id, 60)}"] if line.remote_id else []
    attempt = f"request {line.attempt}" if line.state == "sending" else ""
    due = f"due {clock(line.due_at)}" if line.state == "accepted" and line.attempt else ""
    return [f"→ {line.destination}", line.state or "", attempt, due, _event(line), ", ".join(told), _id(line)]


def _dead_words(line: Line) -> list[str]:
    return [
        f"{one_line(line.stage, 20)}: {line.reason}" if line.stage else "",
        line.place.partition("[")[2].replace("]", ""),
    ]


_WORDS: dict[Kind, Callable[[Line], list[str]]] = {
    "posts": _post_words,
    "triage": _post_words,
    "tickets": _ticket_words,
    "deliveries": _delivery_words,
    "dead": _dead_words,
}

"""Records of the delivery log: written by splicing, read without a model, always valid ``schemas.delivery.Delivery``.

Every ticket costs three of them, so the ticket's own JSON is put in as it is, and reading one back takes 3 µs where the
model takes 20. ``v`` and ``epoch`` come first: that is how an owner tells its own records from others' by their first bytes.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, get_args

import orjson

from route.delivery.settled import Version
from schemas.delivery import OWNER_KEY
from schemas.reasons import DeadReason, DropReason
from schemas.record import MAX_RECORD_BYTES, RecordInvalid
from schemas.ticket import Op, Priority

OpenState = Literal["accepted", "sending"]
FinalState = Literal["done", "dead"]

OWNER = OWNER_KEY.encode()

MAX_BODY_BYTES = 2 * MAX_RECORD_BYTES
"""The largest ticket that is taken on, its defaults written out; one that is larger could not be written again."""
MAX_COUNT = 2**53

_KEY = re.compile(rb"[0-9a-f]{32}")
_OPS: dict[object, Op] = {"create": "create", "update": "update", "withdraw": "withdraw"}
RANKS: dict[object, int] = {priority: rank for rank, priority in enumerate(get_args(Priority))}
"""0 is urgent."""
_OPEN: dict[object, OpenState] = {"accepted": "accepted", "sending": "sending"}


class LogRecord(NamedTuple):
    """Key and value as Kafka takes them."""

    key: bytes
    value: bytes


@dataclass(slots=True)
class Entry:
    """One record of a ticket as read from the log. ``state`` None means that it is settled: done or dead."""

    key: str
    revision: int
    offset: int
    epoch: int
    created: bool
    dead: bool = False
    state: OpenState | None = None
    op: Op = "create"
    attempt: int = 0
    due: float = 0.0
    """Seconds since the epoch."""
    body: bytes = b""
    """The ticket as JSON; empty once it is settled."""
    rank: int = RANKS["normal"]
    """Place of the ticket's priority in RANKS."""
    generation: int = 0
    since: float = 0.0
    """When the ticket's post was received, else when this was written, in seconds since the epoch; of an open one."""

    @property
    def version(self) -> Version:
        """Revision and generation."""
        return self.revision, self.generation

    @property
    def may_be_there(self) -> bool:
        """The destination has, or may have, a ticket under this key."""
        return self.created or (self.state == "sending" and self.op == "create")


def own_prefix(epoch: int) -> bytes:
    """How the value of every record of the owner with this epoch begins."""
    return b'{"v":1,"epoch":%d,' % epoch


def owner_record(worker: str, at: float) -> LogRecord:
    """The record by which ``worker`` takes a partition; its offset is the epoch of what it writes from then on."""
    head = {"v": 1, "epoch": -1, "state": "owner", "worker": worker, "at": _moment(at)}
    return LogRecord(OWNER, orjson.dumps(head))


def open_record(
    key: str,
    state: OpenState,
    *,
    epoch: int,
    revision: int,
    op: Op,
    attempt: int,
    due: float,
    created: bool,
    at: float,
    body: bytes,
    generation: int = 0,
    status: int | None = None,
) -> LogRecord:
    """``accepted`` or ``sending``; ``body`` is the ticket's JSON, ``status`` what the try before was answered."""
    head: dict[str, Any] = {
        "v": 1,
        "epoch": epoch,
        "state": state,
        "revision": revision,
        "op": op,
        "attempt": attempt,
        "due_at": _moment(due),
        "created": created,
        "at": _moment(at),
    }
    if generation:
        head["generation"] = generation
    if status is not None:
        head["status"] = status
    return LogRecord(key.encode(), b'%b,"ticket":%b}' % (orjson.dumps(head)[:-1], body))


def final_record(
    key: str,
    state: FinalState,
    *,
    epoch: int,
    revision: int,
    op: Op,
    created: bool,
    at: float,
    attempt: int = 0,
    reason: DeadReason | DropReason | None = None,
    status: int | None = None,
    remote_id: str = "",
    remote_url: str = "",
    generation: int = 0,
) -> LogRecord:
    """``done`` or ``dead``: no text, no author."""
    head: dict[str, Any] = {
        "v": 1,
        "epoch": epoch,
        "state": state,
        "revision": revision,
        "op": op,
        "attempt": attempt,
        "created": created,
        "at": _moment(at),
    }
    if generation:
        head["generation"] = generation
    if reason is not None:
        head["reason"] = reason
    if status is not None:
        head["status"] = status
    if remote_id:
        head["remote_id"] = remote_id
    if remote_url:
        head["remote_url"] = remote_url
    return LogRecord(key.encode(), orjson.dumps(head))


def is_key(key: bytes) -> bool:
    """Whether ``key`` is that of a ticket. Anybody may have written to the log, so nothing else gets near the memory."""
    return _KEY.fullmatch(key) is not None


def read_entry(key: bytes, value: bytes, offset: int) -> Entry:
    """A record of a ticket (not an owner record) as it stands at ``offset``. Raises RecordInvalid."""
    try:
        fields = orjson.loads(value)
        if not is_key(key) or not isinstance(fields, dict):
            raise TypeError
        return _entry(key.decode(), fields, offset)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise RecordInvalid(DeadReason.INVALID_RECORD, f"not a delivery: {type(error).__name__}") from None


def with_op(body: bytes, op: Op) -> bytes:
    """A ticket's JSON that asks for something else."""
    return orjson.dumps({**orjson.loads(body), "op": op})


def _entry(key: str, fields: dict[str, Any], offset: int) -> Entry:
    entry = Entry(
        key=key,
        revision=_count(fields, "revision"),
        offset=offset,
        epoch=int(fields.get("epoch", -1)),
        created=fields.get("created", False) is True,
        generation=_count(fields, "generation"),
    )
    state = fields["state"]
    if state in ("done", "dead"):
        entry.dead = state == "dead"
        return entry
    entry.state = _OPEN[state]
    entry.op = _OPS[fields.get("op", "create")]
    entry.attempt = _count(fields, "attempt")
    entry.due = datetime.fromisoformat(fields["due_at"]).astimezone(UTC).timestamp()  # raises outside of the calendar
    if not isinstance(fields["ticket"], dict):
        raise TypeError("ticket")
    entry.since = _seconds(fields["ticket"].get("received_at")) or _seconds(fields.get("at"))
    entry.rank = RANKS.get(fields["ticket"].get("priority"), entry.rank)
    entry.body = orjson.dumps(fields["ticket"])
    if len(entry.body) > MAX_BODY_BYTES:
        raise ValueError("ticket")
    return entry


def _seconds(moment: object) -> float:
    """0 if that is none: it is only for people to see."""
    try:
        return datetime.fromisoformat(str(moment)).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _count(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name, 0)
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise ValueError(name)
    return value


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

"""What the tests of the commands that look at posts and tickets share: records as the stages write them."""

import json
from datetime import UTC, datetime
from typing import Any

from plaint.kafka.publisher import OutRecord
from plaint.kafka.reading import partition_of
from route.delivery.entry import LogRecord, final_record, open_record, owner_record
from schemas import topics
from schemas.deadletter import DeadLetter
from schemas.labels import Intent
from schemas.post import Post
from schemas.reasons import DeadReason
from schemas.ticket import Ticket, ticket_key
from schemas.triage import Triage, UrgencyPart
from tests.plaint.delivering import PARTITIONS
from tests.plaint.delivering import partition_of as ticket_partition

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
AT = NOW.timestamp()


def post(post_id: str, partition: int | None = None, key: bytes | None = b"", **fields: Any) -> OutRecord:
    """A record of plaint.posts; ``key`` b"" is the post's id, ``partition`` None where plaint itself puts it."""
    own = post_id.encode()
    value = json.dumps({"v": 1, "id": post_id, "text": "My kettle is on fire", **fields}).encode()
    number = partition_of(own, PARTITIONS) if partition is None else partition
    return OutRecord(topics.POSTS, number, own if key == b"" else key, value)


def triage(post_id: str, partition: int | None = None, headers: Any = (), **fields: Any) -> OutRecord:
    """A record of plaint.triaged: an urgent complaint."""
    said = {"text": "My kettle is on fire", **fields.pop("post", {})}
    labels = {
        "intent": Intent.COMPLAINT,
        "confidence": 0.9,
        "intents": {Intent.COMPLAINT: 0.9, Intent.QUESTION: 0.1},
        "sentiment": "negative",
        "urgency": 4,
        "urgent": True,
        "urgency_parts": (
            UrgencyPart(name="model", points=3.0),
            UrgencyPart(name="safety", points=1.0, why='says "fire"'),
        ),
        "model_version": "tiny",
        "policy_version": "1",
    }
    found = Triage(post=Post(id=post_id, **said), triaged_at=NOW, **{**labels, **fields})
    number = partition_of(post_id.encode(), PARTITIONS) if partition is None else partition
    return OutRecord(topics.TRIAGED, number, post_id.encode(), found.to_bytes(), headers)


def ticket_of(post_id: str, destination: str, **fields: Any) -> Ticket:
    """A ticket as route makes them."""
    known = {"op": "create", "revision": 0, "rule": "urgent-complaints", "text": "My kettle is on fire"}
    key = ticket_key(post_id, destination)
    return Ticket.model_validate({"key": key, "destination": destination, "post_id": post_id, **known, **fields})


def asked(ticket: Ticket) -> OutRecord:
    """Its record in the tickets topic."""
    return OutRecord(
        topics.tickets(ticket.destination), ticket_partition(ticket.key), ticket.key.encode(), ticket.to_bytes()
    )


class Log:
    """Records of one partition of a delivery log, as an owner writes them."""

    def __init__(self, ticket: Ticket, epoch: int = 0) -> None:
        self._ticket = ticket
        self._epoch = epoch

    def _out(self, record: LogRecord) -> OutRecord:
        topic = topics.deliveries(self._ticket.destination)
        return OutRecord(topic, ticket_partition(self._ticket.key), record.key, record.value)

    def owner(self) -> OutRecord:
        return self._out(owner_record("worker", AT))

    def open(self, state: Any = "accepted", attempt: int = 0, due: float = AT, **fields: Any) -> OutRecord:
        known = {
            "revision": self._ticket.revision,
            "generation": self._ticket.generation,
            "op": "create",
            "created": False,
        }
        return self._out(
            open_record(
                self._ticket.key,
                state,
                epoch=self._epoch,
                attempt=attempt,
                due=due,
                at=AT,
                body=self._ticket.to_bytes(),
                **{**known, **fields},
            )
        )

    def end(self, state: Any = "done", attempt: int = 1, **fields: Any) -> OutRecord:
        known: dict[str, Any] = {
            "revision": self._ticket.revision,
            "generation": self._ticket.generation,
            "op": "create",
        }
        known |= {"created": state == "done", "epoch": self._epoch, "at": AT, "attempt": attempt}
        return self._out(final_record(self._ticket.key, state, **{**known, **fields}))


def letter(
    place: str,
    value: bytes,
    key: bytes | None = None,
    stage: str = "classify",
    reason: DeadReason = DeadReason.STAGE_ERROR,
    partition: int = 0,
) -> OutRecord:
    """A record of plaint.deadletters."""
    found = DeadLetter.of(reason, stage, place, "ValueError: a fault", value, key)
    return OutRecord(topics.DEAD_LETTERS, partition, found.key or None, found.value, found.headers())

"""What route sends to a destination."""

from hashlib import blake2b
from typing import Annotated, Literal

from pydantic import Field

from schemas.labels import Intent, Sentiment
from schemas.post import Author, Moment
from schemas.record import Record
from schemas.triage import UrgencyPart

Op = Literal["create", "update", "withdraw"]
Priority = Literal["urgent", "high", "normal", "low"]


def ticket_key(post_id: str, destination: str) -> str:
    """The ticket's identity: the same post at the same destination is the same ticket, whoever computes it, whenever."""
    return blake2b(f"{post_id}\0{destination}".encode(), digest_size=16, person=b"plaint-ticket").hexdigest()


def ticket_partition(key: str, partitions: int) -> int:
    """The partition of a ticket, by its key alone: whatever partition its post came in on, its owner is the same."""
    return int(key[:8], 16) % partitions


def message_id(key: str, revision: int, generation: int) -> str:
    """The same over all tries, another for each revision and for each time that a person has it sent anew."""
    return f"{key}-{revision}-{generation}" if generation else f"{key}-{revision}"


class Ticket(Record):
    """One revision of a ticket at one destination. The highest revision wins; a withdraw has no text and no author.

    ``generation`` is how often a person had this revision sent anew: a higher one takes up a revision that ended as dead,
    or hastens one that is open, and its requests have an id of their own.

    ``op`` is what the router means; whether the destination needs a create or an update is for delivery to say, which
    knows what it sent before.
    """

    v: Literal[1] = 1
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    op: Op
    revision: Annotated[int, Field(ge=0, le=2**53)]
    generation: Annotated[int, Field(ge=0, le=2**31)] = 0
    destination: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    post_id: Annotated[str, Field(min_length=1, max_length=512)]
    rule: str = ""
    why: str = ""
    team: str = ""
    priority: Priority = "normal"
    labels: tuple[str, ...] = ()
    network: str = ""
    source: str = ""
    text: str = ""
    author: Author = Author()
    brands: tuple[str, ...] = ()
    language: str = ""
    url: str = ""
    reply_url: str = ""
    intent: Intent | None = None
    confidence: float = 0.0
    sentiment: Sentiment | None = None
    urgency: Annotated[int, Field(ge=0, le=4)] = 0
    urgent: bool = False
    urgency_parts: tuple[UrgencyPart, ...] = ()
    created_at: Moment | None = None
    received_at: Moment | None = None
    triaged_at: Moment | None = None

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
DESTINATION_ID = "[a-z][a-z0-9-]{0,62}"
DestinationId = Annotated[str, Field(pattern=f"^{DESTINATION_ID}$")]
"""How a destination may be called: its name stands in the names of topics."""


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

    A higher ``generation`` takes up a revision that ended as dead, or hastens one that is open, and its requests have an id
    of their own.
    """

    v: Literal[1] = Field(default=1, description="Version of this schema.")
    key: str = Field(
        pattern=r"^[0-9a-f]{32}$", description="The ticket's identity: a hash of the ids of post and destination."
    )
    op: Op = Field(
        description="What the routes mean; whether the destination gets a create or an update hangs on what it has."
    )
    revision: int = Field(ge=0, le=2**53, description="That of the post; the highest wins.")
    generation: int = Field(default=0, ge=0, le=2**31, description="How often a person had this revision sent anew.")
    destination: DestinationId = Field(description="Where it goes.")
    post_id: str = Field(min_length=1, max_length=512, description="The network's own id of the post.")
    rule: str = Field(default="", description="The rule that sends it.")
    why: str = Field(default="", description="That rule's reason, for people.")
    team: str = Field(default="", description="Who is to see to it, as the rule says.")
    priority: Priority = Field(default="normal", description="The rule's, else that of the urgency.")
    labels: tuple[str, ...] = Field(default=(), description="Those of the rule.")
    network: str = Field(default="", description="Where the post was written, such as `mastodon`.")
    source: str = Field(default="", description="Who delivered the post to plaint.")
    text: str = Field(default="", description="What was written; one that is too long ends with an ellipsis.")
    author: Author = Field(default=Author(), description="Who wrote it.")
    brands: tuple[str, ...] = Field(default=(), description="Brands that it is about.")
    language: str = Field(default="", description="ISO 639; `und` where the text is too short or too mixed to tell.")
    url: str = Field(default="", description="Address of the post for people; empty if it is no plain web address.")
    reply_url: str = Field(default="", description="Where to answer the author.")
    intent: Intent | None = Field(default=None, description="The likeliest intent.")
    confidence: float = Field(default=0.0, description="Calibrated probability that the intent is right.")
    sentiment: Sentiment | None = Field(default=None, description="The likeliest sentiment.")
    urgency: int = Field(
        default=0, ge=0, le=4, description="How soon somebody must see to it, from 0 (no need) to 4 (now)."
    )
    urgent: bool = Field(default=False, description="Whether nobody may wait with it: a decision of its own.")
    urgency_parts: tuple[UrgencyPart, ...] = Field(default=(), description="What the urgency is made of.")
    created_at: Moment | None = Field(default=None, description="When the post was written.")
    received_at: Moment | None = Field(default=None, description="When plaint got it.")
    triaged_at: Moment | None = Field(default=None, description="When it was labelled.")

"""A public post, as a source delivers it."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from schemas.record import Record

Event = Literal["create", "edit", "delete"]
_KEPT = ("v", "id", "revision", "network", "source", "brands", "created_at", "received_at")
"""What a delete says besides that it is one."""


def _utc(moment: datetime) -> datetime:
    """A time without a zone is taken as UTC; one that has no UTC equivalent (year 1 or 9999 at the rim) is refused."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is out of the range of the calendar in UTC") from error


Moment = Annotated[datetime, AfterValidator(_utc)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Name = Annotated[str, Field(max_length=512)]
Address = Annotated[str, Field(max_length=2048)]


class Author(Record):
    """Who wrote the post. ``own_account`` marks the brand's own accounts."""

    id: Name = ""
    handle: Name = ""
    followers: Count | None = None
    verified: bool = False
    own_account: bool = False


class Conversation(Record):
    """Where the post stands in a thread: ids of its first and its parent post."""

    root: Name = ""
    parent: Name = ""


class Engagement(Record):
    """How others reacted so far."""

    likes: Count = 0
    replies: Count = 0
    reposts: Count = 0


class Post(Record):
    """One revision of a post. Only ``id`` and ``text`` are required; a delete carries no text.

    ``id`` is the network's own global id, the same from whichever source it came, and the Kafka key. A higher
    ``revision`` replaces a lower one; an edit or delete whose source counts no revisions gets a time in milliseconds:
    that of its receipt, or of its file, when ingest publishes it, else that of its record.
    """

    v: Literal[1] = 1
    id: Annotated[str, Field(min_length=1, max_length=512)]
    text: str = ""
    event: Event = "create"
    revision: Annotated[int, Field(ge=0, le=2**53)] = 0
    network: Name = ""
    source: Name = ""
    author: Author = Author()
    conversation: Conversation = Conversation()
    brands: Annotated[tuple[Name, ...], Field(max_length=100)] = ()
    engagement: Engagement = Engagement()
    language: Annotated[str, Field(max_length=35)] = ""
    url: Address = ""
    visibility: Name = ""
    created_at: Moment | None = None
    received_at: Moment | None = None

    @model_validator(mode="after")
    def _text_unless_deleted(self) -> "Post":
        if self.event != "delete" and "text" not in self.model_fields_set:
            raise ValueError("text is missing (only a delete has none)")
        return self

    def erased(self) -> "Post":
        """Its delete: which post in which revision, from where and when, and nothing that anybody wrote."""
        kept = {name: getattr(self, name) for name in _KEPT if name in self.model_fields_set}
        return Post(event="delete", **kept)

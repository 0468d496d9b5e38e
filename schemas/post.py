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
    """Who wrote the post."""

    id: Name = Field(default="", description="The network's own id of the account.")
    handle: Name = Field(default="", description="The name by which it is mentioned.")
    followers: Count | None = Field(default=None, description="How many follow the account.")
    verified: bool = Field(default=False, description="Whether the network has verified it.")
    own_account: bool = Field(default=False, description="Whether it is one of the brand's own accounts.")


class Conversation(Record):
    """The thread that the post stands in."""

    root: Name = Field(default="", description="Id of the thread's first post.")
    parent: Name = Field(default="", description="Id of the post that it answers.")


class Engagement(Record):
    """How others reacted so far."""

    likes: Count = Field(default=0, description="Likes, favourites, hearts.")
    replies: Count = Field(default=0, description="Answers.")
    reposts: Count = Field(default=0, description="Reposts, boosts, quotes.")


class Post(Record):
    """One revision of a post. Only ``id`` and ``text`` are required; a delete carries no text.

    ``id`` is the network's own global id, the same from whichever source it came, and the Kafka key. A higher
    ``revision`` replaces a lower one; an edit or delete whose source counts no revisions gets a time in milliseconds:
    that of its receipt, or of its file, when ingest publishes it, else that of its record.
    """

    v: Literal[1] = Field(default=1, description="Version of this schema.")
    id: str = Field(min_length=1, max_length=512, description="The network's own id of the post.")
    text: str = Field(default="", description="What was written. Only a delete has none.")
    event: Event = Field(default="create", description="What happened to the post.")
    revision: int = Field(
        default=0,
        ge=0,
        le=2**53,
        description="The higher one replaces the lower. An edit or delete without one gets a time.",
    )
    network: Name = Field(default="", description="Where it was posted, such as `mastodon`.")
    source: Name = Field(default="", description="Who delivered it to plaint.")
    author: Author = Field(default=Author(), description="Who wrote it.")
    conversation: Conversation = Field(default=Conversation(), description="The thread that it stands in.")
    brands: tuple[Name, ...] = Field(default=(), max_length=100, description="Brands that it is about.")
    engagement: Engagement = Field(default=Engagement(), description="Its likes, answers and reposts so far.")
    language: str = Field(
        default="", max_length=35, description="Language of the text as a BCP 47 tag, such as `en`; empty: unknown."
    )
    url: Address = Field(default="", description="Address of the post for people.")
    visibility: Name = Field(default="", description="Who can see it, as its network says.")
    created_at: Moment | None = Field(
        default=None, description="When it was written, RFC 3339; without a zone it is taken as UTC."
    )
    received_at: Moment | None = Field(default=None, description="When plaint got it.")

    @model_validator(mode="after")
    def _text_unless_deleted(self) -> "Post":
        if self.event != "delete" and "text" not in self.model_fields_set:
            raise ValueError("text is missing (only a delete has none)")
        return self

    def erased(self) -> "Post":
        """Its delete: which post in which revision, from where and when, and nothing that anybody wrote."""
        kept = {name: getattr(self, name) for name in _KEPT if name in self.model_fields_set}
        return Post(event="delete", **kept)

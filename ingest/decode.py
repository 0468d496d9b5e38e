"""JSON or table cells as people write them → a post, or why not.

One leniency beyond the schema: where it wants an id as text, a whole number is taken as its digits. JSON knows one kind of
number, so 7.0 is a whole number too, wherever one is wanted.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, FailFast, Field, ValidationError, model_validator

from schemas.post import Author, Conversation, Count, Engagement, Name, Post
from schemas.reasons import DeadReason
from schemas.record import RecordDropped, RecordInvalid, faults

MAX_DIGITS_BITS = 128
MAX_EXACT = 2**53
"""From here on a float stands for many whole numbers."""
_SCIENTIFIC = re.compile(r"\d([.,]\d+)?[eE]\+\d+")


def _whole(value: Any) -> Any:
    return int(value) if type(value) is float and value.is_integer() and abs(value) < MAX_EXACT else value


def _digits(value: Any) -> Any:
    # No fractions: an id that some tool wrote as 1.2345678901234568e+18 has lost digits and stands for many posts.
    value = _whole(value)
    return str(value) if type(value) is int and 0 <= value < 2**MAX_DIGITS_BITS else value


WholeNumber = Annotated[int, Field(ge=0, lt=2**MAX_DIGITS_BITS)]
PostId = Annotated[str, Field(min_length=1, max_length=512)]
AsDigits = BeforeValidator(_digits, json_schema_input_type=Name | WholeNumber)
AsWhole = BeforeValidator(_whole, json_schema_input_type=Count)
GivenCount = Annotated[Count, AsWhole]


class GivenAuthor(Author):
    """An author as people write one."""

    model_config = ConfigDict(title="Author")

    id: Annotated[Name, AsDigits] = ""
    followers: GivenCount | None = None


class GivenEngagement(Engagement):
    """An engagement as people write one."""

    model_config = ConfigDict(title="Engagement")

    likes: GivenCount = 0
    replies: GivenCount = 0
    reposts: GivenCount = 0


class GivenConversation(Conversation):
    """A conversation as people write one."""

    model_config = ConfigDict(title="Conversation")

    root: Annotated[Name, AsDigits] = ""
    parent: Annotated[Name, AsDigits] = ""


class GivenPost(Post):
    """A post as people write one."""

    model_config = ConfigDict(title="Post")

    id: Annotated[PostId, BeforeValidator(_digits, json_schema_input_type=PostId | WholeNumber)]
    revision: GivenCount = 0
    # One fault is enough of a list that may hold half a million of them.
    brands: Annotated[tuple[Name, ...], Field(max_length=100), FailFast()] = ()
    author: GivenAuthor = GivenAuthor()
    conversation: GivenConversation = GivenConversation()
    engagement: GivenEngagement = GivenEngagement()

    @model_validator(mode="after")
    def _has_all_digits(self) -> Self:
        if self.event != "delete" and _SCIENTIFIC.fullmatch(self.id):
            what = "a spreadsheet has rounded the id, so that it stands for many posts"
            raise ValueError(f"{what}; export the column of ids as text")
        return self


def post_from_json(line: bytes) -> Post:
    """The post in one JSON object. Raises RecordInvalid, also for an event that this version doesn't know."""
    try:
        return GivenPost.from_bytes(line)
    except RecordDropped:
        raise RecordInvalid(DeadReason.INVALID_RECORD, "event: is none of create, edit, delete") from None


def post_from_fields(fields: Mapping[str, Any]) -> Post:
    """The post in these fields, whose values are text. Raises RecordInvalid."""
    try:
        return GivenPost.model_validate(fields)
    except ValidationError as error:
        raise RecordInvalid(DeadReason.INVALID_RECORD, faults(error)) from None

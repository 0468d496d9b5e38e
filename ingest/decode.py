"""JSON or table cells as people write them → a post, or why not.

One leniency beyond the schema: where it wants an id as text, a whole number is taken as its digits.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, FailFast, Field, ValidationError

from schemas.post import Author, Conversation, Name, Post
from schemas.reasons import DeadReason
from schemas.record import RecordDropped, RecordInvalid, faults

MAX_DIGITS_BITS = 128


def _digits(value: Any) -> Any:
    # No fractions: an id that some tool wrote as 1.2345678901234568e+18 has lost digits and stands for many posts.
    return str(value) if type(value) is int and 0 <= value < 2**MAX_DIGITS_BITS else value


WholeNumber = Annotated[int, Field(ge=0, lt=2**MAX_DIGITS_BITS)]
PostId = Annotated[str, Field(min_length=1, max_length=512)]
AsDigits = BeforeValidator(_digits, json_schema_input_type=Name | WholeNumber)


class GivenAuthor(Author):
    """An author as people write one."""

    model_config = ConfigDict(title="Author")

    id: Annotated[Name, AsDigits] = ""


class GivenConversation(Conversation):
    """A conversation as people write one."""

    model_config = ConfigDict(title="Conversation")

    root: Annotated[Name, AsDigits] = ""
    parent: Annotated[Name, AsDigits] = ""


class GivenPost(Post):
    """A post as people write one."""

    model_config = ConfigDict(title="Post")

    id: Annotated[PostId, BeforeValidator(_digits, json_schema_input_type=PostId | WholeNumber)]
    # One fault is enough of a list that may hold half a million of them.
    brands: Annotated[tuple[Name, ...], Field(max_length=100), FailFast()] = ()
    author: GivenAuthor = GivenAuthor()
    conversation: GivenConversation = GivenConversation()


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

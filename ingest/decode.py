"""JSON or table cells as people write them → a post, or why not.

One leniency beyond the schema: where it wants an id as text, a whole number is taken as its digits.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from schemas.post import Author, Conversation, Name, Post
from schemas.reasons import DeadReason
from schemas.record import RecordDropped, RecordInvalid, faults


def _digits(value: Any) -> Any:
    # No fractions: an id that some tool wrote as 1.2345678901234568e+18 has lost digits and stands for many posts.
    return str(value) if type(value) is int and 0 <= value < 2**128 else value


class _Author(Author):
    id: Annotated[Name, BeforeValidator(_digits)] = ""


class _Conversation(Conversation):
    root: Annotated[Name, BeforeValidator(_digits)] = ""
    parent: Annotated[Name, BeforeValidator(_digits)] = ""


class _Post(Post):
    id: Annotated[str, BeforeValidator(_digits), Field(min_length=1, max_length=512)]
    author: _Author = _Author()
    conversation: _Conversation = _Conversation()


def post_from_json(line: bytes) -> Post:
    """The post in one JSON object. Raises RecordInvalid, also for an event that this version doesn't know."""
    try:
        return _Post.from_bytes(line)
    except RecordDropped:
        raise RecordInvalid(DeadReason.INVALID_RECORD, "event: is none of create, edit, delete") from None


def post_from_fields(fields: Mapping[str, Any]) -> Post:
    """The post in these fields, whose values are text. Raises RecordInvalid."""
    try:
        return _Post.model_validate(fields)
    except ValidationError as error:
        raise RecordInvalid(DeadReason.INVALID_RECORD, faults(error)) from None

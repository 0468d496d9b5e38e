"""The body of a request → its posts, or every fault in it.

The types are held to more strictly than in a file: ``"12"`` is no number, since what the description says must be all that
is taken. One fault refuses the whole request, so that its sender need not sort out which posts were taken.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from ingest.decode import GivenPost
from ingest.http.answers import FieldFault, Problem
from ingest.http.outcomes import Refusal
from schemas.post import Post

T = TypeVar("T")

JSON = "application/json"
JSON_LINES = "application/x-ndjson"
TYPES = (JSON, JSON_LINES)

ONE: TypeAdapter[GivenPost] = TypeAdapter(GivenPost)
MANY: TypeAdapter[list[GivenPost]] = TypeAdapter(list[GivenPost])


def read_posts(body: bytes, content_type: str, max_posts: int) -> Sequence[Post]:
    """The posts, in their order. Raises Problem (400)."""
    if content_type == JSON_LINES:
        return _json_lines(body, max_posts)
    # Parsed twice: the count must be known before pydantic makes an error of each of a million items.
    given = _parsed(body, "#")
    if isinstance(given, list):
        _check_count(len(given), max_posts)
        return _validated(MANY, body, given)
    return [_validated(ONE, body, given)]


def _json_lines(body: bytes, max_posts: int) -> Sequence[Post]:
    lines = [(number, line) for number, line in enumerate(body.split(b"\n"), start=1) if line and not line.isspace()]
    _check_count(len(lines), max_posts)
    posts, faults = [], []
    for index, (number, line) in enumerate(lines):
        try:
            posts.append(_validated(ONE, line, _parsed(line, "#")))
        except Problem as problem:
            faults += [
                FieldFault(f"#/{index}{fault.pointer[1:]}", f"line {number}: {fault.detail}")
                for fault in problem.faults
            ]
    if faults:
        raise _invalid(faults)
    return posts


def _parsed(body: bytes, pointer: str) -> Any:
    try:
        return from_json(body)
    except ValueError as error:
        raise _invalid([FieldFault(pointer, f"is no JSON: {error}")]) from None


def _check_count(count: int, most: int) -> None:
    if not count:
        raise _invalid([FieldFault("#", "holds no post")])
    if count > most:
        raise _invalid([FieldFault("#", f"holds {count} posts, a request may have {most}")])


def _validated(kind: TypeAdapter[T], body: bytes, given: Any) -> T:
    try:
        return kind.validate_json(body, strict=True)
    except ValidationError as error:
        raise _invalid(list(_faults(error, given))) from None


def _faults(error: ValidationError, given: Any) -> Iterator[FieldFault]:
    for index, post in enumerate(given) if isinstance(given, list) else [(None, given)]:
        # pydantic says it only of a post that has no other fault.
        if isinstance(post, dict) and "text" not in post and post.get("event") != "delete":
            yield FieldFault(
                _pointer((*(() if index is None else (index,)), "text")), "is missing; only a delete has none"
            )
    for found in error.errors(include_url=False, include_input=False, include_context=False):
        if found["type"] == "value_error" and len(found["loc"]) <= isinstance(given, list):
            continue  # said above
        yield FieldFault(_pointer(found["loc"]), found["msg"].removeprefix("Value error, "))


def _pointer(steps: Sequence[str | int]) -> str:
    """In the fragment form; names of fields need no escape."""
    return "".join(["#", *(f"/{step}" for step in steps)])


def _invalid(faults: Sequence[FieldFault]) -> Problem:
    first = f"{faults[0].pointer}: {faults[0].detail}"
    if len(faults) == 1:
        detail = f"Nothing was taken: {first}"
    else:
        detail = f"Nothing was taken, there are {len(faults)} faults. The first: {first}"
    return Problem(Refusal.INVALID_POST, detail, faults=faults)

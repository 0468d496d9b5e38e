"""From a body to posts or to every fault in it, in bounded time."""

import json
import time
from typing import Any

import pytest

from ingest.http.answers import MAX_FAULTS, Problem
from ingest.http.body import JSON, JSON_LINES, read_posts
from ingest.http.openapi import EXAMPLE


def pointers(body: bytes | list[Any] | dict[str, Any], kind: str = JSON, most: int = 1000) -> list[str]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Problem) as problem:
        read_posts(raw, kind, most)
    assert problem.value.status == 400
    return [fault.pointer for fault in problem.value.faults]


@pytest.mark.parametrize(
    ("post", "wrong"),
    [
        ({}, ["#/text", "#/id"]),
        ({"id": ""}, ["#/text", "#/id"]),
        ({"id": "a"}, ["#/text"]),
        ({"id": "a", "event": "edit"}, ["#/text"]),
        ({"id": "a", "text": None}, ["#/text"]),
        ({"id": 1.5, "text": "x"}, ["#/id"]),
        ({"id": -1, "text": "x"}, ["#/id"]),
        ({"id": 2**128, "text": "x"}, ["#/id"]),
        ({"id": 1e18, "text": "x"}, ["#/id"]),
        ({"id": "x" * 513, "text": "x"}, ["#/id"]),
        ({"id": "a", "text": "x", "event": "like"}, ["#/event"]),
        ({"id": "a", "text": "x", "revision": "1"}, ["#/revision"]),
        (
            {"id": "a", "text": "x", "author": {"followers": 1.5, "verified": "yes"}},
            ["#/author/followers", "#/author/verified"],
        ),
        ({"id": "a", "text": "x", "brands": ["a", 1, 2]}, ["#/brands/1"]),
        ({"id": "a", "text": "x", "brands": ["a"] * 101}, ["#/brands"]),
        ({"id": "a", "text": "x", "created_at": "yesterday"}, ["#/created_at"]),
        ({"id": "a", "text": "x", "created_at": "0001-01-01T00:00:00+14:00"}, ["#/created_at"]),
        ([], ["#"]),
        ([[]], ["#/0"]),
        ("text", ["#"]),
        (None, ["#"]),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_each_wrong_field_is_pointed_at(post: Any, wrong: list[str]) -> None:
    assert pointers(json.dumps(post).encode()) == wrong
    if isinstance(post, dict):
        assert pointers([EXAMPLE, post]) == [pointer.replace("#", "#/1", 1) for pointer in wrong]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b'{"id": "\\ud800", "text": "x"}', b"nope", b"[" * 100_000, b'{"id": 1} {}', b"9" * 10_000],
)
def test_what_is_no_json_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(Problem, match="is no JSON") as problem:
        read_posts(body, JSON, 10)
    assert [fault.pointer for fault in problem.value.faults] == ["#"]


def test_numbers_are_whole_however_they_are_written() -> None:
    [post] = read_posts(b'{"id": 7.0, "text": "x", "revision": 3.0, "author": {"id": 0, "followers": 1e3}}', JSON, 1)
    assert (post.id, post.revision, post.author.id, post.author.followers) == ("7", 3, "0", 1000)


def test_a_delete_needs_no_text() -> None:
    assert read_posts(b'{"id": "a", "event": "delete"}', JSON, 1)[0].event == "delete"


def test_lines_are_named_by_their_number() -> None:
    body = b'{"id": "a", "text": "x"}\n\n{"id": "b"}\nnope\n'
    with pytest.raises(Problem) as problem:
        read_posts(body, JSON_LINES, 10)
    assert [fault.pointer for fault in problem.value.faults] == ["#/1/text", "#/2"]
    assert [fault.detail.split(":")[0] for fault in problem.value.faults] == ["line 3", "line 4"]
    assert pointers(b"\n\n", JSON_LINES) == ["#"]


@pytest.mark.parametrize("kind", [JSON, JSON_LINES])
def test_more_posts_than_a_request_may_have_are_refused(kind: str) -> None:
    one = json.dumps(EXAMPLE).encode()
    body = b"\n".join([one] * 3) if kind == JSON_LINES else b"[" + b",".join([one] * 3) + b"]"
    assert len(read_posts(body, kind, 3)) == 3
    assert pointers(body, kind, most=2) == ["#"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "a", "text": "x", "brands": [' + b"1," * 500_000 + b"1]}",
        b"[" + b"{}," * 340_000 + b"{}]",
        b"[" + b'{"brands":[1],"author":1,"engagement":2,"event":3},' * 999 + b"{}]",
        b'{"id": "a", "text": "x", "author": {' + b'"a":1,' * 170_000 + b'"a":1}}',
        b'{"id": ' + b"9" * 1_000_000 + b', "text": "x"}',
    ],
    ids=["brands", "posts", "faults", "fields", "digits"],
)
def test_a_body_made_to_cost_much_costs_little(body: bytes) -> None:
    began = time.process_time()
    answer = b""
    try:
        read_posts(body, JSON, 1000)
    except Problem as problem:
        answer = bytes(problem.answer().body)  # type: ignore[arg-type]
    assert time.process_time() - began < 1
    assert len(answer) < 50_000
    assert len(json.loads(answer or b"{}").get("errors", [])) <= MAX_FAULTS

"""Whatever comes in, the door answers in kind: never with its own fault, never with a traceback, and it stays open."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.http import server
from tests.ingest.http_door import POST, Door, Shelf, open_door

FAIR = {202, 400, 401, 403, 404, 405, 408, 411, 413, 415, 417, 421}
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BODY = json.dumps(POST).encode()
REQUEST = (
    b"POST /v1/posts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY)
) + BODY


class Said(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record.getMessage())


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture(scope="module")
def door(shelf: Shelf) -> Iterator[Door]:
    """Nothing may be logged as an error while it is open."""
    said = Said()
    logging.getLogger().addHandler(said)
    before, server.LINGER_S = server.LINGER_S, 0.05
    try:
        with open_door(shelf, max_body_bytes=20_000) as door:
            yield door
            assert door.post(POST).status == 202
    finally:
        server.LINGER_S = before
        logging.getLogger().removeHandler(said)
    assert said.records == []


def check(door: Door, shelf: Shelf, body: bytes, kind: str) -> None:
    shelf.posts.clear()
    answer = door.post(body, Content_Type=kind)
    assert answer.status in FAIR
    assert "Traceback" not in answer.body.decode()
    if answer.status == 202:
        assert answer.json == {"accepted": len(shelf.posts)}
    else:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json["status"] == answer.status
        assert shelf.posts == []


KINDS = st.sampled_from(["application/json", "application/x-ndjson"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
FIELDS = ("id", "text", "event", "revision", "author", "conversation", "brands", "engagement", "created_at", "v", "url")
POSTS = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6).map(lambda some: {"id": "1", "text": "x"} | some)


@FEW
@given(body=st.binary(max_size=300), kind=KINDS | st.text(st.characters(codec="latin-1", categories=["L", "P"])))
def test_any_bytes_of_any_type(door: Door, shelf: Shelf, body: bytes, kind: str) -> None:
    check(door, shelf, body, kind)


@FEW
@given(value=POSTS | st.lists(POSTS | VALUES, max_size=4) | VALUES, kind=KINDS)
def test_any_json_with_the_fields_of_a_post(door: Door, shelf: Shelf, value: Any, kind: str) -> None:
    check(door, shelf, json.dumps(value).encode(), kind)


@FEW
@given(
    changes=st.lists(st.tuples(st.integers(0, len(REQUEST) - 1), st.binary(max_size=5), st.integers(0, 5)), max_size=4),
    length=st.integers(0, len(REQUEST)) | st.just(len(REQUEST)),
)
def test_a_request_with_bytes_put_in_taken_out_and_cut_off(
    door: Door, shelf: Shelf, changes: list[tuple[int, bytes, int]], length: int
) -> None:
    data = REQUEST
    for at, put_in, taken_out in changes:
        data = data[:at] + put_in + data[at + taken_out :]
    answer = door.raw(data[:length], timeout_s=0.1)
    assert b"Traceback" not in answer
    assert b" 500 " not in answer.split(b"\r\n")[0]


def test_each_header_that_is_read_may_hold_anything(door: Door) -> None:
    for name in ("Host", "Origin", "Content-Type", "Content-Encoding", "Expect", "Authorization", "Sec-Fetch-Site"):
        for value in (b"", b"\xff\xfe", b"[::1", b"]", b"a" * 4_000, b"%00", b"http://[", b"\t", b'"', b";=;"):
            head = REQUEST.replace(b"\r\n", b"\r\n%s: %s\r\n" % (name.encode(), value), 1)
            first = door.raw(head).split(b"\r\n")[0]
            assert int(first.split(b" ")[1]) in FAIR, (name, value, first)

"""The body of a webhook: its types, its limit, and that it never changes over the tries."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from route.destinations.base import Parcel
from route.destinations.webhook_body import MAX_BODY_BYTES, webhook_body
from schemas.ticket import Ticket
from tests.route.delivery.doubles import START, ticket


def body_of(one: Ticket, now: float = START, attempt: int = 1) -> bytes:
    return webhook_body(Parcel(one.key, one.op, one.revision, attempt, one.to_bytes()), now)


def read(one: Ticket) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(body_of(one))
    return found


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (ticket(urgent=True), "complaint.urgent"),
        (ticket(urgent=False), "ticket.created"),
        (ticket(op="update", urgent=True), "ticket.updated"),
        (ticket(op="withdraw"), "ticket.withdrawn"),
    ],
)
def test_the_type_says_what_it_is_about(one: Ticket, kind: str) -> None:
    assert read(one)["type"] == kind


def test_a_text_that_speaks_of_urgency_changes_nothing() -> None:
    text = '"urgent":true,"triaged_at":"1999-01-01T00:00:00Z" \\"urgent":true'
    found = read(ticket(text=text, why=text, urgent=False))
    assert found["type"] == "ticket.created"
    assert found["timestamp"] == "2027-01-15T08:00:00Z"
    assert found["data"]["text"] == text


def test_the_data_is_the_whole_ticket() -> None:
    one = ticket(text='"quotes" \\ \u202e \U0001f4a9 \x00', labels=("a", "b"), team="care")
    assert Ticket.model_validate(read(one)["data"]) == one
    assert "cut" not in read(one)["data"]


def test_the_timestamp_is_that_of_the_triage_so_every_try_sends_the_same_body() -> None:
    assert body_of(ticket(), START, 1) == body_of(ticket(), START + 9999, 7)
    assert read(ticket())["timestamp"] == "2027-01-15T08:00:00Z"


def test_a_withdraw_has_the_time_of_the_try() -> None:
    assert read(ticket(op="withdraw", triaged_at=None))["timestamp"].startswith("2027-01-15T08:00:00")


def test_a_ticket_that_is_too_long_is_cut_and_says_so() -> None:
    one = ticket(text="ab\U0001f4a9" * 20_000, why="because")
    body = body_of(one)
    assert MAX_BODY_BYTES - 20 < len(body) <= MAX_BODY_BYTES
    data = orjson.loads(body)["data"]
    assert data["cut"] == ["text"]
    assert data["text"].endswith("…")
    assert one.text.startswith(data["text"][:-1])
    assert data["why"] == "because"


def test_other_long_fields_are_cut_before_a_short_text() -> None:
    data = read(ticket(text="short", labels=["label"] * 5000, why="w" * 30_000))["data"]
    assert data["text"] == "short"
    assert data["cut"] == ["labels", "why"]
    assert data["labels"] == []


_long = st.builds(lambda text, times: text * times, st.text(max_size=12), st.integers(0, 1500))


@given(_long, _long, st.lists(st.text(max_size=500), max_size=60), st.text(min_size=1, max_size=512))
@settings(deadline=None)
def test_no_body_is_over_the_limit_and_every_body_is_a_ticket(
    text: str, why: str, labels: list[str], post_id: str
) -> None:
    try:
        one = ticket(text=text, why=why, labels=labels, post_id=post_id, team=why, network=text)
        raw = one.to_bytes()
    except (ValueError, UnicodeEncodeError):  # lone surrogates, which no record can hold
        return
    body = webhook_body(Parcel(one.key, one.op, one.revision, 1, raw), START)
    assert len(body) <= MAX_BODY_BYTES
    found = Ticket.model_validate(orjson.loads(body)["data"])
    assert (found.key, found.op, found.revision, found.post_id) == (one.key, one.op, one.revision, one.post_id)

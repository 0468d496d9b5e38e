"""Tickets: what a create, an edit and a delete come to at each destination."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from route.rules import RouteTable
from route.tickets import MAX_TEXT_BYTES, MAX_TICKET_BYTES, cut, plain_url, priority_of, tickets_for
from schemas.labels import Intent, Sentiment
from schemas.post import Author, Engagement, Event, Post
from schemas.reasons import DropReason
from schemas.ticket import Ticket, ticket_key
from schemas.triage import Triage, UrgencyPart

DESTINATIONS = ("helpdesk", "service", "marketing")
SHIPPED = RouteTable.load(None, DESTINATIONS)
POST = Post(
    id="at://did:plc:ann/app.bsky.feed.post/1",
    text="My Norvik heater is smoking",
    network="bluesky",
    source="jetstream",
    author=Author(id="did:plc:ann", handle="ann", followers=7),
    brands=("Norvik",),
    engagement=Engagement(likes=2),
    url="https://bsky.example/ann/1",
    created_at=datetime(2026, 5, 1, 9, tzinfo=UTC),
)
TRIAGE = Triage(
    post=POST,
    intent=Intent.COMPLAINT,
    confidence=0.9,
    sentiment=Sentiment.NEGATIVE,
    urgency=4,
    urgent=True,
    urgency_parts=(UrgencyPart(name="model", points=3.6, why="p"),),
    language="en",
    triaged_at=datetime(2026, 5, 1, 9, 1, tzinfo=UTC),
)


def triage(event: Event = "create", revision: int = 0, **labels: Any) -> Triage:
    """TRIAGE with another event and other labels."""
    text = "" if event == "delete" else POST.text
    post = POST.model_copy(update={"event": event, "revision": revision, "text": text})
    return TRIAGE.model_copy(update={"post": post, **labels})


def outcome(of: Triage) -> tuple[dict[str, str], DropReason | None]:
    """Destination → op, and the reason."""
    tickets, reason = tickets_for(of, SHIPPED)
    return {ticket.destination: ticket.op for ticket in tickets}, reason


OTHER: dict[str, Any] = {"intent": Intent.OTHER, "urgency": 0, "urgent": False}
WITHDRAWN = dict.fromkeys(DESTINATIONS, "withdraw")


@pytest.mark.parametrize(
    ("of", "ops", "reason"),
    [
        (triage(), {"helpdesk": "create"}, None),
        (triage(urgent=False), {"service": "create"}, None),
        (triage(**OTHER), {}, DropReason.UNROUTED),
        (triage("edit", 5), {"helpdesk": "update", "service": "withdraw", "marketing": "withdraw"}, None),
        (triage("edit", 5, urgent=False), {"helpdesk": "withdraw", "service": "update", "marketing": "withdraw"}, None),
        (triage("edit", 5, **OTHER), WITHDRAWN, None),
        (triage("delete", 6, intent=None, sentiment=None, urgency=0, urgent=False), WITHDRAWN, None),
    ],
    ids=["urgent", "not urgent", "unrouted", "edit", "edit that calms down", "edit that leaves the routes", "delete"],
)
def test_what_comes_of_each_event(of: Triage, ops: dict[str, str], reason: DropReason | None) -> None:
    assert outcome(of) == (ops, reason)


def test_a_delete_with_no_destination_configured_has_nothing_to_withdraw() -> None:
    nowhere = RouteTable(SHIPPED.rules[-1:], ())
    assert tickets_for(triage("delete", 1), nowhere) == ([], DropReason.NOTHING_TO_WITHDRAW)


def test_a_ticket_says_what_the_post_and_its_triage_and_rule_say() -> None:
    assert tickets_for(TRIAGE, SHIPPED)[0] == [
        Ticket(
            key=ticket_key(POST.id, "helpdesk"),
            op="create",
            revision=0,
            destination="helpdesk",
            post_id=POST.id,
            rule="urgent-complaints",
            why=SHIPPED.route(TRIAGE)[0].why,
            team="first-response",
            priority="urgent",
            labels=("urgent",),
            network="bluesky",
            source="jetstream",
            text=POST.text,
            author=POST.author,
            brands=("Norvik",),
            language="en",
            url=POST.url,
            reply_url=POST.url,
            intent=Intent.COMPLAINT,
            confidence=0.9,
            sentiment=Sentiment.NEGATIVE,
            urgency=4,
            urgent=True,
            urgency_parts=TRIAGE.urgency_parts,
            created_at=POST.created_at,
            triaged_at=TRIAGE.triaged_at,
        )
    ]


def test_a_withdraw_carries_no_text_no_author_and_no_labels() -> None:
    for ticket in tickets_for(triage("delete", 3), SHIPPED)[0]:
        bare = Ticket(key=ticket.key, op="withdraw", revision=3, destination=ticket.destination, post_id=POST.id)
        assert ticket == bare
        assert b'ann"' not in ticket.to_bytes()


def test_the_key_is_the_same_over_create_edit_and_delete_and_differs_by_destination() -> None:
    keys = {t.key for event in ("create", "edit", "delete") for t in tickets_for(triage(event), SHIPPED)[0]}
    assert keys == {ticket_key(POST.id, destination) for destination in DESTINATIONS}
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("urgency", "urgent", "priority"),
    [
        (0, False, "low"),
        (1, False, "low"),
        (2, False, "normal"),
        (3, False, "high"),
        (4, False, "urgent"),
        (2, True, "high"),
        (4, True, "urgent"),
    ],
)
def test_priority_follows_urgency_where_the_rule_sets_none(urgency: int, urgent: bool, priority: str) -> None:
    assert priority_of(triage(urgency=urgency, urgent=urgent)) == priority


def test_the_rule_sets_the_priority_where_it_has_one() -> None:
    (ticket,), _ = tickets_for(triage(intent=Intent.QUESTION, urgency=2), SHIPPED)
    assert (ticket.rule, ticket.priority) == ("urgent-questions", "urgent")


@pytest.mark.parametrize("url", ["https://a.example/x?y=1#z", "http://a.example:8080/", "https://[2001:db8::1]/x"])
def test_a_plain_web_address_is_kept(url: str) -> None:
    assert plain_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "ftp://a.example/",
        "//a.example/",
        "https://",
        "https:///x",
        "https://bank.example@evil.example/",
        "https://a.example/\r\nX-Evil: 1",
        "https://a.example/ x",
        'https://a.example/"><script>',
        "https://a.example/\x1b[31m",
        "https://ex\u0430mple.example/",
        "https://a.example:99999/",
        "https://[::1",
        "at://did:plc:ann/app.bsky.feed.post/1",
        " https://a.example/",
    ],
)
def test_whatever_else_stands_as_the_url_of_a_post_is_no_link(url: str) -> None:
    post = POST.model_copy(update={"url": url})
    ((ticket,), _) = tickets_for(TRIAGE.model_copy(update={"post": post}), SHIPPED)
    assert (ticket.url, ticket.reply_url) == ("", "")


@pytest.mark.parametrize(
    ("text", "room", "kept"),
    [
        ("smoke", 5, "smoke"),
        ("smoke!", 5, "sm…"),
        ("\n\n\n", 6, "\n\n\n"),
        ("\x00\x00", 11, "\x00…"),
        ("üüüü", 7, "üü…"),
        ("🔥🔥🔥", 8, "🔥…"),
    ],
)
def test_text_is_cut_by_what_its_json_takes(text: str, room: int, kept: str) -> None:
    assert cut(text, room) == kept


def test_a_long_post_keeps_its_beginning() -> None:
    post = POST.model_copy(update={"text": "smoke " * 50_000})
    ((ticket,), _) = tickets_for(TRIAGE.model_copy(update={"post": post}), SHIPPED)
    assert MAX_TEXT_BYTES - 6 <= len(ticket.text.encode()) <= MAX_TEXT_BYTES
    assert ticket.text.endswith("…")


def test_long_names_are_cut_and_ids_are_not() -> None:
    long = "n" * 300
    named = {"network": long, "source": long, "brands": (long,) * 12, "author": Author(id=long, handle=long)}
    post = POST.model_copy(update={"id": long, **named})
    ((ticket,), _) = tickets_for(TRIAGE.model_copy(update={"post": post, "language": long}), SHIPPED)
    cut_to = long[:100]
    assert (ticket.network, ticket.source, ticket.language, ticket.author.handle) == (cut_to,) * 4
    assert ticket.brands == (cut_to,) * 10
    assert (ticket.post_id, ticket.author.id) == (long, long)


characters = st.characters(codec="utf-8")


def filled(size: int) -> st.SearchStrategy[str]:
    """Text of up to ``size`` characters, often all the same one, so that it is long."""
    return st.builds(lambda char, times: char * times, characters, st.integers(1, size))


@given(
    st.builds(
        Post,
        id=filled(512),
        text=filled(20_000),
        network=filled(512),
        source=filled(512),
        author=st.builds(Author, id=filled(512), handle=filled(512)),
        brands=st.lists(filled(512), max_size=100).map(tuple),
        language=filled(35),
        url=st.integers(0, 2000).map(lambda size: f"https://a.example/{'x' * size}"),
    )
)
@settings(max_examples=100, deadline=None)
def test_no_post_makes_a_ticket_that_is_too_big_for_a_destination(post: Post) -> None:
    ((ticket,), _) = tickets_for(TRIAGE.model_copy(update={"post": post}), SHIPPED)
    assert len(ticket.to_bytes()) <= MAX_TICKET_BYTES
    assert Ticket.from_bytes(ticket.to_bytes()) == ticket

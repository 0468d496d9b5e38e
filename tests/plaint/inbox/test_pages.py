"""What a person sees: the tickets by queue and a ticket's life, whatever its author wrote into it."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from plaint.inbox.cards import latency, visible, web_link
from plaint.inbox.door import Door
from plaint.inbox.pages import STATIC
from schemas.ticket import ticket_key
from tests.plaint.inbox.peer import Peer, Start, a_ticket, body_of, signed

KEY = a_ticket()["key"]
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg/onload=alert(3)> {{ 7*7 }} {% raw %} ${7*7} "
    "\x1b[31mred\x1b]0;title\x07 \u202egnp.exe\u202c \x00 \x9b31m \r\nSet-Cookie: a=b <!-- --> </li></main>"
)


class Markup(HTMLParser):
    """Collects every element with its attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


async def send_hostile(inbox: Peer) -> None:
    names = ("network", "source", "team", "rule", "why", "language", "url", "reply_url")
    fields: dict[str, Any] = dict.fromkeys(names, HOSTILE[:200])
    ticket = a_ticket(
        text=HOSTILE,
        author={"handle": HOSTILE[:300]},
        labels=[HOSTILE],
        brands=[HOSTILE],
        urgency_parts=[{"name": HOSTILE, "points": 1e300, "why": HOSTILE}],
        **fields,
    )
    assert (await inbox.send(ticket, webhook_id="msg_<b>1</b>"))[0] == 201


@pytest.mark.parametrize("path", ["/", "/queues/helpdesk", f"/tickets/{KEY}"])
async def test_markup_templates_and_control_characters_of_a_post_are_only_text(inbox: Peer, path: str) -> None:
    await send_hostile(inbox)
    html = await inbox.page(path)
    markup = Markup(html)
    assert "<script>alert(1)</script>" in markup.text
    assert "{{ 7*7 }}" in markup.text
    assert {tag for tag, _ in markup.elements}.isdisjoint(
        {"img", "svg", "b" if path.startswith("/t") else "img"} - {"b"}
    )
    assert all(not name.startswith("on") and name != "style" for _, attrs in markup.elements for name in attrs)
    assert [attrs for tag, attrs in markup.elements if tag == "script"] == [{"src": "/static/inbox.js", "defer": None}]
    assert not set(html) & set("\x00\x07\x1b\x7f\x9b\u202e\u202c")
    hrefs = [attrs.get("href") or "" for tag, attrs in markup.elements if tag == "a"]
    assert all(href == "" or href.startswith(("/", "#")) for href in hrefs)


async def test_what_the_pages_script_gets_is_as_harmless(inbox: Peer) -> None:
    await send_hostile(inbox)
    (card,) = (await inbox.get("/api/cards?queue=helpdesk"))["cards"]
    assert card["link"] == ""
    assert not set("".join(card.values())) & set("\x00\x07\x1b\x7f\x9b\u202e\u202c")
    assert card["text"].startswith("<script>alert(1)</script>")


async def test_the_text_of_a_post_is_isolated_whatever_its_direction(inbox: Peer) -> None:
    await inbox.send(a_ticket(text="لا أحد يرد", author={"handle": "سارة"}))
    elements = Markup(await inbox.page()).elements
    assert ("p", {"class": "text", "dir": "auto", "data-field": "text"}) in elements
    assert ("bdi", {"class": "author", "data-field": "author"}) in elements


@pytest.mark.parametrize(
    "path", ["/", f"/tickets/{KEY}", "/tickets/none", "/static/inbox.js", "/api/stats", "/api/receipts", "/nowhere"]
)
async def test_every_answer_to_a_browser_keeps_it_careful(inbox: Peer, path: str) -> None:
    async with inbox.session.get(inbox.url + path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "0.0.0.0"])
async def test_a_foreign_name_that_resolves_to_loopback_reads_nothing(inbox: Peer, host: str) -> None:
    async with inbox.session.get(f"{inbox.url}/api/tickets", headers={"Host": host}) as answer:
        assert answer.status == 421
    async with inbox.session.get(f"{inbox.url}/api/tickets", headers={"Host": "localhost:1"}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("name", STATIC)
async def test_style_script_and_icon_are_there_and_nothing_else(inbox: Peer, name: str) -> None:
    async with inbox.session.get(f"{inbox.url}/static/{name}") as answer:
        assert (answer.status, answer.content_type) == (200, STATIC[name])
    async with inbox.session.get(f"{inbox.url}/static/..%2fserver.py") as answer:
        assert answer.status == 404


async def test_the_board_shows_every_queue_with_its_counts_and_newest_tickets(start: Start) -> None:
    async with start(queues=("helpdesk", "service")) as inbox:
        for number in range(32):
            post = f"post-{number}"
            await inbox.send(a_ticket(post, key=ticket_key(post, "x"), text=f"complaint {number}."), queue="helpdesk")
        await inbox.send(a_ticket("b", key=ticket_key("b", "x"), text="via a new queue"), queue="crm")
        html = await inbox.page()
        assert [attrs["data-queue"] for tag, attrs in Markup(html).elements if "data-queue" in attrs] == [
            "helpdesk",
            "service",
            "crm",
        ]
        assert '<b data-count="helpdesk.tickets">32</b>' in html
        assert "complaint 31." in html
        assert "complaint 1." not in html
        assert "Nothing here yet" in html
        (older,) = [
            attrs["href"] for _, attrs in Markup(html).elements if attrs.get("class") == "older" and attrs["href"]
        ]
        assert older == "/queues/helpdesk?after=3"
        assert "complaint 1." in (page := await inbox.page(older))
        assert re.search(r"\d\d:\d\d:\d\d UTC</time>", page)


async def test_an_inbox_of_one_queue_has_the_board_with_its_form_and_not_a_queues_page(start: Start) -> None:
    async with start(queues=("helpdesk",), door=Door("http://127.0.0.1:1")) as inbox:
        board, queue = await inbox.page(), await inbox.page("/queues/helpdesk")
    assert ('<main id="main" class="board"' in board, 'id="try"' in board) == (True, True)
    assert ('<main id="main" class="board single"' in queue, 'id="try"' in queue) == (True, False)


async def test_a_tickets_page_tells_its_whole_life(inbox: Peer) -> None:
    parts = [{"name": "model", "points": 2.4}, {"name": "repeated contact", "points": 0.6, "why": "third time"}]
    await inbox.send(a_ticket(urgency_parts=parts, rule="urgent complaints", url="https://social.example/1"), "msg_1")
    await inbox.send(webhook_id="msg_1")
    await inbox.send(a_ticket(op="update", revision=4, urgency_parts=parts, url="https://social.example/1"), "msg_2")
    html = await inbox.page(f"/tickets/{KEY}")
    for said in ("msg_1", "2 requests", "the same again: dropped", "msg_2", "of revision 4: updated", "third time"):
        assert said in html
    assert ("a", "https://social.example/1", "noopener noreferrer nofollow") in [
        (tag, attrs.get("href"), attrs.get("rel")) for tag, attrs in Markup(html).elements
    ]
    await inbox.send(a_ticket(op="withdraw", revision=5, text=""), "msg_3")
    html = await inbox.page(f"/tickets/{KEY}")
    assert "Withdrawn; its text is gone." in html
    assert "third time" not in html


async def test_a_ticket_that_can_not_be_read_is_shown_as_that(inbox: Peer) -> None:
    body = body_of(a_ticket() | {"urgency": "<b>high</b>", "confidence": float("nan")})
    assert (await inbox.post(body, signed("msg_1", body)))[0] == 201
    for path in ("/", f"/tickets/{KEY}"):
        page = await inbox.page(path)
        assert "It can&#39;t be read as a ticket." in page
        assert "data.urgency: Input should be" in page
    assert (await inbox.get(f"/api/tickets/{KEY}"))["ticket"]["urgency"] == "<b>high</b>"


async def test_what_is_not_there_is_said_so(inbox: Peer) -> None:
    for path in ("/tickets/none", "/queues/nobody", "/static/none"):
        async with inbox.session.get(inbox.url + path) as answer:
            assert answer.status == 404
            assert "Not here" in await answer.text()


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://social.example/@a/1?b=c#d", True),
        ("http://social.example", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt:alert(1)", False),
        ("data:text/html,x", False),
        ("//social.example", False),
        ("/tickets/1", False),
        ("https://user:pass@social.example", False),
        ("https://", False),
        ("https://[::1", False),
        ("https://social.example/\u202egnp", False),
        ("https://social.example/\nx", False),
        ("\x01https://social.example", False),
    ],
)
def test_only_plain_web_addresses_become_links(url: str, link: bool) -> None:
    assert web_link(url) == (url if link else "")


def test_unseen_steering_characters_are_shown_and_writing_is_left_alone() -> None:
    assert visible("a\x00b\x1bc\x7fd\x85e\u202ef\u2066g") == "a\u2400b\u241bc\u2421d\ufffde\ufffdf\u2066g"
    for text in ("two\nlines\tof 😀 👩🏽‍🚒 text", "مرحبا \u200fبك", "한국어"):
        assert visible(text) == text


def test_latency_is_told_in_units_that_fit() -> None:
    at = datetime(2026, 11, 20, 10, tzinfo=UTC)
    told = [latency(at, at.timestamp() + seconds) for seconds in (0.42, 12, 200, 9000, 400_000, -1)]
    assert told == ["in 0.42 s", "in 12 s", "in 3 min", "in 2 h", "in 5 d", ""]
    assert latency(None, 1.0) == ""

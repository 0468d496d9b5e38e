"""The form: what somebody types goes to the door, and the page says what became of it; another site can't send it."""

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from plaint.inbox.door import Door
from schemas.ticket import ticket_key
from tests.plaint.inbox.peer import Peer, Start, a_ticket, until
from tests.plaint.inbox.way import Told, Way, a_way

COMPLAINT = "my router is dead for the third time and nobody answers"
ROUTES = """\
rules:
  - {name: watched, why: Only counted., match: {intent: complaint}, destinations: [], continue: true}
  - {name: complaints, why: A complaint., match: {intent: complaint}, destinations: [helpdesk]}
  - {name: rest, why: The rest., destinations: []}
silences:
  - {match: {post.text: {contains: outage}}, until: 2099-01-01, by: mara, why: Known.}
"""


@pytest.fixture
async def way() -> AsyncIterator[Way]:
    async with a_way() as opened:
        yield opened


async def token_of(inbox: Peer) -> str:
    found = re.search(r'name="token" value="([0-9a-f]{64})"', await inbox.page("/try"))
    assert found is not None
    return found[1]


async def typed(
    inbox: Peer, text: str, headers: dict[str, str] | None = None, **fields: str
) -> tuple[int, str, dict[str, str]]:
    """Send the form as a browser does without script: status, page, headers."""
    form = {"token": await token_of(inbox), "text": text, **fields}
    async with inbox.session.post(f"{inbox.url}/posts", data=form, headers=headers, allow_redirects=False) as answer:
        return answer.status, unescape(await answer.text()), dict(answer.headers)


async def page_of(inbox: Peer, text: str) -> str:
    status, _, headers = await typed(inbox, text)
    assert status == 303
    return headers["Location"]


async def outcome(inbox: Peer, page: str) -> dict[str, Any]:
    found: dict[str, Any] = await inbox.get(f"/api{page}")
    return found


def deliver_to(inbox: Peer, queue: str, **fields: Any) -> Any:
    async def deliver(post: dict[str, Any]) -> None:
        ticket = a_ticket(post["id"], key=ticket_key(post["id"], queue), text=post["text"], destination=queue, **fields)
        await inbox.send(ticket, queue=queue)

    return deliver


async def test_a_typed_complaint_goes_to_the_door_and_its_page_shows_the_ticket(start: Start, way: Way) -> None:
    async with start(door=way.door()) as inbox:
        page = await page_of(inbox, f"  {COMPLAINT}\r\nplease\n")
        assert (await outcome(inbox, page))["state"] == "waiting"
        assert 'http-equiv="refresh"' in await inbox.page(page)
        (post,) = way.posts
        assert (post["text"], post["network"]) == (f"{COMPLAINT}\nplease", "inbox")
        await deliver_to(inbox, "helpdesk", urgent=True, rule="urgent-complaints", why="Somebody is blocked.")(post)
        found = await outcome(inbox, page)
        assert (found["state"], found["note"]) == ("settled", "")
        assert found["headline"] == "Complaint, urgent: ticket #1 in the helpdesk queue"
        assert found["rule"] == "rule urgent-complaints: Somebody is blocked."
        assert re.fullmatch(r"\d\.\d\d s after it was sent", found["took"])
        html = await inbox.page(page)
        assert f'href="/tickets/{ticket_key(post["id"], "helpdesk")}"' in html
        assert 'http-equiv="refresh"' not in html


@pytest.mark.parametrize(
    ("labels", "state", "headline"),
    [
        ({"intent": "other"}, "settled", "Other: no ticket"),
        ({"intent": "question"}, "waiting", "Question: under way to service"),
        ({"intent": "complaint", "urgent": True}, "settled", "Complaint, urgent: goes to helpdesk, not to this inbox"),
    ],
)
async def test_a_post_without_a_ticket_here_says_why(
    start: Start, way: Way, labels: dict[str, Any], state: str, headline: str
) -> None:
    insight = Told()
    async with start(door=way.door(), insight=insight, queues=("service", "marketing")) as inbox:
        page = await page_of(inbox, "Saw the ferry today")
        await insight.tell(way.posts[0], **labels)
        found = await outcome(inbox, page)
        assert (found["state"], found["headline"], found["tickets"]) == (state, headline, [])
        assert found["label"] == f"{labels['intent']}, confidence 0.90"


@pytest.mark.parametrize(
    ("text", "rule", "headline"),
    [
        ("It broke", "rule complaints: A complaint.", "Complaint: under way to helpdesk"),
        ("An outage", "silenced by mara until 2099-01-01 00:00 UTC: Known.", "Complaint: no ticket"),
    ],
)
async def test_the_page_names_the_rule_that_makes_the_ticket_or_who_silences_it(
    start: Start, way: Way, tmp_path: Path, text: str, rule: str, headline: str
) -> None:
    routes = tmp_path / "routes.yaml"
    routes.write_text(ROUTES)
    insight = Told(routes)
    async with start(door=way.door(), insight=insight) as inbox:
        page = await page_of(inbox, text)
        await insight.tell(way.posts[0], intent="complaint")
        found = await outcome(inbox, page)
        assert (found["rule"], found["headline"]) == (rule, headline)


async def test_being_shown_and_being_sent_readies_whoever_tells_verdicts(start: Start, way: Way) -> None:
    insight = Told()
    async with start(door=way.door(), insight=insight) as inbox:
        await inbox.get("/api/stats")
        await inbox.page("/queues/helpdesk")
        assert insight.expected == 0
        await inbox.page("/")
        assert insight.expected == 1
        await page_of(inbox, COMPLAINT)
        assert insight.expected == 3


async def test_without_a_door_there_is_no_form(start: Start) -> None:
    async with start(insight=Told()) as inbox:
        assert "<form" not in await inbox.page()
        for method, path in (("GET", "/try"), ("POST", "/posts")):
            async with inbox.session.request(method, inbox.url + path) as answer:
                assert answer.status == 404


@pytest.mark.parametrize("text", ["", " \n\t ", "\u200b\u2063"])
async def test_nothing_to_send_is_said_and_not_sent(start: Start, way: Way, text: str) -> None:
    async with start(door=way.door()) as inbox:
        status, html, _ = await typed(inbox, text)
        assert (status, way.posts) == (400, [])
        assert "Type something first." in html


async def test_too_long_a_text_is_kept_in_the_form_and_not_sent(start: Start, way: Way) -> None:
    async with start(door=way.door()) as inbox:
        status, html, _ = await typed(inbox, "ä" * 5_001)
        assert (status, way.posts) == (413, [])
        assert "5,001 characters are over 5,000" in html


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (
            (429, "too many <b>posts</b>\x1b[31m"),
            429,
            "The door did not take it (status 429): too many <b>posts</b>␛[31m",
        ),
        ((500, "it broke"), 502, "(status 500): it broke"),
        ((302, ""), 502, "(status 302)"),
    ],
)
async def test_what_the_door_refuses_is_told_with_the_text_kept(
    start: Start, way: Way, answer: tuple[int, str], status: int, said: str
) -> None:
    way.answer = answer
    async with start(door=way.door()) as inbox:
        got, html, _ = await typed(inbox, f"</textarea><b>{COMPLAINT}")
        assert got == status
        assert said in html
        assert f"</textarea><b>{COMPLAINT}</textarea>" in html
        async with inbox.session.post(
            f"{inbox.url}/posts",
            data={"token": await token_of(inbox), "text": COMPLAINT},
            headers={"Accept": "application/json"},
        ) as told:
            assert (told.status, told.content_type) == (status, "application/problem+json")
            assert said in (await told.json())["detail"]


async def test_a_door_that_is_gone_is_told(start: Start) -> None:
    async with start(door=Door("http://127.0.0.1:9")) as inbox:
        status, html, _ = await typed(inbox, COMPLAINT)
        assert status == 503
        assert "The door at http://127.0.0.1:9/v1/posts does not answer" in html


async def test_the_doors_token_goes_with_the_post_and_nowhere_else(start: Start, way: Way) -> None:
    async with start(door=way.door(token=SecretStr("a-token-of-the-door"))) as inbox:
        page = await page_of(inbox, COMPLAINT)
        assert way.headers[0]["Authorization"] == "Bearer a-token-of-the-door"
        assert "a-token-of-the-door" not in await inbox.page(page) + await inbox.page()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "null"},
        {"Sec-Fetch-Site": "none"},
        {"Host": "evil.example"},
    ],
)
async def test_another_site_can_not_type_here_even_with_the_token(
    start: Start, way: Way, headers: dict[str, str]
) -> None:
    async with start(door=way.door()) as inbox:
        status, _, _ = await typed(inbox, COMPLAINT, headers=headers)
        assert (status, way.posts) == (421 if "Host" in headers else 403, [])


@pytest.mark.parametrize("token", ["", "0" * 64, "ü"])
async def test_a_form_without_the_token_is_refused(start: Start, way: Way, token: str) -> None:
    async with start(door=way.door()) as inbox:
        status, html, _ = await typed(inbox, COMPLAINT, token=token)
        assert (status, way.posts) == (403, [])
        assert "load this page again" in html
        status, _, _ = await typed(inbox, COMPLAINT, headers={"Origin": "null", "Sec-Fetch-Site": "same-origin"})
        assert status == 303


async def test_only_what_was_typed_here_has_a_page(start: Start, way: Way) -> None:
    async with start(door=way.door()) as inbox:
        for path in ("/posts/nobody", "/api/posts/nobody", "/posts/at%3A%2F%2Fdid%2Fx"):
            async with inbox.session.get(inbox.url + path) as answer:
                assert answer.status == 404


async def test_a_typed_post_that_takes_long_says_so(start: Start, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plaint.inbox.outcome.LATE_S", 0.05)
    async with start(door=way.door()) as inbox:
        page = await page_of(inbox, COMPLAINT)

        async def is_late() -> bool:
            return "` tells what holds it up" in (await outcome(inbox, page))["note"]

        await until(is_late)

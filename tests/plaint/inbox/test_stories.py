"""A post's whole story: every step in the order of time, every rule that was tried, and what a hostile post makes of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from plaint.inbox.story import story
from plaint.lookup.explanation import (
    Drop,
    Explanation,
    Label,
    Letter,
    PostSeen,
    Routing,
    RuleTried,
    Step,
    TicketAsked,
    TicketLife,
)
from schemas.labels import Intent
from schemas.ticket import ticket_key
from schemas.triage import UrgencyPart
from tests.plaint.inbox.peer import Start, a_ticket
from tests.plaint.inbox.way import Told

BEGAN = datetime(2026, 11, 20, 10, tzinfo=UTC)
KEY = ticket_key("post-1", "helpdesk")


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def a_step(seconds: float, state: str, attempt: int, **fields: Any) -> Step:
    values = {"status": None, "due_at": None, "reason": "", "remote_id": "", "remote_url": "", "counts": True, **fields}
    whole = {"place": "p", "at": at(seconds), "state": state, "op": "create", "revision": 0, "generation": 0}
    return Step.model_validate({**whole, "attempt": attempt, **values})


def an_explanation(why: str = "Somebody is blocked.", **fields: Any) -> Explanation:
    post = PostSeen(place="plaint.posts[3]@7", at=at(0), became="triaged", event="create", text="dead", source="file")
    label = Label(
        place="plaint.triaged[3]@7",
        at=at(0.1),
        counts=True,
        event="create",
        revision=0,
        intent=Intent.COMPLAINT,
        confidence=0.98,
        intents={},
        sentiment=None,
        urgency=3,
        urgent=True,
        urgency_parts=(UrgencyPart(name="model", points=2.4), UrgencyPart(name="third time", points=0.6)),
        unsure=False,
        model_version="minilm-5",
        policy_version="1",
        triaged_at=at(0.1),
    )
    shared = {"parents": (), "took": False, "unmet": "", "destinations": ()}
    tried = (
        RuleTried.model_validate({**shared, "rule": "own-posts", "why": "own", "unmet": "own_account is false"}),
        RuleTried.model_validate(
            {**shared, "rule": "urgent-complaints", "why": why, "took": True, "destinations": ("helpdesk",)}
        ),
    )
    asked = TicketAsked(
        place="plaint.tickets.helpdesk[0]@1",
        at=at(0.2),
        op="create",
        revision=0,
        generation=0,
        rule="urgent-complaints",
        why=why,
        priority="urgent",
        team="",
    )
    steps = (
        a_step(0.3, "accepted", 0),
        a_step(0.31, "sending", 1),
        a_step(0.4, "accepted", 1, status=503, due_at=at(5)),
        a_step(5.0, "sending", 2),
        a_step(5.1, "done", 2, status=201, remote_id="12"),
    )
    life = TicketLife(
        destination="helpdesk",
        post_id="post-1",
        key=KEY,
        webhook_id="msg_1",
        state="done",
        asked=(asked,),
        steps=steps,
        requests=2,
    )
    whole: dict[str, Any] = {
        "post_id": "post-1",
        "at": at(9),
        "found": True,
        "summary": "Delivered to helpdesk at the second try.",
        "posts": (post,),
        "labels": (label,),
        "routing": Routing(revision=0, tried=tried, destinations=("helpdesk",)),
        "tickets": (life,),
    }
    return Explanation.model_validate({**whole, **fields})


def test_every_step_stands_in_the_order_of_time_with_what_came_of_it() -> None:
    told = story(an_explanation())
    assert [(item.clock, item.title, item.tone) for item in told.steps] == [
        ("10:00:00.000", "Received from file", ""),
        ("10:00:00.100", "Classified: complaint, confidence 0.98, urgent", ""),
        ("10:00:00.200", "Routed to helpdesk: create of revision 0", ""),
        ("10:00:00.300", "helpdesk: taken on", ""),
        ("10:00:00.310", "helpdesk: attempt 1 sent", ""),
        ("10:00:00.400", "helpdesk: attempt 1 failed", "wait"),
        ("10:00:05.000", "helpdesk: attempt 2 sent", ""),
        ("10:00:05.100", "helpdesk: delivered as 12", "good"),
    ]
    assert told.steps[1].text == "high urgency = model 2.4 + third time 0.6; model minilm-5"
    assert told.steps[5].text == "status 503, next try at 10:00:05 UTC"
    assert [(item.title, item.text) for item in told.rules] == [
        ("own-posts", "own_account is false"),
        ("urgent-complaints", "took it, to helpdesk. Somebody is blocked."),
    ]


def test_what_ended_badly_is_told_as_that() -> None:
    letter = Letter(
        id="1", at=at(1), reason="refused", stage="deliver", place="p", detail="400 no", size=1, kept=1, sha256=""
    )
    told = story(
        an_explanation(
            dead_letters=(letter,),
            drops=(Drop(reason="unrouted", place="p", why="no rule"),),
            unknown=("How often before.",),
            check=("plaint dead show 1",),
        )
    )
    (dead,) = [item for item in told.steps if item.title.startswith("Dead letter")]
    assert (dead.title, dead.text, dead.tone) == ("Dead letter at deliver: refused", "400 no", "bad")
    assert [(note.title, note.text) for note in told.notes] == [
        ("unrouted", "no rule"),
        ("Not known", "How often before."),
        ("To do", "plaint dead show 1"),
    ]


def test_a_ticket_that_was_withdrawn_or_never_sent_is_not_told_as_delivered() -> None:
    (life,) = an_explanation().tickets
    steps = (
        a_step(1.0, "done", 1, status=201, remote_id="12"),
        a_step(2.0, "done", 1, op="withdraw", status=200, remote_id="12"),
        a_step(3.0, "done", 0, op="withdraw", reason="nothing_to_withdraw"),
        a_step(4.0, "done", 0, op="withdraw", reason="collapsed"),
    )
    told = story(an_explanation(tickets=(life.model_copy(update={"asked": (), "steps": steps}),)))
    assert [(item.title, item.text, item.tone) for item in told.steps[-4:]] == [
        ("helpdesk: delivered as 12", "status 201", "good"),
        ("helpdesk: withdrawn as 12", "status 200", "good"),
        ("helpdesk: it had nothing to withdraw", "", ""),
        ("helpdesk: withdrawn before anything was sent", "", ""),
    ]


def test_a_story_of_several_days_tells_the_day_of_each_step() -> None:
    (life,) = an_explanation().tickets
    steps = (*life.steps[:2], a_step(0.4, "accepted", 1, status=503, due_at=at(90_000)), *life.steps[3:])
    told = story(an_explanation(at=at(200_000), tickets=(life.model_copy(update={"steps": steps}),)))
    assert told.steps[0].clock == "20 Nov 10:00:00.000"
    assert "status 503, next try at 21 Nov 11:00:00 UTC" in [item.text for item in told.steps]


async def test_the_story_has_a_page_and_an_answer_for_the_script(start: Start) -> None:
    insight = Told()
    insight.explanations["at://did/1"] = an_explanation(why="<script>alert(1)</script>\x1b[31m\u202e")
    async with start(insight=insight) as inbox:
        html = await inbox.page("/posts/at%3A%2F%2Fdid%2F1/story")
        assert "&lt;script&gt;alert(1)&lt;/script&gt;␛[31m" in html
        assert "delivered as 12" in html
        assert not set(html) & set("\x1b\u202e")
        found = await inbox.get("/api/stories/at%3A%2F%2Fdid%2F1")
        assert found["rules"][1]["text"] == "took it, to helpdesk. <script>alert(1)</script>␛[31m\ufffd"


async def test_what_nobody_knows_and_what_can_not_be_read_now_is_said(start: Start) -> None:
    insight = Told()
    async with start(insight=insight) as inbox:
        async with inbox.session.get(f"{inbox.url}/posts/nobody/story") as answer:
            assert (answer.status, "Nothing holds it." in await answer.text()) == (404, True)
        insight.away = "no answer from 127.0.0.1:9092"
        async with inbox.session.get(f"{inbox.url}/posts/nobody/story") as answer:
            assert (answer.status, "no answer from" in await answer.text()) == (503, True)
        async with inbox.session.get(f"{inbox.url}/api/stories/nobody") as answer:
            assert (answer.status, (await answer.json())["detail"]) == (503, "no answer from 127.0.0.1:9092")


async def test_a_tickets_page_leads_to_its_posts_story_where_there_is_one(start: Start) -> None:
    async with start(insight=Told()) as inbox:
        await inbox.send(a_ticket("at://did/1"))
        page = await inbox.page(f"/tickets/{a_ticket('at://did/1')['key']}")
        assert 'href="/posts/at%3A%2F%2Fdid%2F1/story"' in page
        assert 'data-story="/api/stories/at%3A%2F%2Fdid%2F1"' in page
    async with start() as inbox:
        await inbox.send(a_ticket("at://did/1"))
        assert "story" not in await inbox.page(f"/tickets/{a_ticket('at://did/1')['key']}")

"""The inbox fails as it is told to, and its receipts tell what it took meanwhile."""

import asyncio
import time
from collections import Counter

import aiohttp
import pytest
from pydantic import ValidationError

from plaint.inbox.faults import Answer, Chance, Drop, Faults, Wait
from tests.plaint.inbox.peer import Peer, Start, a_ticket, body_of, signed, until
from tests.support.burden import burden


async def test_it_answers_the_status_that_it_is_told_with_retry_after(inbox: Peer) -> None:
    await inbox.fail({"do": "answer", "status": 429, "retry_after": "7"})
    body = body_of(a_ticket())
    url, headers = f"{inbox.url}/hooks/helpdesk", signed("msg_1", body)
    async with inbox.session.post(url, data=body, headers=headers) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    assert await inbox.receipts() == {}
    await inbox.fail()
    assert (await inbox.send(webhook_id="msg_1"))[0] == 201
    assert (await inbox.receipts())["msg_1"]["requests"] == 2, "those before it was taken count"


async def test_an_error_after_taking_makes_the_next_request_a_repeat_of_an_unanswered_one(inbox: Peer) -> None:
    await inbox.fail({"do": "answer", "status": 500, "taken": True})
    assert (await inbox.send(webhook_id="msg_1"))[0] == 500
    assert (await inbox.receipts())["msg_1"]["answers"] == 0
    await inbox.fail()
    assert (await inbox.send(webhook_id="msg_1"))[0] == 200
    stats = await inbox.get("/api/stats")
    assert (stats["repeats_unanswered"], stats["repeats_answered"], stats["failed"]["answer"]) == (1, 0, 1)


@pytest.mark.parametrize("taken", [False, True])
async def test_it_drops_the_line_before_or_after_it_has_taken_the_ticket(inbox: Peer, taken: bool) -> None:
    await inbox.fail({"do": "drop", "taken": taken})
    with pytest.raises(aiohttp.ClientConnectionError):
        await inbox.send(webhook_id="msg_1")
    assert ("msg_1" in await inbox.receipts()) is taken
    assert (await inbox.get("/api/stats"))["failed"]["drop"] == 1


@pytest.mark.parametrize("taken", [False, True])
async def test_it_hangs_without_an_answer_until_the_sender_gives_up(inbox: Peer, taken: bool) -> None:
    await inbox.fail({"do": "hang", "taken": taken})
    with pytest.raises(TimeoutError):
        await inbox.send(webhook_id="msg_1", timeout=0.5)
    assert ("msg_1" in await inbox.receipts()) is taken


async def test_it_ends_at_once_though_requests_hang(start: Start) -> None:
    async with aiohttp.ClientSession() as session:
        async with start(faults=Faults.model_validate({"rules": [{"do": "hang"}]})) as inbox:
            peer = Peer(inbox.url, session)
            hanging = asyncio.create_task(peer.send())
            await until(lambda: hangs(peer))
            began = time.monotonic()
        assert (time.monotonic() - began) / burden() < 1.5
        with pytest.raises(aiohttp.ClientConnectionError):
            await hanging


async def test_it_lets_the_sender_wait_and_a_sender_that_left_was_not_answered(inbox: Peer) -> None:
    await inbox.fail({"do": "wait", "seconds": 0.3})
    began = time.monotonic()
    assert (await inbox.send(webhook_id="msg_1"))[0] == 201
    assert time.monotonic() - began >= 0.3
    with pytest.raises(TimeoutError):
        await inbox.send(a_ticket(revision=1, op="update"), webhook_id="msg_2", timeout=0.1)
    await until(lambda: took(inbox, "msg_2"))
    receipts = await inbox.receipts()
    assert (receipts["msg_1"]["answers"], receipts["msg_2"]["answers"]) == (1, 0)


async def test_a_fault_of_one_queue_leaves_the_others_alone(inbox: Peer) -> None:
    await inbox.fail({"do": "answer", "status": 503, "queue": "helpdesk"})
    assert (await inbox.send(queue="helpdesk"))[0] == 503
    assert (await inbox.send(queue="service"))[0] == 201


async def test_the_rules_in_force_can_be_read(inbox: Peer) -> None:
    await inbox.fail({"do": "drop", "share": 0.2, "taken": True}, seed=3)
    rules = {"queue": None, "do": "drop", "share": 0.2, "taken": True}
    assert await inbox.get("/api/faults") == {"seed": 3, "rules": [{k: v for k, v in rules.items() if v is not None}]}


async def test_wrong_rules_are_refused_and_those_in_force_stay(inbox: Peer) -> None:
    await inbox.fail({"do": "wait", "seconds": 0})
    before = await inbox.get("/api/faults")
    for rule in (
        {"do": "burn"},
        {"do": "drop", "share": 2},
        {"do": "answer", "status": 503, "retry_after": "1\r\nX: y"},
    ):
        async with inbox.session.post(f"{inbox.url}/api/faults", json={"rules": [rule]}) as answer:
            assert answer.status == 400
    async with inbox.session.post(f"{inbox.url}/api/faults", data='{"rules":[]}') as answer:
        assert answer.status == 415, "a form of another page can send text, but no JSON"
    assert await inbox.get("/api/faults") == before


async def test_an_inbox_that_is_no_test_receiver_has_no_faults(start: Start) -> None:
    async with start() as inbox:
        for method in ("GET", "POST"):
            async with inbox.session.request(method, f"{inbox.url}/api/faults", json={"rules": []}) as answer:
                assert answer.status == 404


def test_the_share_is_kept_and_the_same_seed_gives_the_same_draws() -> None:
    faults = Faults(seed=5, rules=(Drop(do="drop", share=0.1), Drop(do="drop", share=0.1, taken=True)))
    chance = Chance(faults)
    drawn = [[rule.taken for rule in chance.draw("helpdesk") if isinstance(rule, Drop)] for _ in range(10_000)]
    counts = Counter(map(tuple, drawn))
    assert 900 < counts[(False,)] < 1_100
    assert 800 < counts[(True,)] < 1_000, "nine in ten of a tenth: the first failure ends the draw"
    again = Chance(faults)
    assert drawn == [[rule.taken for rule in again.draw("helpdesk") if isinstance(rule, Drop)] for _ in range(10_000)]


def test_a_request_meets_all_waits_before_its_failure() -> None:
    wait, answer = Wait(do="wait", seconds=1), Answer(do="answer", status=500)
    assert list(Chance(Faults(rules=(wait, wait, answer, wait))).draw("x")) == [wait, wait, answer]


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Faults.model_validate({"rules": [{"do": "drop", "after": True}]})


async def hangs(inbox: Peer) -> bool:
    return bool((await inbox.get("/api/stats"))["failed"]["hang"])


async def took(inbox: Peer, webhook_id: str) -> bool:
    return webhook_id in await inbox.receipts()

"""A ticket is applied once for each webhook id, by key and revision, and every id can be counted afterwards."""

import asyncio
import resource
from pathlib import Path
from typing import Any

import pytest

from plaint.inbox.faults import Faults
from plaint.inbox.journal import Journal, JournalDamaged
from plaint.inbox.store import Store
from schemas.ticket import ticket_key
from tests.plaint.inbox.peer import Peer, Start, a_ticket, body_of, signed

KEY = a_ticket()["key"]


async def text_of(inbox: Peer, key: str = KEY) -> str | None:
    ticket = (await inbox.get(f"/api/tickets/{key}"))["ticket"]
    return None if ticket is None else ticket["text"]


async def test_a_repeated_id_is_dropped_and_gets_the_same_answer(inbox: Peer) -> None:
    first = await inbox.send(webhook_id="msg_1")
    again = await inbox.send(a_ticket(revision=9, text="other"), webhook_id="msg_1")
    assert (first[0], again) == (201, (200, first[1]))
    receipt = (await inbox.receipts())["msg_1"]
    assert (receipt["requests"], receipt["answers"], len(receipt["repeated_at"])) == (2, 2, 1)
    stats = await inbox.get("/api/stats")
    assert (stats["taken"], stats["repeats_answered"], stats["repeats_unanswered"], stats["requests"]) == (1, 1, 0, 2)
    assert await text_of(inbox) == a_ticket()["text"]


async def test_the_highest_revision_wins_in_whatever_order_they_come(inbox: Peer) -> None:
    await inbox.send(a_ticket(op="update", revision=2, text="second edit"))
    await inbox.send(a_ticket(op="update", revision=1, text="first edit"))
    status, _ = await inbox.send(a_ticket(op="create", revision=0))
    assert status == 200
    assert await text_of(inbox) == "second edit"
    outcomes = [receipt["outcome"] for receipt in (await inbox.receipts()).values()]
    assert outcomes == ["updated", "stale", "stale"]
    assert (await inbox.get("/api/stats"))["stale"] == 2


async def test_a_withdraw_erases_the_text_and_keeps_the_ticket_away(inbox: Peer) -> None:
    await inbox.send()
    await inbox.send(a_ticket(op="withdraw", revision=3, text=""))
    await inbox.send(a_ticket(op="update", revision=2))
    ticket = await inbox.get(f"/api/tickets/{KEY}")
    assert (ticket["withdrawn"], ticket["ticket"]) == (True, None)
    assert a_ticket()["text"] not in await inbox.page(f"/tickets/{KEY}")
    counts = (await inbox.get("/api/stats"))["queues"]["helpdesk"]
    assert (counts["tickets"], counts["withdrawn"]) == (1, 1)


async def test_a_create_under_another_id_is_counted_as_a_second_ticket(inbox: Peer) -> None:
    await inbox.send(webhook_id="msg_1")
    await inbox.send(webhook_id="msg_2")
    stats = await inbox.get("/api/stats")
    assert (stats["tickets"], stats["creates"], stats["second_tickets"]) == (1, 2, 1)
    assert (await inbox.receipts())["msg_2"]["outcome"] == "second"


async def test_a_create_after_a_withdraw_opens_the_ticket_again_and_is_no_second_one(inbox: Peer) -> None:
    await inbox.send()
    await inbox.send(a_ticket(op="withdraw", revision=1, text=""))
    await inbox.send(a_ticket(op="create", revision=2, text="back again"))
    assert await text_of(inbox) == "back again"
    stats = await inbox.get("/api/stats")
    assert (stats["second_tickets"], stats["withdrawn"]) == (0, 0)


async def test_two_requests_at_once_under_one_id_are_one_ticket(inbox: Peer) -> None:
    await inbox.fail({"do": "wait", "seconds": 0.2})
    answers = await asyncio.gather(*(inbox.send(webhook_id="msg_1") for _ in range(5)))
    assert sorted(status for status, _ in answers) == [200, 200, 200, 200, 201]
    assert {answer["id"] for _, answer in answers} == {"1"}
    assert (await inbox.receipts())["msg_1"]["requests"] == 5
    assert (await inbox.get("/api/stats"))["repeats_answered"] == 4


async def test_tickets_come_newest_first_a_page_at_a_time(inbox: Peer) -> None:
    for number in range(7):
        post = f"post-{number}"
        await inbox.send(a_ticket(post, key=ticket_key(post, "x")), queue=("helpdesk", "service")[number % 2])
    seen: list[int] = []
    after: Any = ""
    while after is not None:
        page = await inbox.get(f"/api/tickets?limit=3&after={after}")
        seen += [ticket["number"] for ticket in page["tickets"]]
        after = page["after"]
    assert seen == [7, 6, 5, 4, 3, 2, 1]
    helpdesk = await inbox.get("/api/tickets?queue=helpdesk&after=5")
    assert [ticket["number"] for ticket in helpdesk["tickets"]] == [3, 1]
    assert await inbox.get("/api/tickets?queue=nobody") == {"tickets": [], "after": None}


@pytest.mark.parametrize("query", ["limit=x", "limit=1001", "after=-1", "after=%00", "limit=1e3"])
async def test_a_wrong_parameter_is_named(inbox: Peer, query: str) -> None:
    for path in ("/api/tickets", "/api/cards", "/queues/helpdesk"):
        async with inbox.session.get(f"{inbox.url}{path}?{query}") as answer:
            assert answer.status == 400
            assert query.split("=")[0] in await answer.text()


async def test_only_the_newest_texts_are_held_but_every_id_is_known(start: Start) -> None:
    async with start(keep=2) as inbox:
        for number in range(4):
            await inbox.send(a_ticket(f"post-{number}", key=ticket_key(f"post-{number}", "x")), f"msg_{number}")
        tickets = (await inbox.get("/api/tickets"))["tickets"]
        assert [ticket["ticket"] is not None for ticket in tickets] == [True, True, False, False]
        assert (await inbox.send(a_ticket("post-0", key=ticket_key("post-0", "x")), "msg_0"))[0] == 200
        assert "no longer held" in await inbox.page()


async def test_an_update_counts_as_new_and_a_withdrawn_ticket_takes_no_place(start: Start) -> None:
    def ticket(post: str, op: str = "create", revision: int = 0) -> dict[str, Any]:
        return a_ticket(post, op, revision, key=ticket_key(post, "x"))

    async with start(keep=2) as inbox:
        for sent in (ticket("a"), ticket("b"), ticket("a", "update", 1), ticket("c")):
            await inbox.send(sent)
        assert await text_of(inbox, ticket_key("b", "x")) is None
        assert await text_of(inbox, ticket_key("a", "x")) is not None
        for sent in (ticket("c", "withdraw", 1), ticket("d")):
            await inbox.send(sent)
        assert await text_of(inbox, ticket_key("a", "x")) is not None


async def test_a_restarted_inbox_knows_what_it_took_and_never_wrote_text_down(start: Start, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with start(journal=journal, faults=Faults()) as inbox:
        first = await inbox.send(webhook_id="msg_1")
        await inbox.send(webhook_id="msg_1")
        await inbox.fail({"do": "answer", "status": 503, "taken": True})
        await inbox.send(a_ticket("post-2", key=ticket_key("post-2", "x")), webhook_id="msg_2")
        receipts, stats = await inbox.receipts(), await inbox.get("/api/stats")
    assert a_ticket()["text"] not in journal.read_text()
    with journal.open("ab") as torn:
        torn.write(b'{"event":"take","queue":"help')  # killed while it wrote
    async with start(journal=journal) as inbox:
        assert await inbox.receipts() == receipts
        assert (await inbox.get("/api/stats"))["queues"] == stats["queues"]
        again = await inbox.send(webhook_id="msg_1")
        assert (again[0], again[1]["id"]) == (200, first[1]["id"])
        await inbox.send(a_ticket("post-2", key=ticket_key("post-2", "x")), webhook_id="msg_2")
        stats = await inbox.get("/api/stats")
        assert (stats["second_tickets"], stats["repeats_answered"], stats["repeats_unanswered"]) == (0, 2, 1)
    async with start(journal=journal) as inbox:
        assert (await inbox.receipts())["msg_1"]["requests"] == 3


@pytest.mark.parametrize("line", [b"hello\n", b'{"event":"take","id":"x"}\n', b'{"event":"not_answered","id":"x"}\n'])
def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "notes"
    sound = b'{"event":"request","queue":"helpdesk","id":"msg_1","at":1.5}\n'
    path.write_bytes(sound + line)
    with Journal(path) as journal, pytest.raises(JournalDamaged, match=rf"^{path}:2: .*; .* move the file away"):
        journal.restore(Store(keep=1))
    assert path.read_bytes() == sound + line


async def test_on_a_full_disk_the_sender_is_told_to_come_again_and_the_journal_stays_sound(
    start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    async with start(journal=path) as inbox:
        for number in range(20):
            await inbox.send(webhook_id=f"msg_{number}")
        before, body = path.read_bytes(), body_of(a_ticket())
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 40, hard))
            url, headers = f"{inbox.url}/hooks/helpdesk", signed("late", body)
            async with inbox.session.post(url, data=body, headers=headers) as answer:
                assert answer.status == 500
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes() == before
        assert (await inbox.send(webhook_id="late"))[0] == 200
    async with start(journal=path) as inbox:
        assert "late" in await inbox.receipts()

"""How tickets stand by the delivery logs, and having them tried again, on each broker."""

import time
from typing import Any

import pytest

from plaint.again.plan import Done
from plaint.again.tickets import plan_retries, retry
from plaint.kafka.publisher import OutRecord
from plaint.kafka.reading import Stored, TopicReader
from plaint.lookup.lives import LifeBook
from plaint.lookup.tickets import TicketBook, TicketRow, WantedTickets, key_of, list_tickets, show_tickets
from schemas import topics
from schemas.reasons import DeadReason
from schemas.ticket import Ticket, ticket_key
from tests.plaint.delivering import delivering, kafka_settings, make_topics, receiving, send, until, write
from tests.plaint.looking import AT, Log, asked, letter, ticket_of


def feed(book: TicketBook, *records: OutRecord) -> TicketBook:
    for offset, record in enumerate(records):
        book.feed(Stored(record.topic, record.partition, offset, AT, record.key, record.value, ()))
    return book


def rows(*records: OutRecord, keep_done: bool = True) -> list[TicketRow]:
    return feed(TicketBook(keep_done), *records).rows()


ONE = ticket_of("x:1", "helpdesk")


def test_a_ticket_stands_as_its_newest_record_that_counts_says() -> None:
    log = Log(ONE)
    found = rows(log.owner(), log.open(), log.open("sending", 1), log.open("accepted", 1, AT + 60))
    assert [(row.state, row.attempt, row.under_way, row.post_id) for row in found] == [("open", 1, False, "x:1")]
    assert found[0].next_try is not None
    assert found[0].next_try.timestamp() == AT + 60
    (sending,) = rows(log.open("sending", 1))
    assert (sending.state, sending.under_way) == ("open", True)
    (done,) = rows(log.open(), log.end(status=201, remote_id="17"))
    assert (done.state, done.status, done.remote_id, done.next_try, done.post_id) == ("done", 201, "17", None, "x:1")
    (dead,) = rows(log.open(), log.end("dead", status=400, reason=DeadReason.REFUSED))
    assert (dead.state, dead.status, dead.reason) == ("dead", 400, "refused")


def test_a_late_record_of_a_stopped_owner_changes_nothing() -> None:
    (found,) = rows(Log(ONE).open(), Log(ONE).end(status=201), Log(ONE).open("sending", 2))
    assert (found.state, found.status) == ("done", 201)


def test_a_new_generation_opens_a_dead_one_and_has_a_webhook_id_of_its_own() -> None:
    again = ONE.model_copy(update={"generation": 1})
    (found,) = rows(Log(ONE).open(), Log(ONE).end("dead"), Log(again).open())
    assert (found.state, found.webhook_id) == ("open", f"{ONE.key}-0-1")


def test_done_ones_cost_nothing_unless_they_are_wanted() -> None:
    assert rows(Log(ONE).open(), Log(ONE).end(), keep_done=False) == []
    assert feed(TicketBook(True, ["another"]), Log(ONE).open()).rows() == []
    forgotten = Log(ONE).open()._replace(value=None)  # type: ignore[arg-type]  # a tombstone
    assert rows(Log(ONE).open(), forgotten) == []


def test_filters_look_at_state_age_and_reason() -> None:
    (dead,) = rows(Log(ONE).end("dead", reason=DeadReason.REFUSED))
    age = time.time() - AT
    assert WantedTickets().takes(dead)
    assert WantedTickets(older_s=age - 100, reasons=["refused"]).takes(dead)
    for wanted in (
        WantedTickets(states=["open"]),
        WantedTickets(older_s=age + 100),
        WantedTickets(younger_s=age - 100),
        WantedTickets(reasons=["retries_exhausted"]),
        WantedTickets(keys=["another"]),
    ):
        assert not wanted.takes(dead), wanted


def test_a_ticket_is_meant_by_its_key_its_webhook_id_or_its_post() -> None:
    for name in (ONE.key, f"{ONE.key}-0", f"{ONE.key}-3-1"):
        assert key_of(name, "helpdesk") == ONE.key
    assert key_of("x:1", "helpdesk") == ONE.key
    assert key_of("x-1", "helpdesk") == ticket_key("x-1", "helpdesk")


def test_a_ticket_that_is_asked_for_anew_is_asked_for_until_a_worker_takes_it_on() -> None:
    book = LifeBook({"helpdesk": ONE.key})
    again = ONE.model_copy(update={"generation": 1})
    for offset, record in enumerate([asked(ONE), Log(ONE).open(), Log(ONE).end("dead"), asked(again)]):
        book.add(Stored(record.topic, record.partition, offset, AT + offset, record.key, record.value, ()))
    (life,) = book.lives()
    assert (life.state, life.webhook_id) == ("asked", f"{ONE.key}-0-1")


# -- on a broker -------------------------------------------------------------------------------------------------


class Desk:
    """One destination of the test's own."""

    def __init__(self, broker: str, name: str) -> None:
        self.broker = broker
        self.kafka = kafka_settings(broker)
        self.name = name

    def ticket(self, number: int, **fields: Any) -> Ticket:
        return ticket_of(f"x:{number}", self.name, **fields)

    async def list(self, **wanted: Any) -> dict[str, TicketRow]:
        found, *_ = await list_tickets(self.kafka, [self.name], WantedTickets(**wanted))
        return {row.post_id: row for row in found}

    async def retry(self, *keys: str, send: bool = True) -> dict[str, Done]:
        plans = await plan_retries(self.kafka, [self.name], {key: key for key in keys})
        if not send:
            return {plan.name: Done(plan.name, plan.record.topic if plan.record else "", plan.why) for plan in plans}
        return {done.name: done for done in await retry(self.kafka, plans)}


@pytest.fixture
async def desk(broker: str, fresh: str) -> Desk:
    name = f"look-{fresh}"
    await make_topics(broker, name)
    return Desk(broker, name)


async def test_the_list_finds_the_post_of_a_settled_ticket_in_the_tickets_topic(desk: Desk) -> None:
    """Once the log is compacted, what is left of a dead ticket names no post."""
    one, two = desk.ticket(1), desk.ticket(2)
    await write(desk.broker, [asked(one), Log(one).end("dead"), Log(two).end(), Log(desk.ticket(3)).open()])
    found = await desk.list(states=("open", "done", "dead"))
    assert {post: row.state for post, row in found.items()} == {"x:1": "dead", "": "done", "x:3": "open"}
    assert set(await desk.list()) == {"x:1", "x:3"}
    newest, count, _ = await list_tickets(desk.kafka, [desk.name], WantedTickets(), most=1)
    assert (len(newest), count) == (1, 2)


async def test_a_tickets_life_is_shown_by_its_post(desk: Desk) -> None:
    one = desk.ticket(1)
    await write(desk.broker, [asked(one), Log(one).open(), Log(one).open("sending", 1), Log(one).end(status=200)])
    for name in ("x:1", one.key, f"{one.key}-0"):
        (life,) = await show_tickets(desk.kafka, [desk.name], name)
        assert (life.post_id, life.state, life.requests) == ("x:1", "done", 1)
    assert await show_tickets(desk.kafka, [desk.name], "x:2") == []


async def test_what_cannot_be_tried_again_says_why(desk: Desk) -> None:
    done, bare = desk.ticket(1), desk.ticket(2)
    await write(desk.broker, [Log(done).end(status=201), Log(bare).end("dead")])
    absent = "0" * 32
    found = await desk.retry(done.key, bare.key, absent, send=False)
    assert found[done.key].why == "it was delivered (201)"
    assert "its text is gone" in found[bare.key].why
    assert "no delivery log knows it" in found[absent].why


async def test_the_text_of_a_dead_ticket_comes_from_its_dead_letter_when_nothing_else_holds_it(desk: Desk) -> None:
    one = desk.ticket(1)
    place = f"{topics.deliveries(desk.name)}[0]@5"
    await write(desk.broker, [Log(one).end("dead"), letter(place, one.to_bytes(), one.key.encode(), "deliver")])
    assert (await desk.retry(one.key))[one.key].place
    async with TopicReader(desk.kafka) as reader:
        where = await reader.partitions([topics.tickets(desk.name)])
        sent = [record async for record in reader.scan(where)]
    assert [Ticket.from_bytes(record.value) for record in sent] == [one.model_copy(update={"generation": 1})]


async def test_a_worker_takes_up_a_dead_ticket_and_hastens_a_waiting_one(desk: Desk) -> None:
    """With a real worker and a receiver that has mended its ways: each is sent once more, the delivered one is not."""
    dead, waiting, fine = desk.ticket(1), desk.ticket(2), desk.ticket(3)
    answers = {dead.key: 400, waiting.key: 503, fine.key: 200}
    async with receiving() as receiver:
        receiver.answer = lambda _: answers[receiver.requests[-1][1].partition("-")[0]]
        async with delivering(desk.broker, desk.name, receiver.url, first_wait_s=600.0, max_wait_s=600.0):
            await send(desk.broker, dead, waiting, fine)

            async def tried() -> bool:
                found = await desk.list(states=("open", "done", "dead"))
                return {post: (row.state, row.attempt) for post, row in found.items() if not row.under_way} == {
                    "x:1": ("dead", 1),
                    "x:2": ("open", 1),
                    "x:3": ("done", 1),
                }

            await until(tried)
            assert (await desk.list())["x:2"].age.total_seconds() < 60
            answers |= {dead.key: 200, waiting.key: 200}
            found = await desk.retry(dead.key, waiting.key, fine.key)
            assert found[fine.key].why == "it was delivered (200)"
            await until(lambda: receiver.taken.total() == 3)
    assert set(receiver.taken) == {f"{dead.key}-0-1", f"{waiting.key}-0-1", f"{fine.key}-0"}
    assert receiver.repeated == 0
    states = {post: row.state for post, row in (await desk.list(states=("open", "done", "dead"))).items()}
    assert states == dict.fromkeys(("x:1", "x:2", "x:3"), "done")

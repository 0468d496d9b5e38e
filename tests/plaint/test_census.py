"""The census knows what must come of each record, whatever order the topics are read in, and names what is missing."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest

from plaint.inbox.api import receipt_fields
from plaint.inbox.store import Store
from plaint.local.census import Census
from plaint.local.settle import Summary, sum_up
from route.rules import RouteTable
from route.tickets import tickets_for
from schemas import topics
from schemas.deadletter import DeadLetter
from schemas.delivery import OWNER_KEY, Delivery, State
from schemas.labels import Intent
from schemas.post import Post
from schemas.reasons import DeadReason, DropReason
from schemas.ticket import Ticket
from schemas.triage import Triage

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUEUES = ("helpdesk", "service", "marketing")
TABLE = RouteTable.load(None, QUEUES)
COMPLAINT: dict[str, Any] = {"intent": "complaint", "urgent": True, "urgency": 4}


class World:
    """Records as the stages write them, put into a census."""

    def __init__(self) -> None:
        self.census = Census(TABLE, QUEUES)
        self._offset = 0

    def place(self, topic: str) -> tuple[str, int, int]:
        self._offset += 1
        return topic, 0, self._offset

    def post(self, id_: str, **fields: Any) -> Post:
        post = Post(id=id_, **{"text": "My Norvik heater smokes", **fields})
        self.census.add_post(self.place(topics.POSTS), post.to_bytes(), 0.0)
        return post

    def triage(self, post: Post, is_earlier: bool = False, **labels: Any) -> list[Ticket]:
        triage = Triage(post=post, triaged_at=NOW, **labels)
        self.census.add_triage(self.place(topics.TRIAGED), triage.to_bytes(), is_earlier)
        return tickets_for(triage, TABLE)[0]

    def ticket(self, ticket: Ticket) -> None:
        self.census.add_ticket(ticket.destination, self.place(topics.tickets(ticket.destination)), ticket.to_bytes())

    def log(self, ticket: Ticket, state: State, is_earlier: bool = False, **fields: Any) -> None:
        step = Delivery(state=state, revision=ticket.revision, op=ticket.op, at=NOW, **fields)
        self.census.add_delivery(ticket.destination, ticket.key.encode(), step.to_bytes(), is_earlier)

    def dead(self, stage: str, place: str, reason: DeadReason = DeadReason.STAGE_ERROR) -> None:
        self.census.add_dead_letter(DeadLetter.of(reason, stage, place, "", b""))

    def delivered(self, id_: str) -> Ticket:
        """An urgent complaint that went the whole way."""
        [ticket] = self.triage(self.post(id_), **COMPLAINT)
        self.ticket(ticket)
        self.log(ticket, "sending")
        self.log(ticket, "done")
        return ticket

    def sum_up(self, read: int, taken: dict[str, list[dict[str, Any]]] | None = None) -> Summary:
        self.census.read = read
        return sum_up(self.census, self.census.missing(), taken, 1.0)


def receipt(ticket: Ticket, **fields: Any) -> dict[str, Any]:
    known = {"key": ticket.key, "op": ticket.op, "revision": ticket.revision, "requests": 1, "outcome": "created"}
    return {**known, **fields}


@pytest.fixture
def world() -> World:
    return World()


def test_each_step_that_is_missing_is_named_until_it_is_there(world: World) -> None:
    post = world.post("a")
    assert world.census.missing() == ["a: no triage"]
    [ticket] = world.triage(post, **COMPLAINT)
    assert world.census.missing() == [f"{ticket.key}: no ticket for helpdesk"]
    world.ticket(ticket)
    assert world.census.missing() == [f"{ticket.key}: not delivered to helpdesk"]
    world.log(ticket, "accepted")
    world.log(ticket, "sending")
    assert world.census.missing() == [f"{ticket.key}: not delivered to helpdesk"]
    world.log(ticket, "done")
    assert world.census.missing() == []


def test_an_edit_that_leaves_no_text_is_awaited_as_the_delete_that_it_is_at_the_time_of_its_record(
    world: World,
) -> None:
    emptied = Post(id="a", event="edit", text=" ").to_bytes()
    world.census.add_post(world.place(topics.POSTS), emptied, written_at=5.0)
    assert world.census.missing() == ["a: no triage"]
    world.triage(Post(id="a", event="delete", revision=4999))
    assert "a: no triage" in world.census.missing()
    world.triage(Post(id="a", event="delete", revision=5000))
    assert "a: no triage" not in world.census.missing()


@pytest.mark.parametrize("order", list(permutations(["post", "triage", "ticket", "log"])), ids="-".join)
def test_topics_may_be_read_in_any_order(world: World, order: tuple[str, ...]) -> None:
    post = Post(id="a", text="My Norvik heater smokes")
    [ticket] = World().triage(post, **COMPLAINT)
    steps: dict[str, Callable[[], object]] = {
        "post": lambda: world.post("a"),
        "triage": lambda: world.triage(post, **COMPLAINT),
        "ticket": lambda: world.ticket(ticket),
        "log": lambda: world.log(ticket, "done"),
    }
    world.census.read = 1
    for step in order:
        assert world.census.missing() != []
        steps[step]()
    assert world.census.missing() == []


def test_a_repeated_post_is_counted_and_asks_for_nothing_more(world: World) -> None:
    world.delivered("a")
    world.post("a")
    found = world.sum_up(read=2)
    assert (found.read, found.posts, found.repeated, found.triaged, found.lost) == (2, 1, 1, 1, 0)


@pytest.mark.parametrize("text", ["", " \n", "\u200b\ufeff"])
def test_a_blank_post_is_a_drop_and_not_lost(world: World, text: str) -> None:
    world.post("a", text=text)
    found = world.sum_up(read=1)
    assert (found.lost, found.dropped) == (0, {DropReason.EMPTY_TEXT: 1})


def test_a_post_that_no_rule_sends_anywhere_is_settled(world: World) -> None:
    assert world.triage(world.post("a"), intent="other") == []
    found = world.sum_up(read=1)
    assert (found.lost, found.dropped, found.intents) == (0, {DropReason.UNROUTED: 1}, {"other": 1})


def test_a_dead_letter_is_an_end_at_every_stage(world: World) -> None:
    world.census.add_post((topics.POSTS, 0, 100), b"{", 0.0)
    unread = world.post("b")
    [unsent] = world.triage(world.post("c"), **COMPLAINT)
    world.census.add_ticket("helpdesk", (topics.tickets("helpdesk"), 3, 9), b"[]")
    [refused] = world.triage(world.post("d"), **COMPLAINT)
    world.ticket(refused)
    posts, triaged = f"{topics.POSTS}[0]@", f"{topics.TRIAGED}[0]@"
    assert len(world.census.missing()) == 5
    world.dead("classify", f"{posts}100", DeadReason.INVALID_JSON)
    world.dead("classify", posts + str(world.census.posts[unread.id, 0][2]))
    world.dead("route", triaged + str(world.census.must_have["helpdesk"][unsent.key][1][2]))
    world.dead("deliver", f"{topics.tickets('helpdesk')}[3]@9", DeadReason.INVALID_RECORD)
    world.log(refused, "dead", reason=DeadReason.REFUSED)
    assert world.census.missing() == []
    found = world.sum_up(read=4)
    assert found.lost == 0
    assert found.dead == {"invalid_json": 1, "stage_error": 2, "invalid_record": 1}


def test_lines_that_ingest_refused_are_read_and_not_lost(world: World) -> None:
    world.delivered("a")
    world.dead("ingest", "posts.jsonl:2", DeadReason.INVALID_JSON)
    assert world.sum_up(read=2).lost == 0
    assert world.sum_up(read=3).lost == 1


def test_the_newest_revision_must_be_delivered(world: World) -> None:
    first = world.delivered("a")
    edit = world.post("a", text="My Norvik heater burns", event="edit", revision=7)
    tickets = world.triage(edit, **COMPLAINT)
    for ticket in tickets:
        world.ticket(ticket)
    assert world.census.missing() == [f"{first.key}: not delivered to helpdesk"]
    [update] = [ticket for ticket in tickets if ticket.destination == "helpdesk"]
    world.log(update, "done")
    assert world.census.missing() == []  # the withdraws elsewhere had nothing to withdraw
    assert world.sum_up(read=2).tickets == {"helpdesk": 1, "service": 0, "marketing": 0}


def test_a_ticket_that_collapsed_is_none_at_the_receiver(world: World) -> None:
    [ticket] = world.triage(world.post("a"), **COMPLAINT)
    world.ticket(ticket)
    world.log(ticket, "done", reason=DropReason.COLLAPSED)
    found = world.sum_up(read=1, taken={"helpdesk": []})
    assert (found.lost, found.tickets["helpdesk"]) == (0, 0)


def test_what_the_receiver_does_not_know_is_lost_and_a_second_create_is_a_duplicate(world: World) -> None:
    lied, twice = world.delivered("a"), world.delivered("b")
    found = world.sum_up(
        read=2, taken={"helpdesk": [receipt(twice, requests=3), receipt(twice, revision=1, outcome="second")]}
    )
    assert (found.lost, found.duplicates) == (1, 1)
    assert found.requests["helpdesk"] == 4
    told = world.sum_up(read=2, taken={"helpdesk": [receipt(lied), receipt(twice)]})
    assert (told.lost, told.duplicates, told.tickets["helpdesk"], told.requests["helpdesk"]) == (0, 0, 2, 2)


def test_a_ticket_that_is_created_again_after_its_withdraw_is_no_second_one(world: World) -> None:
    ticket = world.delivered("a")
    store = Store(keep=10)
    for revision, op in enumerate(("create", "withdraw", "create")):
        webhook_id = f"{ticket.key}-{revision}"
        store.begin("helpdesk", webhook_id, 1.0)
        store.take("helpdesk", webhook_id, ticket.key, op, revision, 1.0)  # type: ignore[arg-type]
    taken = [receipt_fields(one) for one in store.receipts.values()]
    found = world.sum_up(read=1, taken={"helpdesk": taken})
    assert (found.duplicates, found.tickets["helpdesk"], found.requests["helpdesk"]) == (0, 1, 3)


def test_without_a_receiver_to_ask_tickets_and_requests_are_counted_from_the_log(world: World) -> None:
    world.log(world.delivered("a"), "sending")
    found = world.sum_up(read=1)
    assert (found.tickets["helpdesk"], found.requests["helpdesk"]) == (1, 2)


def test_what_an_earlier_run_delivered_is_a_ticket_but_neither_a_request_nor_due_at_the_receiver(world: World) -> None:
    [ticket] = world.triage(world.post("a"), **COMPLAINT)
    world.log(ticket, "sending", is_earlier=True)
    world.log(ticket, "done", is_earlier=True)
    world.ticket(ticket)
    found = world.sum_up(read=1)
    assert (found.lost, found.tickets["helpdesk"], found.requests["helpdesk"]) == (0, 1, 0)
    assert world.sum_up(read=1, taken={"helpdesk": []}).lost == 0


def test_the_first_triage_of_a_revision_says_which_tickets_must_come(world: World) -> None:
    world.triage(Post(id="a", text="x"), is_earlier=True, intent="question")
    post = world.post("a")
    world.triage(post, **COMPLAINT)
    world.triage(post, intent="praise")
    assert world.census.missing() == []
    assert world.sum_up(read=1).intents == {"complaint": 1}
    [edit] = [
        ticket
        for ticket in world.triage(world.post("a", event="edit", revision=1), **COMPLAINT)
        if ticket.op == "update"
    ]
    assert f"{edit.key}: no ticket for helpdesk" in world.census.missing()


def test_what_came_by_the_door_is_neither_counted_nor_missed(world: World) -> None:
    world.delivered("a")
    urgent, dull, late = (Post(id=id_, text="My Norvik heater smokes") for id_ in ("urgent", "dull", "late"))
    for post in (urgent, dull, late):
        world.census.add_offer(post.to_bytes())
    [ticket] = world.triage(urgent, **COMPLAINT)
    world.triage(dull, intent="other")
    world.triage(late, **COMPLAINT)
    assert world.census.missing() == []
    world.ticket(ticket)
    world.log(ticket, "sending")
    world.log(ticket, "done")
    found = world.sum_up(read=1, taken={"helpdesk": [receipt(world.delivered("b")), receipt(ticket)]})
    assert (found.posts, found.triaged, found.intents, found.dropped) == (2, 2, {"complaint": 2}, {})
    assert (found.tickets["helpdesk"], found.requests["helpdesk"], found.duplicates) == (1, 1, 0)
    assert found.lost == 1, "the receiver knows b alone"


def test_a_post_from_the_door_does_not_stand_for_one_that_a_source_lost(world: World) -> None:
    world.delivered("a")
    world.census.add_offer(Post(id="door", text="x").to_bytes())
    assert world.sum_up(read=2).lost == 1


@pytest.mark.parametrize("first", ["door", "source"])
def test_a_post_that_came_by_the_door_as_well_is_counted_as_the_sources(world: World, first: str) -> None:
    offered = Post(id="a", text="My Norvik heater smokes")
    if first == "door":
        world.census.add_offer(offered.to_bytes())
    post = world.post("a")
    if first == "source":
        world.census.add_offer(offered.to_bytes())
    assert world.census.missing() == ["a: no triage"]
    [ticket] = world.triage(post, **COMPLAINT)
    assert world.census.missing() == [f"{ticket.key}: no ticket for helpdesk"]
    world.ticket(ticket)
    world.log(ticket, "done")
    found = world.sum_up(read=1)
    assert (found.posts, found.triaged, found.tickets["helpdesk"], found.lost) == (1, 1, 1, 0)


def test_records_of_the_log_that_are_no_tickets_are_passed_over(world: World) -> None:
    world.census.add_delivery("helpdesk", OWNER_KEY.encode(), Delivery(state="owner", at=NOW).to_bytes())
    world.census.add_delivery("helpdesk", None, b"x")
    world.census.add_delivery("helpdesk", b"key", b"{")
    world.census.add_delivery("helpdesk", b"key", None)
    assert world.census.missing() == []


@pytest.mark.parametrize("is_remembered", [True, False])
def test_a_later_state_that_is_called_a_create_may_withdraw_what_the_router_remembers(is_remembered: bool) -> None:
    world = World()
    (first,) = world.triage(world.post("a", revision=1), **COMPLAINT)
    world.ticket(first)
    world.log(first, "done")
    later = world.post("a", revision=2)
    world.triage(later, intent="other")
    assert world.census.missing() == ["a: no tickets of any version of the routes"]
    found, _ = tickets_for(Triage(post=later, intent=Intent.OTHER, triaged_at=NOW), TABLE, is_later=is_remembered)
    for ticket in found:
        world.ticket(ticket)
        world.log(ticket, "done")
    world.census.routed = {0: 100}
    assert len(found) == (3 if is_remembered else 0)
    assert world.census.missing() == []
    assert world.census.drops == ({} if is_remembered else {DropReason.UNROUTED: 1})

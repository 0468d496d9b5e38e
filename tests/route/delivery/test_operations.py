"""Creates, updates and withdraws of one ticket, whatever came before: the whole stage, without a broker."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from route.destinations.base import NeverAgain, NotNow, Outcome, Parcel, Taken
from schemas.delivery import Delivery
from schemas.reasons import DropReason
from schemas.ticket import Ticket
from tests.route.delivery.doubles import START, MemoryLog, ObedientDestination, Stage, settle, ticket, ticket_in

KEY = ticket().key


def drops(stage: Stage) -> dict[DropReason, int]:
    return {reason: count for reason, count in stage.counters.dropped.items() if count}


async def test_a_ticket_is_accepted_sent_and_done() -> None:
    stage = Stage(lambda _: Taken(201, "4711", "https://desk.example/4711"))
    await stage.take(ticket())
    assert stage.destination.ops == [("create", 0)]
    assert stage.log.states() == ["accepted", "sending", "done"]
    done = Delivery.from_bytes(stage.log.records[-1].value)
    assert (done.remote_id, done.remote_url, done.status) == ("4711", "https://desk.example/4711", 201)
    assert stage.lane.offsets.acknowledged == 1


async def test_a_ticket_that_is_to_go_again_says_what_it_was_answered() -> None:
    stage = Stage(lambda parcel: NotNow("503 busy", 503) if parcel.attempt == 1 else Taken(200))
    await stage.take(ticket())
    assert [Delivery.from_bytes(record.value).status for record in stage.log.records[1:]] == [None, None, 503]
    await stage.clock.advance(60)
    assert [Delivery.from_bytes(record.value).status for record in stage.log.records[4:]] == [None, 200]


async def test_a_ticket_waits_from_when_its_post_was_received_over_a_restart_as_well() -> None:
    received = START - 600
    stage = Stage(lambda _: NotNow("503"))
    await stage.take(ticket(received_at=datetime.fromtimestamp(received, UTC)), ticket("post-2"))
    for one in (stage, Stage(lambda _: NotNow("503"), log=stage.log)):
        assert (one.item().waits_since, one.item("post-2").waits_since) == (received, START)


async def test_every_open_record_of_the_log_carries_the_whole_ticket_and_no_final_one_any_text() -> None:
    stage = Stage(lambda parcel: NotNow("down") if parcel.attempt == 1 else Taken(200))
    await stage.take(ticket())
    await stage.clock.advance(60)
    for record in stage.log.records[1:]:
        step = Delivery.from_bytes(record.value)
        assert step.ticket == (ticket() if step.state in ("accepted", "sending") else None)
        assert (b"Kessel" in record.value) == (step.state in ("accepted", "sending"))
    assert stage.log.states() == ["accepted", "sending", "accepted", "sending", "done"]


async def test_the_same_ticket_again_is_a_counted_drop() -> None:
    stage = Stage()
    await stage.take(ticket(), ticket())
    await stage.take(ticket())
    assert stage.destination.ops == [("create", 0)]
    assert drops(stage) == {DropReason.REPEATED: 2}
    assert stage.lane.offsets.acknowledged == 3


async def test_an_older_revision_is_a_counted_drop() -> None:
    stage = Stage()
    await stage.take(ticket(revision=5))
    await stage.take(ticket(revision=2))
    assert stage.destination.ops == [("create", 5)]
    assert drops(stage) == {DropReason.STALE_REVISION: 1}


async def test_a_dead_ticket_goes_again_in_a_new_generation_under_an_id_of_its_own() -> None:
    answers: list[Outcome] = [NeverAgain("400", 400), Taken(200)]
    stage = Stage(lambda _: answers.pop(0))
    await stage.take(ticket())
    await stage.take(ticket())
    assert drops(stage) == {DropReason.REPEATED: 1}
    await stage.take(ticket(generation=1))
    assert [parcel.message_id for _, parcel in stage.destination.asked] == [f"{KEY}-0", f"{KEY}-0-1"]
    assert stage.destination.ops == [("create", 0), ("create", 0)]
    assert stage.log.states() == ["accepted", "sending", "dead", "accepted", "sending", "done"]
    assert Delivery.from_bytes(stage.log.records[-1].value).generation == 1
    assert stage.lane.offsets.acknowledged == 3


async def test_a_new_generation_of_what_may_have_arrived_is_an_update() -> None:
    """The receiver has it, or it takes the update for a create: never a second ticket."""
    answers: list[Outcome] = [NotNow("timeout", maybe_taken=True), Taken(200)]
    stage = Stage(lambda _: answers.pop(0), tries=1)
    await stage.take(ticket())
    assert stage.log.states()[-1] == "dead"
    await stage.take(ticket(generation=1))
    assert stage.destination.ops == [("create", 0), ("update", 0)]


async def test_a_new_generation_of_a_delivered_ticket_is_dropped_as_repeated() -> None:
    stage = Stage()
    await stage.take(ticket())
    await stage.take(ticket(generation=7))
    assert stage.destination.ops == [("create", 0)]
    assert drops(stage) == {DropReason.REPEATED: 1}


async def test_a_new_generation_hastens_a_ticket_that_waits_for_its_next_try() -> None:
    answers: list[Outcome] = [NotNow("503", 503, retry_after_s=3000, maybe_taken=False), Taken(200)]
    stage = Stage(lambda _: answers.pop(0))
    await stage.take(ticket())
    assert stage.item().due > stage.clock.wall() + 60
    await stage.take(ticket(generation=1))
    assert stage.destination.ops == [("create", 0), ("create", 0)]
    assert stage.log.states()[-1] == "done"
    await stage.clock.advance(10_000)
    assert len(stage.destination.asked) == 2


async def test_a_new_generation_that_comes_during_the_request_goes_only_if_that_fails() -> None:
    for outcome, sent in ((Taken(200), 1), (NeverAgain("400", 400), 2), (NotNow("503", maybe_taken=False), 2)):
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        async def later(parcel: Parcel, answer: "asyncio.Future[Outcome]" = answer) -> Outcome:
            return Taken(200) if parcel.generation else await answer

        stage = Stage(later)
        await stage.take(ticket())
        await stage.take(ticket(generation=1))
        answer.set_result(outcome)
        await settle()
        assert len(stage.destination.asked) == sent
        assert stage.log.states()[-1] == "done"
        assert stage.lane.offsets.acknowledged == 2


async def test_what_a_later_owner_reads_is_the_same_generation() -> None:
    answers: list[Outcome] = [NeverAgain("400", 400), NotNow("503", maybe_taken=False), Taken(200)]
    stage = Stage(lambda _: answers.pop(0))
    await stage.take(ticket())
    await stage.take(ticket(generation=2))
    later = Stage(lambda _: answers.pop(0), log=stage.log)
    assert later.item().version == (0, 2)
    await later.clock.advance(60)
    await later.take(ticket(generation=2), ticket(generation=1))
    assert later.destination.ops == [("create", 0)]
    assert later.destination.asked[0][1].message_id == f"{KEY}-0-2"
    assert drops(later) == {DropReason.REPEATED: 2}


async def test_a_newer_revision_begins_its_own_generations() -> None:
    stage = Stage(lambda parcel: Taken(200) if parcel.revision else NeverAgain("400", 400))
    await stage.take(ticket(), ticket(revision=1))
    await stage.take(ticket(generation=4))
    assert stage.destination.asked[-1][1].message_id == f"{KEY}-1"
    assert drops(stage) == {DropReason.COLLAPSED: 1, DropReason.STALE_REVISION: 1}


async def test_an_edit_of_a_delivered_ticket_is_an_update() -> None:
    stage = Stage()
    await stage.take(ticket())
    await stage.take(ticket(revision=1, op="update"))
    assert stage.destination.ops == [("create", 0), ("update", 1)]


async def test_an_update_of_what_the_destination_never_got_is_a_create_also_in_the_body() -> None:
    stage = Stage()
    await stage.take(ticket(revision=3, op="update"))
    assert stage.destination.ops == [("create", 3)]
    assert ticket_in(stage.destination.asked[0][1]).op == "create"


async def test_a_create_of_what_the_destination_has_is_an_update() -> None:
    stage = Stage()
    await stage.take(ticket())
    await stage.take(ticket(revision=1, op="create"))
    assert stage.destination.ops == [("create", 0), ("update", 1)]


async def test_a_withdraw_of_something_unknown_is_a_counted_drop_and_leaves_no_record() -> None:
    stage = Stage()
    await stage.take(ticket(revision=9, op="withdraw"))
    assert not stage.destination.asked
    assert drops(stage) == {DropReason.NOTHING_TO_WITHDRAW: 1}
    assert stage.log.states() == []
    assert stage.lane.offsets.acknowledged == 1


async def test_a_withdraw_of_what_was_refused_is_a_counted_drop_and_ends_the_revision() -> None:
    stage = Stage(lambda _: NeverAgain("400 no", 400))
    await stage.take(ticket())
    await stage.take(ticket(revision=9, op="withdraw"))
    assert stage.destination.ops == [("create", 0)]
    assert drops(stage) == {DropReason.NOTHING_TO_WITHDRAW: 1}
    last = Delivery.from_bytes(stage.log.records[-1].value)
    assert (last.state, last.revision, last.reason) == ("done", 9, DropReason.NOTHING_TO_WITHDRAW)


async def test_a_delivered_ticket_is_withdrawn_and_may_come_back_as_a_new_one() -> None:
    stage = Stage()
    await stage.take(ticket())
    await stage.take(ticket(revision=1, op="withdraw"))
    await stage.take(ticket(revision=2, op="update"))
    assert stage.destination.ops == [("create", 0), ("withdraw", 1), ("create", 2)]


async def test_a_create_that_was_never_sent_collapses_with_its_withdraw() -> None:
    stage = Stage()
    stage.is_leased = False  # nothing may be sent yet
    await stage.take(ticket())
    await stage.take(ticket(revision=1, op="withdraw"))
    stage.is_leased = True
    await stage.clock.advance(60)
    assert not stage.destination.asked
    assert drops(stage) == {DropReason.COLLAPSED: 2}
    assert stage.log.states() == ["accepted", "done"]
    assert Delivery.from_bytes(stage.log.records[-1].value).reason == DropReason.COLLAPSED


async def test_they_collapse_in_one_batch_too() -> None:
    stage = Stage()
    await stage.take(ticket(), ticket(revision=1, op="withdraw"))
    assert not stage.destination.asked
    assert stage.lane.offsets.acknowledged == 2


async def test_what_collapsed_stays_gone_when_its_create_is_read_again() -> None:
    stage = Stage()
    await stage.take(ticket(), ticket(revision=1, op="withdraw"))
    again = Stage(log=stage.log)
    await again.take(ticket())
    assert not again.destination.asked
    assert drops(again) == {DropReason.STALE_REVISION: 1}


async def test_an_edit_before_anything_was_sent_takes_the_place_of_the_create() -> None:
    stage = Stage()
    await stage.take(ticket(), ticket(revision=1, op="update", text="It came, broken"))
    assert stage.destination.ops == [("create", 1)]
    assert ticket_in(stage.destination.asked[0][1]).text == "It came, broken"
    assert drops(stage) == {DropReason.COLLAPSED: 1}


async def test_after_a_failure_that_may_have_arrived_an_edit_is_an_update() -> None:
    stage = Stage(lambda parcel: NotNow("500") if parcel.revision == 0 else Taken(200))
    await stage.take(ticket())
    await stage.take(ticket(revision=1, op="update"))
    assert stage.destination.ops == [("create", 0), ("update", 1)]


async def test_after_a_failure_that_did_not_arrive_an_edit_is_still_the_create() -> None:
    stage = Stage(lambda parcel: NotNow("429", maybe_taken=False) if parcel.revision == 0 else Taken(200))
    await stage.take(ticket())
    await stage.take(ticket(revision=1, op="update"))
    assert stage.destination.ops == [("create", 0), ("create", 1)]


async def test_after_a_failure_that_may_have_arrived_a_withdraw_is_sent() -> None:
    stage = Stage(lambda parcel: NotNow("500") if parcel.revision == 0 else Taken(200))
    await stage.take(ticket())
    await stage.take(ticket(revision=1, op="withdraw"))
    assert stage.destination.ops == [("create", 0), ("withdraw", 1)]


class Held:
    """A destination whose answers the test gives."""

    def __init__(self) -> None:
        self.answers: dict[int, asyncio.Future[Outcome]] = {}

    async def __call__(self, parcel: Parcel) -> Outcome:
        self.answers[parcel.revision] = asyncio.get_running_loop().create_future()
        return await self.answers[parcel.revision]


async def test_a_newer_revision_waits_for_the_outcome_of_the_request_under_way() -> None:
    held = Held()
    stage = Stage(held)
    await stage.take(ticket())
    await stage.take(ticket(revision=1, op="update"))
    assert stage.destination.ops == [("create", 0)]
    assert stage.lane.offsets.acknowledged == 1  # the edit is written down nowhere yet
    held.answers[0].set_result(Taken(200))
    await settle()
    assert stage.destination.ops == [("create", 0), ("update", 1)]
    assert stage.lane.offsets.acknowledged == 2


@pytest.mark.parametrize(
    ("outcome", "then"),
    [
        (Taken(200), ("update", 2)),
        (NotNow("500"), ("update", 2)),
        (NotNow("429", maybe_taken=False), ("create", 2)),
        (NeverAgain("400", 400), ("create", 2)),
    ],
)
async def test_of_several_that_wait_the_newest_goes_and_the_others_are_counted(
    outcome: Outcome, then: tuple[str, int]
) -> None:
    held = Held()
    stage = Stage(held)
    await stage.take(ticket())
    await stage.take(ticket(revision=1, op="update"), ticket(revision=2, op="update"), ticket(revision=1, op="update"))
    held.answers[0].set_result(outcome)
    await settle()
    assert stage.destination.ops == [("create", 0), then]
    failed_first = isinstance(outcome, NotNow)
    assert drops(stage) == {DropReason.COLLAPSED: 1 + failed_first, DropReason.STALE_REVISION: 1}
    assert stage.lane.offsets.acknowledged == 4


async def test_a_withdraw_that_waits_for_a_create_under_way_is_sent_once_that_is_taken() -> None:
    held = Held()
    stage = Stage(held)
    await stage.take(ticket())
    await stage.take(ticket(revision=1, op="withdraw"))
    held.answers[0].set_result(Taken(200))
    await settle()
    held.answers[1].set_result(Taken(200))
    await settle()
    assert stage.destination.ops == [("create", 0), ("withdraw", 1)]
    assert stage.log.states() == ["accepted", "sending", "done", "accepted", "sending", "done"]


_tickets = st.builds(
    ticket,
    st.sampled_from(["post-1", "post-2"]),
    st.integers(0, 4),
    st.sampled_from(["create", "update", "withdraw"]),
)
_outcomes = st.sampled_from([Taken(200), NotNow("500"), NotNow("429", maybe_taken=False), NeverAgain("400", 400)])
_events = st.lists(st.lists(_tickets, min_size=1, max_size=4) | st.just("time") | st.just("restart"), max_size=12)


@given(_events, st.lists(_outcomes, max_size=30))
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost_and_nothing_done_is_sent_again(
    events: list[list[Ticket] | str], outcomes: list[Outcome]
) -> None:
    """Any tickets in any order, any answers, restarts at any point: each post ends with its newest revision settled."""
    asyncio.run(_live_through(events, outcomes))


async def _live_through(events: list[list[Ticket] | str], outcomes: list[Outcome]) -> None:
    answers, log, asked, topic = iter(outcomes), MemoryLog(), list[ObedientDestination](), list[Ticket]()
    stage = Stage(lambda _: next(answers, Taken(200)), log=log, tries=3)
    asked.append(stage.destination)
    for event in events:
        if isinstance(event, list):
            topic += event
            await stage.take(*event)
        elif event == "time":
            await stage.clock.advance(20)
        else:
            stage.dispatcher.stop()
            position = stage.lane.offsets.acknowledged
            stage = Stage(lambda _: next(answers, Taken(200)), log=log, clock=stage.clock, tries=3, position=position)
            asked.append(stage.destination)
            await stage.take(*topic[position:])
    await stage.clock.advance(100_000)
    assert not stage.faults
    assert not stage.lane.fold.open
    assert stage.lane.offsets.acknowledged == len(topic)
    for post in ("post-1", "post-2"):
        _ends_with_the_newest(log, stage, post)
    taken = [(p.key, p.revision, p.op) for one in asked for _, p in one.asked]
    _no_revision_goes_again_after_its_end(log)
    assert len(taken) == sum(log.states(post).count("sending") for post in ("post-1", "post-2"))


def _ends_with_the_newest(log: MemoryLog, stage: Stage, post: str) -> None:
    states = log.states(post)
    assert not states or states[-1] in ("done", "dead")
    steps = [Delivery.from_bytes(r.value) for r in log.records if r.key == ticket(post).key.encode()]
    if steps:
        known = log.fold().settled.get(ticket(post).key)
        assert known is not None
        assert known.revision == max(step.revision for step in steps)


def _no_revision_goes_again_after_its_end(log: MemoryLog) -> None:
    ended: dict[bytes, int] = {}
    for record in log.records:
        step = Delivery.from_bytes(record.value)
        if step.state == "owner":
            continue
        assert step.state in ("done", "dead") or step.revision > ended.get(record.key, -1)
        if step.state in ("done", "dead"):
            ended[record.key] = max(step.revision, ended.get(record.key, -1))

"""Who may send: leases, newer owners, requests that a former owner left without an outcome, stopped owners' records."""

import asyncio

import pytest

from route.delivery.entry import LogRecord, open_record, owner_record, read_entry
from route.destinations.base import Idempotency, MaySend, NotNow, Outcome, Parcel, Taken, Withheld
from schemas.delivery import Delivery
from schemas.reasons import DeadReason
from schemas.ticket import Ticket
from tests.route.delivery.doubles import MemoryLog, Stage, settle, ticket, ticket_in

IDEMPOTENT, UPSERT, FIND, NONE = Idempotency


async def a_log_with_a_request_under_way(one: Ticket | None = None) -> MemoryLog:
    """The log of an owner that died while the destination was answering."""

    async def never(_: Parcel) -> Outcome:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    stage = Stage(never)
    await stage.take(one or ticket())
    assert stage.log.states() == ["accepted", "sending"]
    return stage.log


@pytest.mark.parametrize("kind", [IDEMPOTENT, UPSERT])
async def test_where_repeats_do_no_harm_an_unknown_outcome_is_sent_again_after_one_timeout(kind: Idempotency) -> None:
    stage = Stage(log=await a_log_with_a_request_under_way(), idempotency=kind)
    await stage.clock.advance(14.9)
    assert not stage.destination.asked
    await stage.clock.advance(0.2)
    assert stage.destination.ops == [("create", 0)]
    assert stage.destination.asked[0][1].attempt == 2
    assert stage.counters.unknown == 1


async def test_where_it_can_be_asked_a_ticket_that_arrived_is_done_without_another_request() -> None:
    stage = Stage(log=await a_log_with_a_request_under_way(), idempotency=FIND)
    stage.destination.has[ticket().key] = Taken(None, "4711")
    await stage.clock.advance(20)
    assert not stage.destination.asked
    done = Delivery.from_bytes(stage.log.records[-1].value)
    assert (done.state, done.remote_id) == ("done", "4711")


async def test_where_it_can_be_asked_a_ticket_that_did_not_arrive_is_sent() -> None:
    stage = Stage(log=await a_log_with_a_request_under_way(), idempotency=FIND)
    await stage.clock.advance(20)
    assert stage.destination.looked_for == [ticket().key]
    assert stage.destination.ops == [("create", 0)]


async def test_where_it_can_be_asked_but_does_not_answer_nothing_is_sent_until_it_does() -> None:
    stage = Stage(log=await a_log_with_a_request_under_way(), idempotency=FIND)
    stage.destination.has[ticket().key] = NotNow("503")
    await stage.clock.advance(60)
    assert not stage.destination.asked
    assert len(stage.destination.looked_for) > 1
    del stage.destination.has[ticket().key]
    await stage.clock.advance(60)
    assert stage.destination.ops == [("create", 0)]


async def test_a_fault_in_the_code_that_looks_for_a_ticket_sends_nothing_until_it_is_mended() -> None:
    stage = Stage(log=await a_log_with_a_request_under_way(), idempotency=FIND)
    find = stage.destination.find

    async def broken(key: str) -> Taken | NotNow | None:
        raise ZeroDivisionError("a bug")

    stage.destination.find = broken  # type: ignore[method-assign]
    await stage.clock.advance(60)
    assert not stage.destination.asked
    assert not stage.faults
    stage.destination.find = find  # type: ignore[method-assign]
    await stage.clock.advance(60)
    assert stage.destination.ops == [("create", 0)]


async def test_where_it_cannot_be_asked_the_ticket_is_left_to_a_person() -> None:
    stage = Stage(log=await a_log_with_a_request_under_way(), idempotency=NONE)
    await stage.clock.advance(20)
    assert not stage.destination.asked
    [dead] = stage.dead
    assert dead.reason is DeadReason.UNKNOWN_OUTCOME
    assert dead.body == ticket().to_bytes()
    assert stage.log.states()[-1] == "dead"


async def test_or_it_is_sent_again_if_the_settings_say_so() -> None:
    stage = Stage(log=await a_log_with_a_request_under_way(), idempotency=NONE, park_unknown=False)
    await stage.clock.advance(20)
    assert stage.destination.ops == [("create", 0)]


async def test_a_request_without_an_answer_is_as_unknown_as_one_left_by_a_dead_owner() -> None:
    stage = Stage(lambda _: NotNow("no answer in time"), idempotency=NONE)
    await stage.take(ticket())
    await stage.clock.advance(60)
    assert len(stage.destination.asked) == 1
    assert [dead.reason for dead in stage.dead] == [DeadReason.UNKNOWN_OUTCOME]


async def test_a_request_that_certainly_did_not_arrive_is_sent_again_whatever_the_class() -> None:
    stage = Stage(
        lambda parcel: NotNow("refused", maybe_taken=False) if parcel.attempt == 1 else Taken(200), idempotency=NONE
    )
    await stage.take(ticket())
    await stage.clock.advance(60)
    assert len(stage.destination.asked) == 2
    assert not stage.dead


async def test_an_update_without_a_known_outcome_is_sent_again_whatever_the_class() -> None:
    """The class speaks of second tickets; a second update is none."""
    first = Stage(lambda parcel: Taken(200) if parcel.op == "create" else NotNow("500"), idempotency=NONE)
    await first.take(ticket())
    await first.take(ticket(revision=1, op="update"))
    await first.clock.advance(60)
    assert first.destination.ops[:3] == [("create", 0), ("update", 1), ("update", 1)]


async def test_an_edit_after_an_unknown_create_is_an_update() -> None:
    stage = Stage(log=await a_log_with_a_request_under_way())
    await stage.take(ticket(revision=1, op="update"))
    assert stage.destination.ops == [("update", 1)]


async def test_without_a_lease_nothing_is_sent() -> None:
    stage = Stage()
    stage.is_leased = False
    await stage.take(ticket())
    await stage.clock.advance(600)
    assert not stage.destination.asked
    assert stage.log.states() == ["accepted"]
    stage.is_leased = True
    await stage.clock.advance(0.1)
    assert stage.destination.ops == [("create", 0)]


async def test_a_lease_that_runs_out_as_the_bytes_go_out_holds_them_back_until_it_is_renewed() -> None:
    stage = Stage()
    write = stage.log.write

    def and_stop_after(records: list[LogRecord]) -> "asyncio.Future[list[int]]":
        stage.is_leased = stage.is_leased and b'"state":"sending"' not in records[0].value
        return write(records)

    stage.log.write = and_stop_after  # type: ignore[method-assign, assignment]
    await stage.take(ticket())
    assert stage.log.states() == ["accepted", "sending"]
    assert not stage.destination.asked
    stage.is_leased = True
    await stage.clock.advance(0.1)
    assert stage.destination.ops == [("create", 0)]
    assert stage.log.states() == ["accepted", "sending", "done"]


async def test_a_destination_that_finds_the_lease_gone_at_the_socket_is_asked_again_when_it_is_back() -> None:
    stage = Stage()
    answers = iter([False, True])  # the loop that waits for the lease sees it, the socket does not

    async def create(parcel: Parcel, may_send: object) -> Outcome:
        return await type(stage.destination).create(stage.destination, parcel, lambda: next(answers))

    stage.destination.create = create  # type: ignore[method-assign]
    await stage.take(ticket())
    assert stage.counters.withheld == 1
    assert stage.counters.requests == 1
    assert stage.log.states() == ["accepted", "sending", "done"]


async def test_an_answer_that_comes_after_the_partition_was_lost_is_for_the_next_owner_to_find_out() -> None:
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    async def held(_: Parcel) -> Outcome:
        return await answer

    stage = Stage(held)
    await stage.take(ticket())
    stage.is_leased = False
    leaving = asyncio.create_task(stage.dispatcher.give_up(stage.lane))
    await settle()
    answer.set_result(Taken(200))
    await settle()
    await leaving
    assert stage.log.states() == ["accepted", "sending"]
    assert stage.counters.abandoned == 1


async def test_an_answer_that_comes_while_the_partition_is_given_up_in_order_is_written() -> None:
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    async def held(_: Parcel) -> Outcome:
        return await answer

    stage = Stage(held)
    await stage.take(ticket())
    leaving = asyncio.create_task(stage.dispatcher.give_up(stage.lane))
    await settle()
    answer.set_result(Taken(200))
    await leaving
    assert stage.log.states() == ["accepted", "sending", "done"]


async def test_a_deposed_owner_neither_sends_nor_writes_anything_more() -> None:
    stage = Stage(concurrency=1)
    stage.is_leased = False
    await stage.take(ticket())
    stage.lane.depose()
    stage.is_leased = True
    await stage.clock.advance(60)
    assert not stage.destination.asked
    assert stage.log.states() == ["accepted"]


async def test_an_owner_that_is_deposed_during_a_request_writes_nothing_of_its_outcome() -> None:
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    async def held(_: Parcel) -> Outcome:
        return await answer

    stage = Stage(held)
    await stage.take(ticket())
    stage.lane.depose()
    answer.set_result(Taken(200))
    await settle()
    assert stage.log.states() == ["accepted", "sending"]
    assert stage.counters.abandoned == 1


@pytest.mark.parametrize("event", ["deposed", "lease ran out"])
async def test_who_loses_the_partition_while_the_connection_is_made_sends_nothing(event: str) -> None:
    connected, may = asyncio.Event(), list[bool]()

    async def create(parcel: Parcel, may_send: MaySend) -> Outcome:
        may.append(may_send())
        await connected.wait()
        may.append(may_send())
        raise Withheld

    stage = Stage()
    stage.destination.create = create  # type: ignore[method-assign]
    await stage.take(ticket())
    if event == "deposed":
        stage.lane.depose()
    stage.is_leased = event == "deposed"
    connected.set()
    await settle()
    assert may == [True, False]
    assert (stage.counters.requests, stage.counters.withheld) == (0, 1)


async def test_the_memory_of_a_partition_that_was_lost_in_the_middle_of_a_request_is_taken_up_again() -> None:
    """The request is unknown by then, and the edit that waited for it is read again."""

    async def never(_: Parcel) -> Outcome:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    before = Stage(never)
    await before.take(ticket())
    await before.take(ticket(revision=1, op="update"))
    before.dispatcher.stop()
    stage = Stage(log=before.log, fold=before.lane.fold, clock=before.clock, position=1)
    await stage.take(ticket(revision=1, op="update"))
    await stage.clock.advance(20)
    assert stage.destination.ops == [("update", 1)]
    assert stage.lane.offsets.acknowledged == 2
    assert not stage.lane.fold.open


# -- records of owners that were stopped and woke ------------------------------------------------------------------


def a_stale_record(one: Ticket, state: str) -> LogRecord:
    return open_record(
        one.key,
        state,  # type: ignore[arg-type]
        epoch=-1,
        revision=one.revision,
        op="create",
        attempt=9,
        due=0.0,
        created=False,
        at=0.0,
        body=one.to_bytes(),
    )


async def overhear(stage: Stage, record: LogRecord) -> None:
    """Another process writes to the log, and the owner reads it."""
    stage.log.records.append(record)
    offset = len(stage.log.records) - 1
    stage.lane.fold.overhear(read_entry(record.key, record.value, offset), keep_until=float("inf"))
    stale, stage.lane.fold.stale = stage.lane.fold.stale, set()
    await stage.lane.heal(stale, stage.clock.wall)
    stage.dispatcher.pump()
    await settle()


@pytest.mark.parametrize("state", ["accepted", "sending"])
async def test_a_stale_record_of_a_ticket_that_is_done_is_overruled(state: str) -> None:
    stage = Stage()
    await stage.take(ticket())
    await overhear(stage, a_stale_record(ticket(), state))
    assert stage.log.states() == ["accepted", "sending", "done", state, "done"]
    later = Stage(log=stage.log)
    await later.clock.advance(60)
    assert not later.destination.asked


async def test_a_stale_record_of_a_dead_ticket_leaves_it_dead() -> None:
    stage = Stage(lambda _: NotNow("503", maybe_taken=False), tries=1)
    await stage.take(ticket())
    await overhear(stage, a_stale_record(ticket(), "accepted"))
    assert stage.log.states()[-1] == "dead"


async def test_a_stale_record_of_a_withdrawn_ticket_leaves_it_withdrawn() -> None:
    stage = Stage()
    await stage.take(ticket())
    await stage.take(ticket(revision=1, op="withdraw"))
    await overhear(stage, a_stale_record(ticket(), "sending"))
    last = Delivery.from_bytes(stage.log.records[-1].value)
    assert (last.state, last.revision, last.op, last.created) == ("done", 1, "withdraw", False)


async def test_a_stale_record_of_an_open_ticket_is_overruled_with_the_whole_ticket() -> None:
    stage = Stage(lambda _: NotNow("503"), first_wait_s=30.0)
    await stage.take(ticket())
    await overhear(stage, a_stale_record(ticket(), "sending"))
    last = Delivery.from_bytes(stage.log.records[-1].value)
    assert (last.state, last.attempt, last.ticket) == ("accepted", 1, ticket())


async def test_so_is_one_whose_body_was_left_in_the_log() -> None:
    stage = Stage(lambda _: NotNow("503"), first_wait_s=3000.0)
    await stage.take(ticket())
    assert stage.item().body is None
    await overhear(stage, a_stale_record(ticket(), "sending"))
    assert Delivery.from_bytes(stage.log.records[-1].value).ticket == ticket()


async def test_a_ticket_whose_body_was_left_in_the_log_says_in_it_too_that_it_became_an_update() -> None:
    before = Stage(lambda _: NotNow("503", maybe_taken=False), first_wait_s=3000.0)
    await before.take(ticket(revision=1))
    before.log.records.append(a_stale_record(ticket(), "sending"))  # of the create, by one that was stopped
    after = Stage(log=before.log)
    assert after.item().body is None
    await after.clock.advance(3000)
    assert after.destination.ops == [("update", 1)]
    assert ticket_in(after.destination.asked[0][1]).op == "update"


async def test_who_was_stopped_and_woke_brings_the_owner_no_ticket_since_it_comes_by_its_topic() -> None:
    stage = Stage()
    await overhear(stage, a_stale_record(ticket("unacknowledged"), "accepted"))
    await stage.clock.advance(60)
    assert not stage.destination.asked
    await stage.take(ticket("unacknowledged"))
    assert stage.destination.ops == [("create", 0)]
    assert not stage.lane.fold.is_whole  # the next time with this partition begins with the whole log


async def behind_a_woken_process(stage: Stage) -> None:
    """A process that the group has long forgotten writes its owner record; the owner has not read it yet."""
    stage.log.records.append(owner_record("woken", stage.clock.wall()))


async def test_what_the_owner_acknowledged_behind_a_woken_process_record_is_not_lost_when_it_dies() -> None:
    before = Stage(lambda _: NotNow("503", maybe_taken=False), first_wait_s=30.0)
    await behind_a_woken_process(before)
    await before.take(ticket())
    assert before.lane.offsets.acknowledged == 1
    after = Stage(log=before.log, position=1)
    await after.clock.advance(60)
    assert after.destination.ops == [("create", 0)]


async def test_an_edit_behind_it_finds_what_the_destination_has() -> None:
    before = Stage()
    await before.take(ticket())
    await behind_a_woken_process(before)
    before.destination.answer = lambda _: NotNow("503", maybe_taken=False)
    await before.take(ticket(revision=1, op="update"))
    after = Stage(log=before.log, position=2)
    await after.clock.advance(60)
    assert after.destination.ops == [("update", 1)]


async def test_a_request_begun_behind_it_is_unknown_to_the_next_owner() -> None:
    async def never(_: Parcel) -> Outcome:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    before = Stage(never)
    before.is_leased = False
    await before.take(ticket())
    await behind_a_woken_process(before)
    before.is_leased = True
    await before.clock.advance(1)
    assert before.log.states() == ["accepted", "sending"]
    after = Stage(log=before.log, position=1)
    await after.take(ticket(revision=1, op="update"))
    assert after.destination.ops == [("update", 1)]  # it may have the ticket


async def test_an_edit_that_was_to_be_a_create_for_want_of_knowledge_is_an_update() -> None:
    """A process that was stopped took it on as the first that is sent; meanwhile the one before arrived."""
    stage = Stage()
    await stage.take(ticket())
    stage.log.records.append(a_stale_record(ticket(revision=1, op="create"), "accepted"))
    after = Stage(log=stage.log, position=1)
    await after.clock.advance(60)
    assert after.destination.ops == [("update", 1)]
    assert ticket_in(after.destination.asked[0][1]).op == "update"


async def test_a_deposed_owner_overrules_nobody() -> None:
    stage = Stage()
    await stage.take(ticket())
    stage.lane.depose()
    await overhear(stage, a_stale_record(ticket(), "accepted"))
    assert stage.log.states()[-1] == "accepted"


async def test_a_former_owners_word_that_it_is_done_saves_the_request() -> None:
    stage = Stage(lambda _: NotNow("503", maybe_taken=False), first_wait_s=30.0)
    await stage.take(ticket())
    other = Stage()
    await other.take(ticket())
    await overhear(stage, other.log.records[-1])
    await stage.clock.advance(600)
    assert len(stage.destination.asked) == 1
    assert not stage.lane.fold.open


async def test_a_former_owners_word_during_our_own_request_does_not_open_the_ticket_again() -> None:
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    async def held(_: Parcel) -> Outcome:
        return await answer

    stage = Stage(held)
    await stage.take(ticket())
    await stage.take(ticket(revision=1, op="update"))
    other = Stage()
    await other.take(ticket())
    await overhear(stage, other.log.records[-1])
    answer.set_result(NotNow("500"))
    await settle()
    assert stage.log.states()[:4] == ["accepted", "sending", "done", "accepted"]
    assert stage.destination.ops[1] == ("update", 1)


async def test_a_request_that_fails_after_a_former_owner_said_that_it_is_done_leaves_it_done() -> None:
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    async def held(_: Parcel) -> Outcome:
        return await answer

    stage = Stage(held)
    await stage.take(ticket())
    other = Stage()
    await other.take(ticket())
    await overhear(stage, other.log.records[-1])
    answer.set_result(NotNow("500"))
    await stage.clock.advance(600)
    assert stage.log.states() == ["accepted", "sending", "done"]
    assert len(stage.destination.asked) == 1


async def test_an_edit_that_comes_after_a_former_owners_word_is_not_lost_by_the_outcome_of_our_own_request() -> None:
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    async def held(parcel: Parcel) -> Outcome:
        return await answer if parcel.revision == 0 else Taken(200)

    stage = Stage(held, concurrency=1)
    await stage.take(ticket())
    other = Stage()
    await other.take(ticket())
    await overhear(stage, other.log.records[-1])
    await stage.take(ticket(revision=1, op="update"))
    answer.set_result(Taken(200))
    await settle()
    assert stage.destination.ops == [("create", 0), ("update", 1)]


async def test_what_is_in_the_log_but_no_ticket_is_passed_over() -> None:
    log = MemoryLog()
    record = a_stale_record(ticket(), "accepted")
    log.records.append(LogRecord(record.key, record.value.replace(b'"destination"', b'"place"')))
    stage = Stage(log=log)
    await stage.clock.advance(60)
    assert not stage.destination.asked
    assert stage.counters.unreadable == 1
    await stage.take(ticket())
    assert stage.destination.ops == [("create", 0)]

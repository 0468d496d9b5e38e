"""Failures of the destination: retries, Retry-After, the breaker, and what they may cost."""

import asyncio
from collections.abc import Awaitable, Sequence

import pytest

from route.delivery.courier import Dead
from route.delivery.entry import LogRecord
from route.destinations.base import NeverAgain, NotNow, Outcome, Parcel, Taken
from schemas.delivery import Delivery
from schemas.reasons import DeadReason
from tests.route.delivery.doubles import Stage, settle, ticket, ticket_in


def many(count: int, first: int = 0) -> list:  # type: ignore[type-arg]
    return [ticket(f"post-{n}") for n in range(first, first + count)]


def times(stage: Stage, post: str = "post-1") -> list[float]:
    return [at for at, parcel in stage.destination.asked if parcel.key == ticket(post).key]


async def test_retries_follow_the_schedule() -> None:
    stage = Stage(lambda _: NotNow("503"), tries=5)
    await stage.take(ticket())
    await stage.clock.advance(1000)
    assert times(stage) == [0, 5, 15, 35, 75]


async def test_after_the_last_try_it_is_a_dead_letter_with_the_last_answer() -> None:
    stage = Stage(lambda _: NotNow("503 gone fishing", 503), tries=2)
    await stage.take(ticket())
    await stage.clock.advance(1000)
    [dead] = stage.dead
    assert dead.reason is DeadReason.RETRIES_EXHAUSTED
    assert dead.detail == "2 tries; the last: 503 gone fishing"
    assert dead.body == ticket().to_bytes()
    assert stage.log.states()[-1] == "dead"


async def test_a_refusal_is_a_dead_letter_at_once() -> None:
    stage = Stage(lambda _: NeverAgain("422 no such queue", 422))
    await stage.take(ticket())
    await stage.clock.advance(1000)
    [dead] = stage.dead
    assert (dead.reason, dead.detail, dead.status) == (DeadReason.REFUSED, "422 no such queue", 422)
    assert len(stage.destination.asked) == 1
    end = Delivery.from_bytes(stage.log.records[-1].value)
    assert (end.state, end.reason, end.status, end.attempt) == ("dead", DeadReason.REFUSED, 422, 1)
    assert +stage.counters.dead == {DeadReason.REFUSED: 1}


async def test_a_dead_letter_is_written_before_the_log_says_that_its_ticket_is_dead() -> None:
    written = asyncio.Event()

    class SlowGraveyard(Stage):
        async def _bury_ticket(self, dead: Dead) -> None:
            await written.wait()

    stage = SlowGraveyard(lambda _: NeverAgain("422", 422))
    await stage.take(ticket())
    assert stage.log.states() == ["accepted", "sending"]
    written.set()
    await settle()
    assert stage.log.states() == ["accepted", "sending", "dead"]


async def test_the_schedule_goes_on_where_it_was_after_a_restart() -> None:
    before = Stage(lambda _: NotNow("503"), first_wait_s=100.0, tries=3)
    await before.take(ticket())
    await before.clock.advance(40)
    before.dispatcher.stop()
    after = Stage(lambda _: NotNow("503"), first_wait_s=100.0, tries=3, log=before.log, clock=before.clock)
    await after.clock.advance(10_000)
    assert times(after) == [100, 300]
    assert [dead.reason for dead in after.dead] == [DeadReason.RETRIES_EXHAUSTED]


async def test_retry_after_is_waited_for_when_it_is_longer() -> None:
    stage = Stage(lambda parcel: NotNow("429", 429, retry_after_s=60.0) if parcel.attempt == 1 else NotNow("503"))
    await stage.take(ticket())
    await stage.clock.advance(70)
    assert times(stage) == [0, 60, 70]


async def test_no_more_requests_at_once_than_allowed() -> None:
    async def slow(_: Parcel) -> Outcome:
        await stage.clock.sleep(1)
        return Taken(200)

    stage = Stage(slow, concurrency=3)
    await stage.take(*many(20))
    await stage.clock.advance(5)
    assert stage.destination.most_under_way == 3
    await stage.clock.advance(10)
    assert len(stage.destination.asked) == 20


async def test_while_the_destination_is_down_one_request_a_second_and_no_try_is_spent() -> None:
    down = True
    stage = Stage(lambda _: NotNow("503") if down else Taken(200), breaker_failures=5, concurrency=8, tries=2)
    await stage.take(*many(500))
    await stage.clock.advance(0.5)
    at_first = len(stage.destination.asked)
    assert at_first == 8  # what was under way when it opened
    await stage.clock.advance(600)
    assert 595 <= len(stage.destination.asked) - at_first <= 605
    assert not stage.dead
    assert stage.counters.breaker_opened == 1
    assert sorted({item.attempt for item in stage.lane.fold.open.values()}) == [0, 1]
    down = False
    await stage.clock.advance(2)
    settled = stage.counters.done
    assert settled >= 500 - 5  # those that have failed once only wait for their own time, which is near
    await stage.clock.advance(60)
    assert stage.counters.done == 500
    assert not stage.dead


async def test_while_the_destination_is_down_nothing_goes_before_it_is_due() -> None:
    stage = Stage(no_line, breaker_failures=2)
    await stage.take(*many(2))
    assert stage.breaker.is_open
    await stage.take(ticket("post-1", 1, "withdraw"))  # the one that failed before waits for its own time
    await stage.clock.advance(4.9)
    assert len(stage.destination.asked) == 2
    await stage.clock.advance(0.1)
    assert times(stage, "post-0") == [0, 5]


async def test_when_the_destination_is_back_everything_goes_at_once_but_never_more_than_allowed() -> None:
    down = True

    async def answer(_: Parcel) -> Outcome:
        if down:
            return NotNow("503")
        await stage.clock.sleep(0.01)
        return Taken(200)

    stage = Stage(answer, breaker_failures=5, concurrency=8)
    await stage.take(*many(400))
    await stage.clock.advance(300)
    down = False
    stage.destination.most_under_way = 0
    await stage.clock.advance(1 + 400 / 8 * 0.01 + 0.5)
    assert stage.counters.done >= 395
    assert stage.destination.most_under_way == 8


def no_line(_: Parcel) -> Outcome:
    return NotNow("no connection", maybe_taken=False)


@pytest.mark.parametrize("count", [1, 3, 9, 12])
async def test_tickets_of_a_long_outage_go_as_soon_as_the_receiver_takes_one_however_few_they_are(count: int) -> None:
    stage = Stage(no_line, tries=18, max_wait_s=14_400.0, breaker_failures=10)
    for one in many(count):
        await stage.take(one)
        await stage.clock.advance(600)
    await stage.clock.advance(8 * 3600)
    assert stage.breaker.is_open == (count >= 10)
    stage.destination.answer = lambda _: Taken(200)
    await stage.take(ticket("new"))
    await stage.clock.advance(2)
    assert stage.counters.done == count + 1


@pytest.mark.parametrize("retry_after_s", [0.0, 900.0])
async def test_restarts_and_rebalances_hurry_no_ticket_and_cost_it_no_try(retry_after_s: float) -> None:
    bad = ticket("bad").key

    def answer(parcel: Parcel) -> Outcome:
        return NotNow("503", 503, retry_after_s) if parcel.key == bad else Taken(200)

    asked: list[float] = []
    stage = Stage(answer, tries=18)
    await stage.take(ticket("bad"))
    for n in range(100):
        stage.dispatcher.stop()
        asked += times(stage, "bad")
        stage = Stage(answer, log=stage.log, clock=stage.clock, tries=18, position=stage.read)
        await stage.take(ticket(f"sound-{n}"))
        await stage.clock.advance(9)
    asked += times(stage, "bad")
    assert asked == ([0, 900] if retry_after_s else [0, 5, 15, 35, 75, 155, 315, 635])


async def test_so_does_one_whose_failure_is_still_being_written_down_when_another_is_taken() -> None:
    old, is_back, written = ticket("old").key, asyncio.Event(), asyncio.Event()

    async def answer(parcel: Parcel) -> Outcome:
        if parcel.key == old and not is_back.is_set():
            return NotNow("no connection", maybe_taken=False)
        await is_back.wait()
        return Taken(200)

    stage = Stage(answer, tries=18, max_wait_s=14_400.0)
    await stage.take(ticket("old"))
    await stage.clock.advance(8 * 3600)
    await stage.clock.advance(stage.item("old").due - stage.clock.wall() - 1)
    await stage.take(ticket("new"))
    write = stage.log.write

    async def written_late(offsets: Awaitable[list[int]]) -> list[int]:
        await written.wait()
        return await offsets

    def slow(records: Sequence[LogRecord]) -> asyncio.Future[list[int]]:
        offsets = write(records)
        is_failure = records[0].key == old.encode() and b'"state":"accepted"' in records[0].value
        return asyncio.ensure_future(written_late(offsets)) if is_failure else offsets

    stage.log.write = slow  # type: ignore[method-assign]
    await stage.clock.advance(2)
    is_back.set()
    await settle()
    assert stage.counters.done == 1
    written.set()
    await stage.clock.advance(1)
    assert stage.counters.done == 2


async def test_they_go_no_more_at_once_than_allowed() -> None:
    async def slow(_: Parcel) -> Outcome:
        await stage.clock.sleep(1)
        return Taken(200)

    stage = Stage(no_line, tries=18, max_wait_s=14_400.0, concurrency=3)
    await stage.take(*many(30))
    await stage.clock.advance(8 * 3600)
    stage.destination.answer = slow
    stage.destination.most_under_way = 0
    await stage.take(ticket("new"))
    await stage.clock.advance(20)
    assert stage.counters.done == 31
    assert stage.destination.most_under_way == 3


async def test_one_that_was_asked_to_come_later_does_so_whatever_others_meet() -> None:
    key = ticket("post-0").key
    stage = Stage(lambda parcel: NotNow("429", 429, 0.0 if parcel.attempt == 1 else 900.0), tries=18)
    await stage.take(*many(1))
    await stage.clock.advance(10)
    stage.destination.answer = lambda _: Taken(200)
    await stage.take(ticket("new"))
    await stage.clock.advance(890)
    assert stage.counters.done == 1
    await stage.clock.advance(20)
    assert [at for at, parcel in stage.destination.asked if parcel.key == key] == [0, 5, 905]


async def test_one_that_the_receiver_chokes_on_spends_no_try_on_the_success_of_others() -> None:
    bad = ticket("bad").key
    stage = Stage(lambda parcel: NotNow("500") if parcel.key == bad else Taken(200), tries=18)
    await stage.take(ticket("bad"))
    for n in range(700):
        await stage.take(ticket(f"sound-{n}"))
        await stage.clock.advance(1)
    assert times(stage, "bad") == [0, 5, 15, 35, 75, 155, 315, 635]


async def test_an_overloaded_receiver_that_fails_every_other_request_is_not_hurried() -> None:
    stage = Stage(lambda parcel: NotNow("503") if parcel.attempt < 4 else Taken(200), tries=18)
    for n in range(60):
        await stage.take(ticket(f"post-{n}"))
        await stage.clock.advance(5)
    assert times(stage, "post-30") == [150, 155, 165, 185]


async def test_probes_wait_for_retry_after() -> None:
    stage = Stage(lambda _: NotNow("503", 503, retry_after_s=30.0), breaker_failures=1)
    await stage.take(*many(10))
    await stage.clock.advance(0.5)
    asked = len(stage.destination.asked)
    await stage.clock.advance(29)
    assert len(stage.destination.asked) == asked
    await stage.clock.advance(1)
    assert len(stage.destination.asked) == asked + 1


async def test_one_ticket_that_the_destination_chokes_on_holds_up_no_other_and_dies() -> None:
    bad = ticket("bad").key
    stage = Stage(lambda parcel: NotNow("500") if parcel.key == bad else Taken(200), breaker_failures=2, tries=4)
    await stage.take(ticket("bad"), *many(50))
    await stage.clock.advance(200)
    assert stage.counters.done == 50
    assert [dead.reason for dead in stage.dead] == [DeadReason.RETRIES_EXHAUSTED]
    assert stage.counters.breaker_opened == 0


async def test_a_refusal_is_the_answer_of_a_destination_that_works() -> None:
    """Failures before and after it are not in a row."""
    stage = Stage(
        lambda parcel: NeverAgain("422", 422) if b"refused" in parcel.body else NotNow("503"), breaker_failures=2
    )
    for post in ("post-1", "refused", "post-2"):
        await stage.take(ticket(post))
    assert stage.counters.breaker_opened == 0
    await stage.take(ticket("post-3"))
    assert stage.counters.breaker_opened == 1


async def test_of_many_that_it_chokes_on_each_probe_takes_another_so_a_sound_one_gets_through() -> None:
    stage = Stage(
        lambda parcel: NotNow("500") if b"choke" in parcel.body else Taken(200), breaker_failures=5, concurrency=4
    )
    await stage.take(*(ticket(f"choke-{n}", text="choke") for n in range(20)))
    await stage.clock.advance(5)
    assert stage.breaker.is_open
    await stage.take(ticket("sound"))
    await stage.clock.advance(30)
    assert stage.counters.done == 1


async def test_fresh_tickets_do_not_go_before_older_retries() -> None:
    stage = Stage(lambda parcel: NotNow("503") if parcel.attempt == 1 else Taken(200), concurrency=1)
    await stage.take(ticket("old"))
    await stage.clock.advance(4)
    stage.is_leased = False
    await stage.clock.advance(2)
    await stage.take(ticket("new"))
    stage.is_leased = True
    await stage.clock.advance(1)
    assert [ticket_in(parcel).post_id for _, parcel in stage.destination.asked] == ["old", "old", "new"]


async def test_a_fault_in_the_destinations_code_is_tried_again_then_a_dead_letter_of_ours() -> None:
    def broken(_: Parcel) -> Outcome:
        raise ZeroDivisionError("a bug")

    stage = Stage(broken, tries=3, breaker_failures=1)
    await stage.take(ticket())
    await stage.clock.advance(100)
    [dead] = stage.dead
    assert (dead.reason, dead.detail) == (DeadReason.STAGE_ERROR, "ZeroDivisionError: a bug")
    assert times(stage) == [0, 5, 15]
    assert not stage.breaker.is_open  # that is no word about the destination


@pytest.mark.parametrize("tries", [1, 3])
async def test_after_a_fault_in_the_destinations_code_an_edit_is_an_update(tries: int) -> None:
    """The create may have gone out before it broke."""

    def broken(parcel: Parcel) -> Outcome:
        if parcel.op == "create":
            raise ZeroDivisionError("a bug")
        return Taken(200)

    stage = Stage(broken, tries=tries)
    await stage.take(ticket())
    await stage.take(ticket(revision=1, op="update"))
    assert stage.destination.ops == [("create", 0), ("update", 1)]


async def test_far_off_tickets_leave_their_bodies_in_the_log_and_are_sent_whole_when_due() -> None:
    stage = Stage(lambda parcel: NotNow("503") if parcel.attempt < 3 else Taken(200), first_wait_s=300.0)
    await stage.take(*many(20))
    assert stage.lane.fold.held == 0
    assert len(stage.lane.fold.open) == 20
    await stage.clock.advance(1000)
    assert stage.counters.done == 20
    assert stage.log.reads == 40
    assert all(ticket_in(parcel).post_id.startswith("post-") for _, parcel in stage.destination.asked)


@pytest.mark.parametrize("seconds", [10.0, 100_000.0])
async def test_the_wall_clock_may_be_set(seconds: float) -> None:
    stage = Stage(lambda parcel: NotNow("503") if parcel.attempt == 1 else Taken(200), first_wait_s=3000.0)
    await stage.take(ticket())
    stage.clock.wall = lambda: 1_800_000_000.0 + seconds + 3000 + stage.clock.now  # type: ignore[method-assign]
    await stage.clock.advance(61)
    assert stage.counters.done == 1


async def test_a_body_that_cannot_be_read_back_ends_the_process() -> None:
    async def no_log(offset: int) -> tuple[bytes, bytes]:
        raise OSError("the log can't be read")

    stage = Stage(lambda _: NotNow("503"), first_wait_s=300.0)
    stage.log.read = no_log  # type: ignore[method-assign]
    await stage.take(ticket())
    await stage.clock.advance(400)
    assert [str(fault) for fault in stage.faults] == ["the log can't be read"]


async def test_giving_up_waits_for_what_is_under_way_and_starts_nothing_more() -> None:
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    async def held(_: Parcel) -> Outcome:
        return await answer

    stage = Stage(held, concurrency=1)
    await stage.take(*many(3))
    leaving = asyncio.create_task(stage.dispatcher.give_up(stage.lane))
    await settle()
    assert not leaving.done()
    answer.set_result(Taken(200))
    await leaving
    assert stage.counters.done == 1
    assert len(stage.destination.asked) == 1


async def test_once_it_is_told_to_stop_nothing_more_starts() -> None:
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    async def held(_: Parcel) -> Outcome:
        return await answer

    stage = Stage(held, concurrency=1)
    await stage.take(*many(3))
    stage.dispatcher.stop()
    answer.set_result(Taken(200))
    await stage.clock.advance(60)
    assert stage.counters.done == 1
    assert len(stage.destination.asked) == 1

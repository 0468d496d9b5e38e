"""A destination with limits: who goes first, who waits, and that waiting costs nothing."""

from typing import Any

import pytest

from route.delivery.limits import HOUR_S
from route.delivery.queue import LONGEST_EVERY
from route.destinations.base import NotNow, Outcome, Parcel, Taken
from schemas.ticket import Ticket
from tests.route.delivery.doubles import Stage, ticket, ticket_in


def many(count: int, first: int = 0, **fields: Any) -> list[Ticket]:
    return [ticket(f"post-{n}", **fields) for n in range(first, first + count)]


def went(stage: Stage) -> list[str]:
    """The posts in the order of their requests."""
    return [ticket_in(parcel).post_id for _, parcel in stage.destination.asked]


def times(stage: Stage) -> list[float]:
    return [at for at, _ in stage.destination.asked]


async def test_what_is_over_the_limit_waits_and_all_goes_in_the_end_without_a_try_spent() -> None:
    stage = Stage(per_minute=10, tries=1)
    await stage.take(*many(40))
    await stage.clock.advance(59)
    assert len(stage.destination.asked) <= 10
    await stage.clock.advance(300)
    assert stage.counters.done == stage.counters.requests == 40
    assert stage.counters.limited > 20
    assert not stage.dead
    assert max(sum(at <= other < at + 60 for other in times(stage)) for at in times(stage)) <= 10


async def test_what_waits_for_anything_else_than_the_limit_is_not_counted_as_limited() -> None:
    async def slow(_: Parcel) -> Outcome:
        await stage.clock.sleep(1)
        return Taken(200)

    stage = Stage(slow, per_minute=600, concurrency=1)
    await stage.take(*many(20))
    await stage.clock.advance(30)
    assert stage.counters.done == 20
    assert stage.counters.limited == 0


async def test_the_order_is_priority_then_time() -> None:
    stage = Stage(concurrency=1)
    stage.is_leased = False
    for n, priority in enumerate(["low", "normal", "urgent", "high", "low", "urgent"]):
        await stage.take(ticket(f"{priority}-{n}", priority=priority))
    stage.is_leased = True
    await stage.clock.advance(1)
    assert went(stage) == ["urgent-2", "urgent-5", "high-3", "normal-1", "low-0", "low-4"]


async def test_an_urgent_ticket_behind_a_backlog_goes_at_once() -> None:
    stage = Stage(per_minute=60, bodies=20)
    await stage.take(*many(500, priority="low"))
    await stage.clock.advance(100)
    reads = stage.log.reads
    await stage.take(ticket("help", priority="urgent"))
    await stage.clock.advance(0.1)
    assert went(stage)[-1] == "help"
    assert times(stage)[-1] == 100
    assert stage.log.reads == reads  # its body need not be fetched


async def test_what_is_kept_for_urgent_tickets_goes_to_no_other() -> None:
    stage = Stage(per_minute=600, concurrency=100)
    await stage.take(*many(2000, priority="low"))
    await stage.clock.advance(59.5)
    lows = len(stage.destination.asked)
    assert lows == 540
    await stage.take(*many(60, first=2000, priority="urgent"))
    await stage.clock.advance(0.1)
    assert len(stage.destination.asked) == lows + 60
    assert {ticket_in(parcel).priority for _, parcel in stage.destination.asked[lows:]} == {"urgent"}


async def test_a_low_ticket_does_not_wait_for_ever_behind_urgent_ones() -> None:
    stage = Stage(per_minute=60)
    await stage.take(ticket("patient", priority="low"))
    await stage.take(*many(600, priority="urgent"))
    await stage.clock.advance(60)
    assert went(stage).index("patient") < LONGEST_EVERY
    stage = Stage(per_minute=60, concurrency=1)
    stage.is_leased = False
    await stage.take(ticket("patient", priority="low"))
    for wave in range(20):  # there is always another urgent one
        await stage.take(*many(60, first=60 * wave, priority="urgent"))
        stage.is_leased = True
        await stage.clock.advance(30)
    assert "patient" in went(stage)
    assert went(stage).index("patient") < 2 * LONGEST_EVERY


async def test_a_backlog_past_what_is_kept_leaves_its_bodies_in_the_log_and_arrives_whole() -> None:
    stage = Stage(per_minute=600, bodies=20)
    await stage.take(*many(400))
    assert stage.lane.fold.held <= 20 + 300  # those that went at once count until they are settled
    await stage.clock.advance(0.5)
    assert stage.lane.fold.held <= 20
    await stage.take(*(ticket(f"help-{n}", priority="urgent") for n in range(5)))
    await stage.clock.advance(120)
    assert stage.counters.done == 405
    assert {ticket_in(parcel).text for _, parcel in stage.destination.asked} == {
        *(one.text for one in many(400)),
        *(ticket(f"help-{n}").text for n in range(5)),
    }
    assert stage.log.reads >= 50


async def test_bodies_stay_where_nothing_limits() -> None:
    stage = Stage(lambda _: NotNow("503"), bodies=20, breaker_failures=1)
    await stage.take(*many(100))
    assert stage.lane.fold.held == 100
    assert stage.log.reads == 0


async def test_retries_and_withdrawals_count_as_the_requests_that_they_are() -> None:
    def answer(parcel: Parcel) -> Outcome:
        return NotNow("503") if parcel.op == "create" and parcel.attempt == 1 else Taken(200)

    stage = Stage(answer, per_minute=6, first_wait_s=1.0)
    await stage.take(*many(3))
    await stage.clock.advance(150)
    await stage.take(*(ticket(f"post-{n}", 1, "withdraw") for n in range(3)))
    await stage.clock.advance(200)
    assert stage.destination.ops[-3:] == [("withdraw", 1)] * 3
    assert len(stage.destination.asked) == 9
    assert max(sum(at <= other < at + 60 for other in times(stage)) for at in times(stage)) <= 6


async def test_a_ticket_that_is_withdrawn_while_it_waits_is_never_sent() -> None:
    stage = Stage(per_minute=1)
    await stage.take(*many(3))
    await stage.take(ticket("post-2", 1, "withdraw"))
    await stage.clock.advance(500)
    assert went(stage) == ["post-0", "post-1"]


async def test_after_a_restart_the_backlog_goes_on_in_its_order() -> None:
    before = Stage(per_minute=10)
    await before.take(*many(30, priority="low"))
    await before.clock.advance(10)
    before.dispatcher.stop()
    assert before.counters.done < 10
    after = Stage(per_minute=10, log=before.log, clock=before.clock)
    await after.take(ticket("help", priority="urgent"))
    await after.clock.advance(300)
    assert times(after)[went(after).index("help")] == 10
    assert before.counters.done + after.counters.done == 31


# -- authors ---------------------------------------------------------------------------------------------------------

LOUD = {"id": "acct:loud"}


async def test_an_author_past_the_cap_waits_and_holds_up_nobody_else() -> None:
    stage = Stage(per_author=3, tries=1)
    await stage.take(*many(7, author=LOUD), ticket("other", author={"id": "acct:calm"}))
    await stage.clock.advance(1)
    assert went(stage) == ["post-0", "post-1", "post-2", "other"]
    assert stage.lane.fold.held == 0  # they wait without their bodies
    assert stage.counters.author_capped == 4
    assert {item.waits_since for item in stage.lane.fold.open.values()} == {stage.clock.wall() + HOUR_S - 1}
    await stage.clock.advance(HOUR_S)
    assert went(stage)[4:] == ["post-3", "post-4", "post-5"]
    await stage.clock.advance(2 * HOUR_S)
    assert stage.counters.done == 8
    assert stage.counters.author_capped == 4
    assert not stage.dead


async def test_a_ticket_that_waited_for_its_authors_turn_is_late_from_then_on() -> None:
    stage = Stage(per_author=1)
    await stage.take(*many(2, author=LOUD))
    await stage.clock.advance(1)
    stage.destination.answer = lambda _: NotNow("down")
    await stage.clock.advance(HOUR_S)
    [item] = stage.lane.fold.open.values()
    assert item.attempt > 0
    assert item.waits_since == stage.clock.wall() - 1


async def test_of_one_author_the_urgent_ticket_takes_the_next_turn() -> None:
    stage = Stage(per_author=1)
    await stage.take(*many(3, author=LOUD, priority="low"))
    await stage.clock.advance(600)
    await stage.take(ticket("help", author=LOUD, priority="urgent"))
    await stage.clock.advance(HOUR_S)
    assert went(stage) == ["post-0", "help"]


async def test_updates_and_withdrawals_of_an_author_past_the_cap_go_at_once() -> None:
    stage = Stage(per_author=1)
    await stage.take(ticket("post-1", author=LOUD))
    await stage.take(ticket("post-1", 1, "update", author=LOUD), ticket("post-2", author=LOUD))
    await stage.take(ticket("post-1", 2, "withdraw"))
    await stage.clock.advance(1)
    assert stage.destination.ops == [("create", 0), ("update", 1), ("withdraw", 2)]


async def test_an_update_goes_at_once_even_when_its_create_is_long_past() -> None:
    stage = Stage(per_author=1)
    await stage.take(ticket("post-1", author=LOUD))
    await stage.clock.advance(HOUR_S + 60)
    await stage.take(ticket("post-2", author=LOUD), ticket("post-1", 1, "update", author=LOUD))
    await stage.clock.advance(1)
    assert stage.destination.ops == [("create", 0), ("create", 0), ("update", 1)]


async def test_tries_of_one_ticket_count_once() -> None:
    stage = Stage(lambda parcel: NotNow("503") if parcel.attempt < 3 else Taken(200), per_author=1)
    await stage.take(ticket("post-1", author=LOUD))
    await stage.clock.advance(60)
    assert stage.counters.done == 1


async def test_the_same_id_on_two_networks_is_two_authors() -> None:
    stage = Stage(per_author=1)
    await stage.take(*(ticket(f"post-{name}", network=name, author={"id": "7"}) for name in ("x", "mastodon")))
    await stage.clock.advance(1)
    assert stage.counters.done == 2


async def test_a_capped_ticket_that_is_withdrawn_while_it_waits_is_never_sent() -> None:
    stage = Stage(per_author=1)
    await stage.take(*many(3, author=LOUD))
    await stage.take(ticket("post-1", 1, "withdraw"))
    await stage.clock.advance(5 * HOUR_S)
    assert went(stage) == ["post-0", "post-2"]


@pytest.mark.parametrize("count", [2000])
async def test_a_flood_of_one_author_is_looked_at_no_more_often_than_there_are_turns(count: int) -> None:
    stage = Stage(per_author=10)
    await stage.take(*many(count, author=LOUD))
    await stage.clock.advance(10 * HOUR_S)
    assert len(stage.destination.asked) == 110
    assert stage.lane.fold.held == 0

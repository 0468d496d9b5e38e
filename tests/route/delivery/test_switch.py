"""A destination that refuses is turned off: nothing is sent, nothing dies, and it is turned on again."""

import pytest

from route.delivery.entry import LogRecord
from route.delivery.switch import Disabled, Enabled, InUse, Switch, Word, read_switch, switch_record
from route.destinations.base import NeverAgain, NotNow, Outcome, Parcel, Taken
from route.destinations.statuses import blames_settings, verdict
from schemas.delivery import IN_USE_KEY, OWNER_KEY, SWITCH_KEY, Delivery
from schemas.record import RecordInvalid
from schemas.ticket import Ticket
from tests.route.delivery.doubles import START, Stage, ticket, ticket_in


def many(count: int, first: int = 0) -> list[Ticket]:
    return [ticket(f"post-{n}") for n in range(first, first + count)]


def is_off(stage: Stage) -> bool:
    return stage.switch.disabled is not None


def gone(_: Parcel) -> Outcome:
    return NeverAgain("410 this hook was removed", 410)


def unauthorized(_: Parcel) -> Outcome:
    return NotNow("401 who are you", 401, maybe_taken=False)


async def test_410_turns_it_off_at_once_and_no_ticket_dies_of_it() -> None:
    stage = Stage(gone, tries=1)
    await stage.take(*many(50))
    await stage.clock.advance(86_400)
    assert len(stage.destination.asked) == 8  # what was under way
    assert not stage.dead
    assert len(stage.lane.fold.open) == 50
    assert {item.attempt for item in stage.lane.fold.open.values()} == {0}
    [told] = stage.turned_off
    assert told == stage.switch.disabled
    assert told == Disabled("it answered that it is gone: 410", START, 410, "first")
    assert stage.counters.disabled == 1


async def test_turned_on_again_everything_that_waited_goes() -> None:
    stage = Stage(gone, tries=1)
    await stage.take(*many(50))
    await stage.clock.advance(3600)
    stage.destination.answer = lambda _: Taken(200)
    stage.switch.learn(0, Enabled())
    stage.dispatcher.pump()
    await stage.clock.advance(1)
    assert stage.counters.done == 50


async def test_another_address_or_secret_turns_it_on() -> None:
    stage = Stage(gone)
    await stage.take(*many(5))
    await stage.clock.advance(3600)
    stage.destination.answer = lambda _: Taken(200)
    stage.destination.mark = "second"
    stage.dispatcher.pump()
    await stage.clock.advance(1)
    assert stage.counters.done == 5


async def test_what_a_person_turned_off_stays_so_with_another_secret() -> None:
    stage = Stage()
    stage.switch.learn(0, Disabled("maintenance", START))
    stage.destination.mark = "second"
    await stage.take(*many(5))
    await stage.clock.advance(3600)
    assert not stage.destination.asked


async def test_what_others_were_refused_with_other_settings_does_not_concern_us() -> None:
    stage = Stage()
    stage.switch.learn(0, Disabled("410", START, 410, "second"))
    assert not is_off(stage)
    stage.switch.learn(0, Disabled("410", START, 410, "first"))
    stage.switch.learn(0, Disabled("410", START, 410, "second"))
    assert is_off(stage)


async def test_that_tickets_go_with_another_secret_is_to_be_written_down_once() -> None:
    stage = Stage(gone)
    await stage.take(*many(5))
    assert stage.switch.overrule() is None
    stage.destination.mark = "second"
    assert stage.switch.overrule() == InUse("second")
    assert stage.switch.overrule() is None


async def test_so_it_is_by_the_process_that_comes_after_with_another_address() -> None:
    stage = Stage()
    stage.switch.learn(0, Disabled("410", START, 410, "another"))
    assert stage.switch.overrule() == InUse("first")


async def test_whoever_was_refused_does_not_try_again_because_others_send_elsewhere() -> None:
    stage = Stage(gone)
    await stage.take(*many(5))
    stage.switch.learn(0, InUse("second"))
    assert is_off(stage)


@pytest.mark.parametrize("is_compacted", [False, True])
def test_processes_with_different_settings_turn_each_other_neither_on_nor_off(is_compacted: bool) -> None:
    log: list[LogRecord] = []

    def come(mark: str) -> Switch:
        switch = Switch(1, 0.0, lambda: mark, lambda off: log.append(switch_record(off, START)))
        switch.own([0])
        newest = {record.key: record for record in log}
        for record in log:
            if not is_compacted or record is newest[record.key]:
                switch.learn(0, read_switch(record.value))
        if (word := switch.overrule()) is not None:
            log.append(switch_record(word, START))
        return switch

    assert come("refused").refused(0, "a", 422, True, 0.0, START)
    for _ in range(20):
        assert come("refused").disabled is not None
        assert come("sound").disabled is None
        assert come("another").disabled is None
    assert [read_switch(record.value) for record in log[1:]] == [InUse("sound")]


def test_a_worker_writes_nothing_under_the_key_where_others_look_for_what_a_person_says() -> None:
    """One that knows nothing of the other key passes it over, and stays off."""
    assert switch_record(InUse("second"), START).key not in (SWITCH_KEY.encode(), OWNER_KEY.encode())


async def test_what_a_person_turned_off_is_overruled_by_no_other_address() -> None:
    stage = Stage()
    stage.switch.learn(0, Disabled("maintenance", START))
    assert stage.switch.overrule() is None
    stage.switch.learn(0, InUse("second"))
    assert is_off(stage)


async def test_only_the_log_of_ones_own_partitions_counts() -> None:
    stage = Stage()
    stage.switch.learn(3, Disabled("maintenance", START))
    assert not is_off(stage)
    stage.switch.own([0, 3])
    assert stage.switch.disabled == Disabled("maintenance", START)
    stage.switch.learn(0, Enabled())
    assert is_off(stage)
    stage.switch.learn(3, Enabled())
    assert not is_off(stage)


async def test_many_refusals_for_good_in_a_row_turn_it_off_and_the_rest_waits() -> None:
    stage = Stage(lambda _: NeverAgain("422 no such field", 422), disable_after=20, concurrency=1)
    await stage.take(*many(100))
    await stage.clock.advance(3600)
    assert len(stage.destination.asked) == 20
    assert len(stage.dead) == 19  # the twentieth showed that it is not the tickets
    assert stage.switch.disabled is not None
    assert stage.switch.disabled.reason == "it refused 20 tickets in a row, the last with 422"


async def test_a_ticket_taken_between_breaks_the_row() -> None:
    stage = Stage(
        lambda parcel: Taken(200) if ticket_in(parcel).post_id.endswith("9") else NeverAgain("422", 422),
        disable_after=20,
        concurrency=1,
    )
    await stage.take(*many(200))
    await stage.clock.advance(10)
    assert len(stage.dead) == 180
    assert not is_off(stage)


async def test_refusals_for_good_of_an_earlier_row_do_not_count() -> None:
    switch = Switch(3, 600.0)

    def refused(key: str, status: int, final: bool) -> bool:
        return switch.refused(0, key, status, final, 0.0, START)

    assert [refused(key, 422, True) for key in "ab"] == [False, False]
    switch.taken()
    assert [refused(key, 401, False) for key in "cde"] == [False] * 3
    assert [refused(key, 422, True) for key in "fg"] == [False] * 2
    assert refused("h", 422, True)


async def test_after_a_rotation_the_receiver_has_the_whole_patience_again_to_follow() -> None:
    stage = Stage(unauthorized, disable_after=20, breaker_failures=10, first_wait_s=1.0, max_wait_s=10.0)
    await stage.take(*many(25))
    await stage.clock.advance(700)
    assert is_off(stage)
    stage.destination.mark = "second"
    stage.dispatcher.pump()
    await stage.clock.advance(500)  # the new secret is in use here, and not yet there
    assert not is_off(stage)
    stage.destination.answer = lambda _: Taken(200)
    await stage.clock.advance(60)
    assert stage.counters.done == 25


async def test_after_a_rotation_it_takes_as_many_refusals_for_good_as_before() -> None:
    stage = Stage(lambda _: NeverAgain("422", 422), disable_after=3, concurrency=1)
    await stage.take(*many(3))
    assert is_off(stage)
    stage.destination.mark = "second"
    await stage.take(ticket("one-more"))
    assert not is_off(stage)
    await stage.take(*many(3, first=10))
    assert is_off(stage)


async def test_what_the_receiver_answered_is_not_in_the_record_that_stays_for_good() -> None:
    stage = Stage(lambda _: NeverAgain('422 {"input": "my router is dead, Elm Street 5"}', 422), disable_after=3)
    await stage.take(*many(4))
    [told] = stage.turned_off
    assert b"Elm Street" not in switch_record(told, START).value
    assert told.reason == "it refused 3 tickets in a row, the last with 422"
    assert all("Elm Street" in dead.detail for dead in stage.dead)


async def test_one_ticket_refused_again_and_again_is_one() -> None:
    stage = Stage(unauthorized, disable_after=3, disable_after_s=0.0, tries=100, max_wait_s=5.0)
    await stage.take(ticket("a"), ticket("b"))
    await stage.clock.advance(3600)
    assert not is_off(stage)


@pytest.mark.parametrize("status", [301, 308, 401, 403, 404, 405, 407, 421])
async def test_answers_about_address_or_credentials_turn_it_off_only_if_they_go_on(status: int) -> None:
    stage = Stage(
        lambda _: NotNow(f"{status}", status, maybe_taken=False),
        disable_after=20,
        disable_after_s=600,
        breaker_failures=10,
        tries=2,
    )
    await stage.take(*many(100))
    await stage.clock.advance(599)
    assert not is_off(stage)  # a deployment, say
    assert stage.breaker.is_open
    await stage.clock.advance(5)
    assert is_off(stage)
    asked = len(stage.destination.asked)
    await stage.clock.advance(86_400)
    assert len(stage.destination.asked) == asked
    assert not stage.dead


async def test_a_deployment_of_five_minutes_turns_nothing_off() -> None:
    stage = Stage(unauthorized, disable_after=20, breaker_failures=10)
    await stage.take(*many(100))
    await stage.clock.advance(300)
    stage.destination.answer = lambda _: Taken(200)
    await stage.clock.advance(400)
    stage.destination.answer = unauthorized
    await stage.take(*many(100, first=100))
    await stage.clock.advance(400)
    assert not is_off(stage)
    assert not stage.dead


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_a_destination_that_is_down_or_busy_is_not_turned_off(status: int) -> None:
    stage = Stage(lambda _: NotNow("later", status), disable_after=1, disable_after_s=0.0, breaker_failures=5)
    await stage.take(*many(50))
    await stage.clock.advance(3600)
    assert not is_off(stage)


async def test_with_0_only_410_turns_it_off() -> None:
    stage = Stage(lambda _: NeverAgain("422", 422), disable_after=0)
    await stage.take(*many(500))
    await stage.clock.advance(10)
    assert len(stage.dead) == 500
    stage.destination.answer = gone
    await stage.take(*many(5, first=500))
    await stage.clock.advance(10)
    assert is_off(stage)
    assert len(stage.dead) == 500


async def test_what_was_under_way_when_a_person_turned_it_off_still_arrives() -> None:
    async def slow(_: Parcel) -> Outcome:
        await stage.clock.sleep(1)
        return Taken(200)

    stage = Stage(slow, concurrency=3)
    await stage.take(*many(10))
    stage.switch.learn(0, Disabled("maintenance", START))
    await stage.clock.advance(60)
    assert stage.counters.done == 3


@pytest.mark.parametrize(
    "word",
    [
        Enabled(),
        InUse("ab12"),
        Disabled("maintenance", START),
        Disabled("410 gone \u00e9", START, 410, "ab12"),
    ],
)
def test_the_record_says_what_it_was_made_of_and_is_a_delivery_under_its_key(word: Word) -> None:
    record = switch_record(word, START)
    states = {Enabled: ("enabled", SWITCH_KEY), InUse: ("in_use", IN_USE_KEY), Disabled: ("disabled", SWITCH_KEY)}
    assert (Delivery.from_bytes(record.value).state, record.key.decode()) == states[type(word)]
    assert read_switch(record.value) == word


@pytest.mark.parametrize("value", [None, b"", b"{}", b'{"state":"off"}', b"\xff"])
def test_garbage_under_its_key_is_told_apart(value: bytes | None) -> None:
    with pytest.raises(RecordInvalid):
        read_switch(value)


def test_what_blames_the_settings_is_never_taken() -> None:
    blamed = [status for status in range(1000) if blames_settings(status)]
    assert {301, 302, 307, 308, 401, 403, 404} < set(blamed)
    assert {verdict(status).name for status in blamed} == {"NOT_TAKEN_NOW"}
    assert not blames_settings(None)

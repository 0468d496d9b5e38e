"""The breaker by itself."""

from route.delivery.breaker import Breaker, Pass


def failing(count: int, breaker: Breaker, now: float = 0.0) -> None:
    for n in range(count):
        breaker.failed(f"ticket-{n}", now)


def test_it_opens_only_when_as_many_different_tickets_failed_in_a_row() -> None:
    breaker = Breaker(threshold=3, probe_s=1.0)
    for _ in range(50):
        breaker.failed("the-same", 0.0)
    failing(2, breaker)  # with the other one this would be three, were the success not between
    breaker.succeeded()
    failing(2, breaker)
    assert breaker.ask(0.0) is Pass.YES
    assert breaker.failed("a-third", 0.0)
    assert breaker.ask(0.0) is Pass.NO


def test_open_it_lets_one_probe_through_each_second() -> None:
    breaker = Breaker(threshold=1, probe_s=1.0)
    failing(1, breaker, now=10.0)
    assert breaker.ask(10.9) is Pass.NO
    assert breaker.ask(11.0) is Pass.PROBE
    assert breaker.ask(99.0) is Pass.NO  # one at a time, however long it takes
    breaker.failed("ticket-1", 12.0)
    breaker.released()
    assert breaker.ask(12.9) is Pass.NO
    assert breaker.ask(13.0) is Pass.PROBE


def test_a_success_closes_it() -> None:
    breaker = Breaker(threshold=1, probe_s=1.0)
    failing(1, breaker)
    assert breaker.ask(1.0) is Pass.PROBE
    breaker.succeeded()
    breaker.released()
    assert breaker.ask(1.0) is Pass.YES


def test_the_next_probe_waits_for_what_the_destination_asked() -> None:
    breaker = Breaker(threshold=1, probe_s=1.0)
    breaker.failed("ticket", now=0.0, retry_after_s=30.0)
    assert breaker.ask(29.0) is Pass.NO
    assert breaker.ask(30.0) is Pass.PROBE


def test_a_failure_that_was_under_way_does_not_cut_the_wait_that_was_asked_for() -> None:
    breaker = Breaker(threshold=1, probe_s=1.0)
    breaker.failed("ticket", now=0.0, retry_after_s=30.0)
    breaker.failed("another", now=5.0)
    assert breaker.ask(29.0) is Pass.NO
    assert breaker.ask(30.0) is Pass.PROBE


def test_what_failed_twice_with_no_success_between_is_freed_by_the_next_and_told_once() -> None:
    breaker = Breaker(threshold=10, probe_s=1.0)
    for key in ("once", "twice", "twice", "later", "later"):
        breaker.failed(key, 0.0)
    breaker.failed("later", 1.0, retry_after_s=60.0)
    assert not breaker.take_freed(())
    breaker.succeeded()
    assert breaker.take_freed(()) == {"twice"}
    assert not breaker.take_freed(())
    breaker.failed("twice", 2.0)
    breaker.succeeded()
    assert not breaker.take_freed(())


def test_what_is_freed_while_it_is_under_way_is_told_after_that_unless_it_failed_anew() -> None:
    breaker = Breaker(threshold=10, probe_s=1.0)
    for key in ("written", "written", "anew", "anew"):
        breaker.failed(key, 0.0)
    breaker.succeeded()
    assert not breaker.take_freed({"written", "anew"})
    breaker.failed("anew", 1.0)
    assert breaker.take_freed(()) == {"written"}


def test_a_probe_that_was_never_sent_lets_the_next_one_start() -> None:
    breaker = Breaker(threshold=1, probe_s=1.0)
    failing(1, breaker)
    assert breaker.ask(1.0) is Pass.PROBE
    breaker.released()
    assert breaker.ask(1.0) is Pass.PROBE


def test_only_the_failure_that_opens_it_says_so() -> None:
    breaker = Breaker(threshold=2, probe_s=1.0)
    assert [breaker.failed(f"t{n}", 0.0) for n in range(4)] == [False, True, False, False]

"""The schedule of tries."""

import random

import pytest

from route.delivery.retry import RetrySchedule
from route.destinations.settings import DestinationSettings


def test_waits_double_up_to_the_longest() -> None:
    schedule = RetrySchedule(5.0, 60.0, jitter=0.0, random=lambda: 0.5)
    assert [schedule.wait_s(attempt) for attempt in range(1, 7)] == [5, 10, 20, 40, 60, 60]
    assert schedule.wait_s(10_000) == 60  # no overflow


@pytest.mark.parametrize(("draw", "factor"), [(0.0, 0.8), (0.5, 1.0), (0.999999, 1.2)])
def test_jitter_spreads_the_wait_both_ways(draw: float, factor: float) -> None:
    schedule = RetrySchedule(10.0, 60.0, jitter=0.2, random=lambda: draw)
    assert schedule.wait_s(1) == pytest.approx(10.0 * factor, rel=1e-5)


def test_tickets_that_failed_together_do_not_return_together() -> None:
    schedule = RetrySchedule(100.0, 100.0, jitter=0.2, random=random.Random(3).random)
    waits = [schedule.wait_s(1) for _ in range(1000)]
    assert max(waits) - min(waits) > 35
    assert len({round(wait) for wait in waits}) > 30


def test_as_shipped_a_ticket_is_tried_for_a_bit_over_a_day() -> None:
    shipped = DestinationSettings.model_validate({"url": "https://desk.example/hook", "secret": "whsec_" + "A" * 32})
    schedule = RetrySchedule(shipped.first_wait_s, shipped.max_wait_s, 0.0, lambda: 0.5)
    hours = sum(schedule.wait_s(attempt) for attempt in range(1, shipped.tries)) / 3600
    assert 24 < hours < 28

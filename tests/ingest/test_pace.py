"""An even pace, on a clock that the test turns."""

from collections.abc import Iterator

import pytest

from ingest.pace import NAP_S, paced


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@pytest.mark.parametrize("rate", [0.5, 3, 250, 10_000])
def test_items_come_evenly_at_the_rate(rate: float) -> None:
    clock = Clock()
    times = [clock.now - 100 for _ in paced(iter(range(int(rate * 4))), rate, clock.sleep, clock.read)]
    assert times[0] == 0
    for number, at in enumerate(times):
        assert at == pytest.approx(number / rate, abs=NAP_S + 1e-6)


def test_a_slow_source_is_not_slowed_further() -> None:
    clock = Clock()

    def slow() -> Iterator[int]:
        for number in range(10):
            clock.now += 0.1
            yield number

    list(paced(slow(), 20, clock.sleep, clock.read))
    assert clock.now == pytest.approx(101)


def test_who_was_held_up_for_long_does_not_catch_up_in_a_burst() -> None:
    clock = Clock()
    times = []
    for number in paced(iter(range(30)), 10, clock.sleep, clock.read):
        if number == 9:
            clock.now += 60
        times.append(clock.now)
    after = [at for at in times if at > 150]
    assert after[-1] - after[0] >= (len(after) - 3) / 10

"""Acknowledging in order."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from route.delivery.offsets import Offsets


@given(st.lists(st.integers(1, 3), min_size=1, max_size=30), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_nothing_is_acknowledged_before_all_before_it_is_done(gaps: list[int], random: Random) -> None:
    offsets, read = Offsets(position=10), []
    at = 10
    for gap in gaps:  # compaction and transactions leave gaps
        read.append(offsets.read(at))
        at += gap
    random.shuffle(order := list(read))
    for mark in order:
        offsets.done(mark)
        undone = [other.offset for other in read if not other.done]
        assert offsets.acknowledged == (min(undone) if undone and undone[0] == 10 else offsets.acknowledged)
        assert all(other.done for other in read if other.offset < offsets.acknowledged)
    assert offsets.acknowledged == read[-1].offset + 1


def test_the_position_stands_before_anything_is_read() -> None:
    assert Offsets(position=7).acknowledged == 7


def test_doing_the_same_twice_is_harmless() -> None:
    offsets = Offsets(0)
    first, second = offsets.read(0), offsets.read(1)
    offsets.done(second)
    offsets.done(second)
    assert offsets.acknowledged == 0
    offsets.done(first)
    offsets.done(first)
    assert offsets.acknowledged == 2

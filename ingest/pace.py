"""An even pace for what would otherwise go as fast as it can."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

NAP_S = 0.005
"""Shorter waits are not worth their cost: items go out in small groups instead."""
HELD_UP_S = 1.0
"""Who is further behind than this was held up and does not catch up in a burst."""


def paced(
    items: Iterator[T],
    per_second: float,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[T]:
    """``items``, ``per_second`` of them in the mean of every second."""
    due = clock()
    for item in items:
        ahead = due - clock()
        if ahead > NAP_S:
            sleep(ahead)
        elif ahead < -HELD_UP_S:
            due = clock()
        due += 1 / per_second
        yield item

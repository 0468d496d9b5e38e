"""A histogram that costs little to add to: a metric is read every few seconds, but added to for every post.

A time between what two clocks say, or a sender and a clock, can be below 0. It counts as 0: a sum that falls looks like a
restart, and OpenMetrics allows none below 0, so that who reads it throws all away that the process tells.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence


class Histogram:
    """How many values fell under each bound, and their sum. For one thread to add and any to read."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """``bounds`` ascend; a value that equals one counts under it, as Prometheus has it."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """Values up to each bound and over the one before, then those over the last."""
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.add_all((value,))

    def add_all(self, values: Iterable[float]) -> None:
        """Count these."""
        bounds, counts, total = self.bounds, self.counts, self.total
        for value in values:
            counts[bisect_left(bounds, value)] += 1
            if value > 0:
                total += value
        self.total = total

    def cumulated(self) -> list[int]:
        """Values up to each bound, and all of them last."""
        found, sum_ = [], 0
        for count in list(self.counts):
            sum_ += count
            found.append(sum_)
        return found

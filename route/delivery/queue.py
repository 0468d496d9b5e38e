"""The tickets that are to be sent, in the order in which they are due."""

from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, NamedTuple, TypeVar

from route.delivery.fold import Item

L = TypeVar("L")


class Due(NamedTuple, Generic[L]):
    """A ticket and the partition it belongs to. ``number`` keeps what is due together in the order of arrival."""

    at: float
    number: int
    lane: L
    item: Item


class DueQueue(Generic[L]):
    """All partitions of a process share one queue, so that none goes before another."""

    def __init__(self) -> None:
        self._heap: list[Due[L]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, lane: L, item: Item) -> None:
        """``item`` is to be sent at ``item.due``; an item stands in the queue once."""
        heappush(self._heap, Due(item.due, next(self._numbers), lane, item))

    def next_due(self) -> float | None:
        """When the first one is due, if there is one."""
        return self._heap[0].at if self._heap else None

    def pop(self) -> Due[L]:
        """Take out the first. Raises IndexError if there is none."""
        return heappop(self._heap)

    def discard(self, lane: L) -> None:
        """Forget the tickets of a partition that is someone else's now."""
        self._heap = [due for due in self._heap if due.lane is not lane]
        heapify(self._heap)

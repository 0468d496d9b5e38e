"""The tickets that are to be sent: what is due goes by priority, what is not yet due waits for its time."""

from collections.abc import Collection
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, NamedTuple, TypeVar, get_args

from route.delivery.fold import Item
from schemas.ticket import Priority

L = TypeVar("L")

LONGEST_EVERY = 10
"""One in so many turns is that of the ticket which has been due longest, whatever its priority: none waits for ever."""


class Due(NamedTuple, Generic[L]):
    """A ticket and the partition it belongs to. ``number`` keeps what is due together in the order of arrival."""

    at: float
    number: int
    lane: L
    item: Item


class DueQueue(Generic[L]):
    """All partitions of a process share one queue, so that none goes before another."""

    def __init__(self) -> None:
        self._later: list[Due[L]] = []
        self._ready: tuple[list[Due[L]], ...] = tuple([] for _ in get_args(Priority))
        self._numbers = count()
        self._turns = count(1)

    def __len__(self) -> int:
        return len(self._later) + self.ready

    @property
    def ready(self) -> int:
        """How many were due when ``next_due`` was last asked."""
        return sum(map(len, self._ready))

    @property
    def is_urgent(self) -> bool:
        """Whether an urgent one was due then."""
        return bool(self._ready[0])

    def push(self, lane: L, item: Item) -> None:
        """``item`` is to be sent at ``item.due``; an item stands in the queue once."""
        heappush(self._later, Due(item.due, next(self._numbers), lane, item))

    def next_due(self, now: float) -> float | None:
        """When the first one is due, if there is one. What is due at ``now`` is put in the order of its priority."""
        while self._later and self._later[0].at <= now:
            due = heappop(self._later)
            heappush(self._ready[due.item.rank], due)
        first = [heap[0].at for heap in (*self._ready, self._later) if heap]
        return min(first, default=None)

    def pop(self, strict: bool = False) -> Due[L]:
        """Take out the one whose turn it is among what was due; ``strict``: by priority alone.

        Raises IndexError if none was due.
        """
        heaps = [heap for heap in self._ready if heap]
        if not strict and next(self._turns) % LONGEST_EVERY == 0:
            return heappop(min(heaps, key=lambda heap: heap[0]))
        return heappop(heaps[0])

    def hurry(self, keys: Collection[str], at: float) -> None:
        """The tickets of ``keys`` that are due later are due at ``at``."""
        for place, due in enumerate(self._later):
            if due.at > at and due.item.key in keys:
                due.item.due = at
                self._later[place] = due._replace(at=at)
        heapify(self._later)

    def discard(self, lane: L) -> None:
        """Forget the tickets of a partition that is someone else's now."""
        for heap in (self._later, *self._ready):
            heap[:] = [due for due in heap if due.lane is not lane]
            heapify(heap)

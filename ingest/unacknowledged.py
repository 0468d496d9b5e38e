"""What was sent to Kafka and is not acknowledged yet."""

import time
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

from kafka.producer.future import FutureRecordMetadata

MAX_WAITING = 5_000
MAX_WAITING_BYTES = 16 * 1024 * 1024
"""Bounds of what is sent and not yet acknowledged: kafka-python has none of its own. What is put and what is offered have
them each, so that a source that reads as fast as it can takes no room from those who can't wait."""


class _Sent(NamedTuple):
    """A record that was sent; ``number`` counts them."""

    future: FutureRecordMetadata
    size: int
    at: float
    number: int


class Unacknowledged:
    """Records that were sent, oldest first, until they are acknowledged. Not for several threads at once, but for what asks."""

    def __init__(self) -> None:
        self._sent: deque[_Sent] = deque()
        self._bytes = 0
        self._count = 0
        self.settled_at: float | None = None
        """When an outcome was last seen, in seconds since 1970."""

    def __len__(self) -> int:
        return len(self._sent)

    def add(self, future: FutureRecordMetadata, size: int) -> None:
        """Note a record of ``size`` bytes that was just sent."""
        self._count += 1
        self._sent.append(_Sent(future, size, time.monotonic(), self._count))
        self._bytes += size

    def settle(self) -> list[Exception]:
        """Forget what came to its end; what the broker refused for good."""
        refusals = []
        if self._sent and self._sent[0].future.is_done:
            self.settled_at = time.time()
        while self._sent and self._sent[0].future.is_done:
            future, size, *_ = self._sent.popleft()
            self._bytes -= size
            if future.exception is not None:
                refusals.append(future.exception)
        return refusals

    def has_room(self, share: float = 1.0) -> bool:
        """Whether less than this share of the bounds is used up."""
        return len(self._sent) < MAX_WAITING * share and self._bytes < MAX_WAITING_BYTES * share

    def oldest(self) -> FutureRecordMetadata | None:
        """What to wait for next, None if nothing waits."""
        try:
            return self._sent[0].future
        except IndexError:  # another thread settled it
            return None

    def age_s(self) -> float:
        """For how long the oldest waits; 0 if nothing does."""
        try:
            return time.monotonic() - self._sent[0].at
        except IndexError:
            return 0.0

    def first_open(self) -> int | None:
        """Number of the oldest record without an outcome, whether or not anybody has settled those before it."""
        return next((sent.number for sent in self._sent.copy() if not sent.future.is_done), None)


class Pending:
    """Counts down the outcomes of one offer of ``count`` records, then calls ``ended``; called by the producer's thread."""

    def __init__(self, count: int, ended: Callable[[Exception | None], None]) -> None:
        self._left = count
        self._ended = ended
        self._refusal: Exception | None = None
        self._lock = Lock()

    def acknowledged(self, _metadata: object) -> None:
        """One of its records is written."""
        self._count_down(None)

    def refused(self, error: Exception) -> None:
        """One of its records will not be written."""
        self._count_down(error)

    def _count_down(self, error: Exception | None) -> None:
        with self._lock:
            self._refusal = self._refusal or error
            self._left -= 1
            if self._left:
                return
        self._ended(self._refusal)

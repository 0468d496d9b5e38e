"""The few numbers that the board shows, out of the many that ``/metrics`` tells, and what they become over time."""

import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from plaint.monitoring import metrics

_BUCKET = f"{metrics.TO_TICKET.name}_bucket"
_WANTED = (metrics.RECORDS_DONE.sample, metrics.TRIAGED.sample, metrics.URGENT.sample, _BUCKET)


@dataclass(frozen=True, slots=True)
class Numbers:
    """One look. ``at`` is on a monotonic clock; counts are since each process began.

    ``posts`` are those that classify has dealt with, ``buckets`` how many tickets came within so many seconds of their
    post's receipt, over all destinations.
    """

    at: float
    posts: int
    urgent: int
    dead: int
    intents: Mapping[str, int]
    buckets: Mapping[float, int]


def read_numbers(text: str, at: float) -> Numbers:
    """``text`` as ``/metrics`` gives it. Raises ValueError if it isn't that."""
    posts = urgent = dead = 0
    intents: Counter[str] = Counter()
    buckets: Counter[float] = Counter()
    for sample in _samples(text):
        labels, count = sample.labels, int(sample.value)
        if sample.name == _BUCKET:
            buckets[float(labels["le"])] += count
        elif sample.name == metrics.TRIAGED.sample:
            intents[labels["intent"]] += count
        elif sample.name == metrics.URGENT.sample:
            urgent += count
        else:
            posts += count if labels["stage"] == "classify" else 0
            dead += count if labels["outcome"] == "dead" else 0
    return Numbers(at, posts, urgent, dead, dict(intents), dict(buckets))


def _samples(text: str) -> Iterator[Sample]:
    # Only these lines are parsed: the whole takes ten times as long, and it is looked at again and again.
    lines = "".join(line + "\n" for line in text.splitlines() if line.startswith(_WANTED))
    for family in text_string_to_metric_families(lines):
        yield from family.samples


class History:
    """The looks of the last minute."""

    def __init__(self, keep_s: float = 60.0) -> None:
        self._keep_s = keep_s
        self._looks: deque[Numbers] = deque()

    def add(self, look: Numbers) -> None:
        """Take in a look, and forget what is too old."""
        self._looks.append(look)
        while len(self._looks) > 2 and self._looks[1].at < look.at - self._keep_s:
            self._looks.popleft()

    @property
    def newest(self) -> Numbers | None:
        """The last look."""
        return self._looks[-1] if self._looks else None

    def posts_a_second(self, over_s: float = 10.0) -> float | None:
        """Over about the last so many seconds; None before there are two looks."""
        if len(self._looks) < 2:
            return None
        newest = self._looks[-1]
        past = next(look for look in self._looks if look.at >= newest.at - over_s - 0.5)
        if past is newest:
            past = self._looks[-2]
        return max(0, newest.posts - past.posts) / (newest.at - past.at)

    def rates(self) -> list[float]:
        """Posts a second from each look to the next, oldest first."""
        return [max(0, after.posts - before.posts) / (after.at - before.at) for before, after in pairwise(self._looks)]

    def seconds_to_ticket(self, share: float) -> tuple[float, bool] | None:
        """Within how many seconds that share of the tickets came, and whether those of the last minute tell it.

        Where none came in the last minute it is told of all there were. None if there were none; infinite past the last
        bucket.
        """
        if not self._looks:
            return None
        newest, oldest = self._looks[-1].buckets, self._looks[0].buckets
        fresh = {bound: max(0, count - oldest.get(bound, 0)) for bound, count in newest.items()}
        is_fresh = fresh.get(math.inf, 0) > 0
        found = quantile(fresh if is_fresh else newest, share)
        return None if found is None else (found, is_fresh)


def quantile(buckets: Mapping[float, int], share: float) -> float | None:
    """The quantile out of cumulated counts by upper bound, straight within a bucket; None if nothing was counted."""
    total = buckets.get(math.inf, 0)
    if not total:
        return None
    wanted, below, counted = share * total, 0.0, 0
    for bound in sorted(buckets):
        count = buckets[bound]
        if count >= wanted and count > counted:
            return bound if bound == math.inf else below + (bound - below) * (wanted - counted) / (count - counted)
        below, counted = bound, count
    return math.inf

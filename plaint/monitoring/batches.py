"""What a stage that works in batches (classify, route) counts of itself."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from plaint.monitoring import metrics
from plaint.monitoring.histogram import Histogram
from plaint.monitoring.readings import Readings
from plaint.workers.stage import InRecord
from schemas import topics
from schemas.reasons import DeadReason, DropReason


class Place(NamedTuple):
    """Where a consumer stands on a partition; None where it does not know."""

    acknowledged: int | None
    end: int | None


class Outcomes(Protocol):
    """What became of the records so far: ``plaint.workers.batches.Tally`` is one."""

    results: int
    drops: Counter[str]
    dead: Counter[str]


Counted = Mapping[str, int] | Mapping[DropReason, int] | Mapping[DeadReason, int]
"""By the value of a reason, or by the reason itself."""


class BatchMeter:
    """Counts the batches of one stage; called from its event loop."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """``now`` gives seconds since 1970, as Kafka's timestamps do."""
        self.now = now
        self.last_progress: float | None = None
        self.sizes = Histogram(metrics.RECORDS)
        self.waited = Histogram(metrics.POST_SECONDS)
        self.computed = Histogram(metrics.WORK_SECONDS)
        self.published = Histogram(metrics.WORK_SECONDS)

    def taken(self, records: Sequence[InRecord]) -> None:
        """Work on these begins."""
        now = self.now()
        self.sizes.add(len(records))
        self.waited.add_all([now - record.timestamp for record in records])

    def written(self, seconds: float) -> None:
        """All that came of a batch is acknowledged, so long after it was to be written."""
        self.published.add(seconds)
        self.last_progress = self.now()


class BatchSight:
    """Tells of a stage that works in batches: its counts, its partitions, and what its watchdog wants to know.

    ``places`` gives the partitions that the process owns, ``ends`` what others saw of their ends.
    """

    def __init__(
        self,
        stage: str,
        meter: BatchMeter,
        tally: Outcomes,
        places: Callable[[], Mapping[int, Place]],
        ends: Callable[[], Mapping[int, int]],
        in_group: Callable[[], bool],
        topic: str,
    ) -> None:
        self.group = topics.group(stage)
        self.topic = topic
        self._meter = meter
        self._tally = tally
        self._places = places
        self._ends = ends
        self._in_group = in_group

    def acknowledged(self) -> dict[int, int | None]:
        """See Watched."""
        return {number: place.acknowledged for number, place in self._places().items()}

    def in_group(self) -> bool:
        """See Watched."""
        return self._in_group()

    def excuse(self) -> str:
        """See Watched: such a stage never waits on purpose."""
        return ""

    def read(self, into: Readings) -> None:
        """See Sight."""
        read_outcomes(into, self._tally.results, self._tally.drops, self._tally.dead)
        into.put(metrics.BATCH, self._meter.sizes)
        into.put(metrics.WAITED, self._meter.waited)
        into.put(metrics.COMPUTED, self._meter.computed)
        into.put(metrics.PUBLISHED, self._meter.published)
        into.put(metrics.PROGRESS, self._meter.last_progress or 0)
        into.put_all(metrics.LAG, {str(number): lag for number, lag in lags(self._places(), self._ends()).items()})

    def state(self) -> dict[str, Any]:
        """See Sight."""
        places = self._places()
        return {
            "partitions": tuple(sorted(places)),
            "lags": lags(places, self._ends()),
            "last_progress_at": self._meter.last_progress,
        }


def read_outcomes(into: Readings, results: int, drops: Counted, dead: Counted) -> None:
    """Put what became of records. Reasons are the values of DropReason and DeadReason."""
    into.put(metrics.RECORDS_DONE, results, "result", "none")
    for outcome, counts in (("dropped", drops), ("dead", dead)):
        for reason, count in list(counts.items()):
            into.put(metrics.RECORDS_DONE, count, outcome, str(reason))


def lags(places: Mapping[int, Place], ends: Mapping[int, int]) -> dict[int, int]:
    """Records not acknowledged of each partition of which that is known.

    A paused partition is not fetched, so its own end stands still: what the watchdog saw may be newer.
    """
    found = {}
    for number, place in sorted(places.items()):
        seen = [end for end in (place.end, ends.get(number)) if end is not None]
        if seen and place.acknowledged is not None:
            found[number] = max(0, max(seen) - place.acknowledged)
    return found

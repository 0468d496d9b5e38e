"""What ingest tells of its HTTP door: every answer, and the posts that came by it."""

from collections import Counter
from typing import Any

from plaint.monitoring import metrics
from plaint.monitoring.histogram import Histogram
from plaint.monitoring.readings import Readings


class DoorMeter:
    """Counts what the door answers, and tells it."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, str]] = Counter()
        self._posts = 0
        self._seconds = Histogram(metrics.DOOR_SECONDS.buckets)

    def answered(self, status: int, why: str) -> None:
        """See ingest.http.outcomes.Meter."""
        self._answers[str(status), why] += 1

    def acknowledged(self, posts: int, seconds: float) -> None:
        """See ingest.http.outcomes.Meter."""
        self._posts += posts
        self._seconds.add(seconds)

    def read(self, into: Readings) -> None:
        """See Sight."""
        for answer, count in list(self._answers.items()):
            into.put(metrics.DOOR_REQUESTS, count, *answer)
        into.put(metrics.DOOR_POSTS, self._posts)
        into.put(metrics.DOOR_SECONDS, self._seconds)

    def state(self) -> dict[str, Any]:
        """See Sight."""
        return {}

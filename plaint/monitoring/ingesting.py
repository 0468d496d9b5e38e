"""What ingest tells: posts published, lines refused, what the broker has not acknowledged yet, and each answer of its door."""

from collections import Counter
from typing import Any

from ingest.publish import PostPublisher
from plaint.monitoring import metrics
from plaint.monitoring.batches import read_outcomes
from plaint.monitoring.histogram import Histogram
from plaint.monitoring.readings import Readings


class IngestSight:
    """Tells of the publisher, which counts by itself."""

    def __init__(self, publisher: PostPublisher) -> None:
        self._publisher = publisher

    def read(self, into: Readings) -> None:
        """See Sight."""
        publisher = self._publisher
        read_outcomes(into, publisher.published + publisher.offered, {}, publisher.dead)
        into.put(metrics.UNACKNOWLEDGED, publisher.unacknowledged)
        into.put(metrics.PROGRESS, publisher.last_acknowledged or 0)

    def state(self) -> dict[str, Any]:
        """See Sight."""
        return {"last_progress_at": self._publisher.last_acknowledged}


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

"""What ingest tells: posts published, lines refused, and what the broker has not acknowledged yet."""

from typing import Any

from ingest.publish import PostPublisher
from plaint.monitoring import metrics
from plaint.monitoring.batches import read_outcomes
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

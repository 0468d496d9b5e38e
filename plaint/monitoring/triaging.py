"""What classify counts of posts beside its batches: labels, times, and how much the model had to compute."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from classify.batch import Classifier
from plaint.monitoring import metrics
from plaint.monitoring.histogram import Histogram
from plaint.monitoring.readings import Readings
from schemas.post import Post
from schemas.triage import Triage


class Model(Protocol):
    """What is asked of the model: ``models.engine.Engine`` is one."""

    version: str
    computed: int
    """Texts scored by the network."""
    known: int
    """Texts that had been scored before."""


class TriageMeter:
    """Goes around a classifier and counts what it says; ``engine`` names what runs the model."""

    def __init__(self, classifier: Classifier, model: Model, engine: str) -> None:
        self._classifier = classifier
        self._model = model
        self._engine = engine
        self._labels: Counter[tuple[str, int]] = Counter()
        self._urgent: Counter[str] = Counter()
        self._unsure: Counter[str] = Counter()
        self._seconds = Histogram(metrics.POST_SECONDS)

    def triage(self, posts: Sequence[Post]) -> list[Triage]:
        """See Classifier."""
        found = self._classifier.triage(posts)
        self._labels.update([(triage.intent or "none", triage.urgency) for triage in found])
        self._urgent.update([triage.intent or "none" for triage in found if triage.urgent])
        self._unsure.update([why for triage in found for why in triage.unsure_why])
        self._seconds.add_all(
            [_seconds(triage.triaged_at, triage.post.received_at) for triage in found if triage.post.received_at]
        )
        return found

    def read(self, into: Readings) -> None:
        """See Sight."""
        for (intent, urgency), count in list(self._labels.items()):
            into.put(metrics.TRIAGED, count, intent, str(urgency))
        into.put_all(metrics.URGENT, self._urgent)
        into.put_all(metrics.UNSURE, self._unsure)
        into.put(metrics.TO_TRIAGE, self._seconds)
        into.put(metrics.MODEL_TEXTS, self._model.computed, "computed")
        into.put(metrics.MODEL_TEXTS, self._model.known, "known")
        into.put(metrics.MODEL, 1, self._model.version, self._engine)

    def state(self) -> dict[str, Any]:
        """See Sight."""
        return {"model": {"version": self._model.version, "engine": self._engine}}


def _seconds(later: datetime, earlier: datetime) -> float:
    return (later - earlier).total_seconds()

"""What classify counts of posts beside its batches: labels, times, and how much the model had to compute."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

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


class _Used(NamedTuple):
    """What labels now. ``computed`` and ``known`` are to be added to its own, for those that were used before."""

    classifier: Classifier
    model: Model
    engine: str
    computed: int = 0
    known: int = 0


class TriageMeter:
    """Goes around a classifier and counts what it says; ``engine`` names what runs the model."""

    def __init__(self, classifier: Classifier, model: Model, engine: str) -> None:
        self._used = _Used(classifier, model, engine)
        self._labels: Counter[tuple[str, int]] = Counter()
        self._urgent: Counter[str] = Counter()
        self._unsure: Counter[str] = Counter()
        self._seconds = Histogram(metrics.POST_SECONDS)
        self.refused: tuple[str, ...] = ()
        """Why the last try to use another model failed; set by who tries."""

    @property
    def version(self) -> str:
        """The model's."""
        return self._used.model.version

    @property
    def engine(self) -> str:
        """What runs the model."""
        return self._used.engine

    def use(self, classifier: Classifier, model: Model, engine: str) -> None:
        """Label with this one from now on; all counts go on. Not while ``triage`` is at work."""
        old = self._used  # replaced as a whole, since another thread reads it
        computed, known = old.computed + old.model.computed, old.known + old.model.known
        self._used = _Used(classifier, model, engine, computed - model.computed, known - model.known)

    def triage(self, posts: Sequence[Post]) -> list[Triage]:
        """See Classifier."""
        found = self._used.classifier.triage(posts)
        self._labels.update([(triage.intent or "none", triage.urgency) for triage in found])
        self._urgent.update([triage.intent or "none" for triage in found if triage.urgent])
        self._unsure.update([why for triage in found for why in triage.unsure_why])
        self._seconds.add_all(
            [_seconds(triage.triaged_at, triage.post.received_at) for triage in found if triage.post.received_at]
        )
        return found

    def read(self, into: Readings) -> None:
        """See Sight."""
        used = self._used
        for (intent, urgency), count in list(self._labels.items()):
            into.put(metrics.TRIAGED, count, intent, str(urgency))
        into.put_all(metrics.URGENT, self._urgent)
        into.put_all(metrics.UNSURE, self._unsure)
        into.put(metrics.TO_TRIAGE, self._seconds)
        into.put(metrics.MODEL_TEXTS, used.computed + used.model.computed, "computed")
        into.put(metrics.MODEL_TEXTS, used.known + used.model.known, "known")
        into.put(metrics.MODEL, 1, used.model.version, used.engine)
        into.put(metrics.REFUSED, bool(self.refused))

    def state(self) -> dict[str, Any]:
        """See Sight."""
        used = self._used
        return {"model": {"version": used.model.version, "engine": used.engine, "refused": self.refused}}


def _seconds(later: datetime, earlier: datetime) -> float:
    return (later - earlier).total_seconds()

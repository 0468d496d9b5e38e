"""Labels of the same posts by several readers, people or models, and how far one agrees with another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.engine import Engine
from models.evaluation.metrics import Flags, Floats, Labels, confusions, kappas, macro_f1s, precisions, recalls
from models.training.data import Example
from schemas.labels import INTENTS, SENTIMENTS, URGENCIES


@dataclass(frozen=True)
class Reading:
    """Labels of the posts, as indices, and which are urgent complaints."""

    intents: Labels
    sentiments: Labels
    urgencies: Labels
    urgent: Flags

    @classmethod
    def of(cls, posts: Sequence[Example]) -> "Reading":
        """Their own."""
        intents, sentiments, urgencies, urgent = (
            np.array([getattr(post, name) for post in posts], dtype=np.int64)
            for name in ("intent", "sentiment", "urgency", "urgent")
        )
        return cls(intents, sentiments, urgencies, urgent.astype(bool))

    @classmethod
    def by(cls, engine: Engine, texts: Sequence[str]) -> "Reading":
        """What the model says of them, at its threshold."""
        scores = engine.score(texts)
        return cls(
            np.array([np.argmax(one.intents) for one in scores]),
            np.array([np.argmax(one.sentiments) for one in scores]),
            np.array([np.argmax(one.urgencies) for one in scores]),
            np.array([one.urgent >= engine.urgent_threshold for one in scores]),
        )


def agreement(true: Reading, given: Reading, weights: Floats) -> dict[str, Floats]:
    """By name, of each round of ``weights`` (see `models.evaluation.metrics`)."""
    alarms = confusions(true.urgent.astype(np.int64), given.urgent.astype(np.int64), 2, weights)
    return {
        "intent F1": macro_f1s(confusions(true.intents, given.intents, len(INTENTS), weights)),
        "sentiment F1": macro_f1s(confusions(true.sentiments, given.sentiments, len(SENTIMENTS), weights)),
        "urgency κ": kappas(confusions(true.urgencies, given.urgencies, len(URGENCIES), weights)),
        "urgent recall": recalls(alarms)[:, 1],
        "urgent precision": precisions(alarms)[:, 1],
    }

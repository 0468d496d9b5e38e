"""Every number that the model card states of a set of posts, with its bootstrap interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.metrics import (
    Labels,
    average_precision,
    bootstrap_interval,
    expected_calibration_error,
    f1_scores,
    macro_f1,
    precision_at_recall,
    precision_recall,
    quadratic_kappa,
)
from models.outputs import Probabilities
from models.training.data import Example
from schemas.labels import INTENTS, SENTIMENTS, URGENCIES, Intent

SEED = 7


@dataclass(frozen=True, slots=True)
class Truth:
    """The annotators' labels of some posts as arrays."""

    intents: Labels
    sentiments: Labels
    urgencies: Labels
    urgent: NDArray[np.bool_]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> "Truth":
        return cls(
            intents=np.array([example.intent for example in examples]),
            sentiments=np.array([example.sentiment for example in examples]),
            urgencies=np.array([example.urgency for example in examples]),
            urgent=np.array([example.urgent for example in examples]),
        )


@dataclass(frozen=True, slots=True)
class Measure:
    """A value and the ends of its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"


def measures(truth: Truth, given: Probabilities, threshold: float) -> dict[str, Measure]:
    """By name, in the order of the card."""
    intents, sentiments = given.intents.argmax(axis=1), given.sentiments.argmax(axis=1)
    urgencies, alarms = given.urgencies.argmax(axis=1), given.urgent >= threshold
    chance = given.urgent.astype(float)
    confidence = given.intents.max(axis=1).astype(float)
    complaint = INTENTS.index(Intent.COMPLAINT)

    rows: dict[str, Callable[[Labels], float]] = {
        "intent macro-F1": lambda at: macro_f1(truth.intents[at], intents[at], len(INTENTS)),
        **{f"F1 of {intent}": _class_f1(truth.intents, intents, index) for index, intent in enumerate(INTENTS)},
        "sentiment macro-F1": lambda at: macro_f1(truth.sentiments[at], sentiments[at], len(SENTIMENTS)),
        "urgency quadratic kappa": lambda at: quadratic_kappa(truth.urgencies[at], urgencies[at], len(URGENCIES)),
        "urgent precision": lambda at: precision_recall(truth.urgent[at], alarms[at])[0],
        "urgent recall": lambda at: precision_recall(truth.urgent[at], alarms[at])[1],
        "urgent average precision": lambda at: average_precision(truth.urgent[at], chance[at]),
        "urgent precision at recall 0.90": lambda at: precision_at_recall(truth.urgent[at], chance[at], 0.9),
        "complaint recall": lambda at: _share(intents[at] == complaint, truth.intents[at] == complaint),
        "intent ECE": lambda at: expected_calibration_error(truth.intents[at] == intents[at], confidence[at]),
        "urgent ECE": lambda at: expected_calibration_error(truth.urgent[at], chance[at]),
    }
    everything = np.arange(len(truth.intents))
    return {
        name: Measure(measure(everything), *bootstrap_interval(measure, len(everything), SEED, rounds=400))
        for name, measure in rows.items()
    }


def _class_f1(true: Labels, predicted: Labels, label: int) -> Callable[[Labels], float]:
    return lambda at: f1_scores(true[at], predicted[at], len(INTENTS))[label]


def _share(hit: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    return float(hit[among].mean()) if among.any() else 0.0

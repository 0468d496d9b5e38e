"""How the network's one vector of logits is laid out, and how logits become calibrated probabilities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from schemas.labels import INTENTS, SENTIMENTS, URGENCIES

Floats = NDArray[np.float32] | NDArray[np.float64]

INTENT = slice(0, len(INTENTS))
SENTIMENT = slice(INTENT.stop, INTENT.stop + len(SENTIMENTS))
URGENCY = slice(SENTIMENT.stop, SENTIMENT.stop + len(URGENCIES))
URGENT = URGENCY.stop
"""Logit of "this is an urgent complaint", learned as a question of its own."""
WIDTH = URGENT + 1


class Calibration(BaseModel):
    """What is fitted on the dev posts after training: logits are divided by their head's temperature before softmax;
    the urgent logit becomes `urgent_scale * logit + urgent_bias` before the logistic function."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    intent_temperature: float = Field(default=1.0, gt=0)
    sentiment_temperature: float = Field(default=1.0, gt=0)
    urgency_temperature: float = Field(default=1.0, gt=0)
    urgent_scale: float = Field(default=1.0, gt=0)
    urgent_bias: float = 0.0


@dataclass(frozen=True, slots=True)
class Scores:
    """Calibrated probabilities of one post, in the orders of `schemas.labels`; each tuple sums to 1."""

    intents: tuple[float, ...]
    sentiments: tuple[float, ...]
    urgencies: tuple[float, ...]
    urgent: float
    """That this is an urgent complaint: a complaint of urgency 3 or 4."""


@dataclass(frozen=True, slots=True)
class Probabilities:
    """The same for many posts: arrays of (posts, labels), and (posts,) for `urgent`."""

    intents: Floats
    sentiments: Floats
    urgencies: Floats
    urgent: Floats


def probabilities(logits: Floats, calibration: Calibration) -> Probabilities:
    """`logits` has the shape (posts, WIDTH)."""
    urgent = calibration.urgent_scale * logits[:, URGENT] + calibration.urgent_bias
    return Probabilities(
        intents=softmax(logits[:, INTENT] / calibration.intent_temperature),
        sentiments=softmax(logits[:, SENTIMENT] / calibration.sentiment_temperature),
        urgencies=softmax(logits[:, URGENCY] / calibration.urgency_temperature),
        urgent=sigmoid(urgent),
    )


def softmax(logits: Floats) -> Floats:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
    return result


def sigmoid(logits: Floats) -> Floats:
    result: Floats = 1.0 / (1.0 + np.exp(np.negative(np.clip(logits, -60.0, 60.0))))
    return result

"""What is fitted on the dev posts once training is over: temperatures, the urgent logit's line, and the thresholds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.outputs import INTENT, SENTIMENT, URGENCY, URGENT, Calibration, Floats, sigmoid, softmax
from models.training.data import Example
from schemas.faults import Fault, FaultsFound

MISS_COST = 5.0
"""A missed urgent complaint costs as much as this many false alarms: an agent reads a post at a glance, while the missed
one waits in the service queue for hours."""

LEAST_RIGHT = 0.6
"""Where fewer of the intents than this are right, a person does better to read the post."""

_TEMPERATURES = np.geomspace(0.25, 4.0, 241)


def fit_calibration(examples: Sequence[Example], logits: Floats) -> Calibration:
    """Temperatures and line of least negative log-likelihood on these posts.

    Raises FaultsFound for a network that thinks the urgent ones the less urgent.
    """
    urgent = np.array([example.urgent for example in examples])
    scale, bias = fit_line(logits[:, URGENT].astype(float), urgent)
    if scale <= 0:
        what = (
            "what it says of `urgent` doesn't rise with how many of the dev posts are: it has learned nothing of that"
        )
        raise FaultsFound([Fault("the network", what, "train it for longer, or on more posts that are urgent")])
    return Calibration(
        intent_temperature=_temperature(logits[:, INTENT], [example.intent for example in examples]),
        sentiment_temperature=_temperature(logits[:, SENTIMENT], [example.sentiment for example in examples]),
        urgency_temperature=_temperature(logits[:, URGENCY], [example.urgency for example in examples]),
        urgent_scale=scale,
        urgent_bias=bias,
    )


def _temperature(logits: Floats, labels: Sequence[int]) -> float:
    """Guo et al. 2017, by search: one number over one convex curve."""
    rows = np.arange(len(labels))
    losses = [-np.log(softmax(logits / temperature)[rows, labels] + 1e-12).mean() for temperature in _TEMPERATURES]
    return round(float(_TEMPERATURES[int(np.argmin(losses))]), 4)


def fit_line(logits: NDArray[np.float64], true: NDArray[np.bool_]) -> tuple[float, float]:
    """Scale and bias of the logits by logistic regression (Platt 1999), in Newton steps."""
    inputs = np.stack([logits, np.ones_like(logits)], axis=1)
    line = np.array([1.0, 0.0])
    for _ in range(50):
        chance = sigmoid(inputs @ line)
        gradient = inputs.T @ (chance - true)
        curvature = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + 1e-6 * np.eye(2)
        line = line - np.linalg.solve(curvature, gradient)
    return round(float(line[0]), 4), round(float(line[1]), 4)


def cheapest_threshold(chance: Floats, true: NDArray[np.bool_], seed: int, rounds: int = 200) -> float:
    """The threshold of least cost, as the median over bootstrap draws: of few urgent posts one alone would decide it."""
    generator = np.random.default_rng(seed)
    candidates = np.linspace(0.02, 0.9, 177)
    alarms = chance[None, :] >= candidates[:, None]
    costs = np.where(true[None, :], MISS_COST * ~alarms, alarms)
    draws = (generator.integers(0, len(true), len(true)) for _ in range(rounds))
    return round(float(np.median([candidates[np.argmin(costs[:, draw].sum(axis=1))] for draw in draws])), 3)


def unsure_threshold(confidence: Floats, right: NDArray[np.bool_], seed: int, rounds: int = 200) -> float:
    """The confidence under which fewer than LEAST_RIGHT of the intents near it are right.

    That is the threshold of most gain, where calling a wrong intent unsure gains LEAST_RIGHT and calling a right one unsure
    loses the rest of 1; as the median over bootstrap draws, since few posts lie near it.
    """
    generator = np.random.default_rng(seed)
    candidates = np.linspace(0.2, 0.95, 151)
    gains = np.where(confidence[None, :] < candidates[:, None], LEAST_RIGHT - right, 0.0)
    draws = (generator.integers(0, len(right), len(right)) for _ in range(rounds))
    return round(float(np.median([candidates[np.argmax(gains[:, draw].sum(axis=1))] for draw in draws])), 3)

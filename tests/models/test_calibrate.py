"""What is fitted on dev posts finds what the posts were made with."""

import numpy as np
import pytest

from models.outputs import INTENT, URGENT, WIDTH, probabilities, sigmoid, softmax
from models.training.calibrate import (
    LEAST_RIGHT,
    MISS_COST,
    cheapest_threshold,
    fit_calibration,
    fit_line,
    unsure_threshold,
)
from models.training.data import Example
from schemas.faults import FaultsFound

GENERATOR = np.random.default_rng(11)


def example(intent: int, urgency: int) -> Example:
    return Example("x", "source", "text", intent=intent, sentiment=0, urgency=urgency, sure=True)


def test_overconfident_logits_get_the_temperature_that_they_were_heated_by() -> None:
    logits = GENERATOR.normal(0, 2, (4000, WIDTH))
    intents = [int(GENERATOR.choice(5, p=row)) for row in softmax(logits[:, INTENT])]
    heated = logits.copy()
    heated[:, INTENT] *= 2.5
    calibration = fit_calibration([example(intent, urgency=intent) for intent in intents], heated)
    assert calibration.intent_temperature == pytest.approx(2.5, rel=0.15)


def test_the_line_is_recovered() -> None:
    logits = GENERATOR.normal(0, 3, 5000)
    true = GENERATOR.random(5000) < sigmoid(0.5 * logits - 1.0)
    assert fit_line(logits, true) == pytest.approx((0.5, -1.0), abs=0.1)


def test_a_network_that_thinks_the_urgent_ones_the_less_urgent_is_refused() -> None:
    posts = [example(0, urgency=4 if number < 5 else 0) for number in range(20)]
    logits = np.zeros((20, WIDTH), dtype=np.float32)
    logits[:, URGENT] = np.linspace(-1, 1, 20)
    with pytest.raises(FaultsFound, match="has learned nothing of that; train it for longer"):
        fit_calibration(posts, logits)


def test_honest_chances_are_cut_where_the_costs_balance() -> None:
    chance = GENERATOR.random(20_000)
    threshold = cheapest_threshold(chance, GENERATOR.random(20_000) < chance, seed=1, rounds=20)
    assert threshold == pytest.approx(1 / (1 + MISS_COST), abs=0.05)


def test_posts_are_unsure_where_fewer_than_three_in_five_are_right() -> None:
    confidence = GENERATOR.uniform(0.2, 1.0, 20_000)
    honest = unsure_threshold(confidence, GENERATOR.random(20_000) < confidence, seed=1, rounds=20)
    assert honest == pytest.approx(LEAST_RIGHT, abs=0.05)
    vain = unsure_threshold(confidence, GENERATOR.random(20_000) < confidence - 0.2, seed=1, rounds=20)
    assert vain == pytest.approx(LEAST_RIGHT + 0.2, abs=0.05)


def test_a_model_that_is_always_right_is_never_unsure() -> None:
    confidence = GENERATOR.uniform(0.3, 1.0, 500)
    assert unsure_threshold(confidence, np.ones(500, dtype=bool), seed=1, rounds=20) <= 0.3


def test_a_complaint_is_urgent_from_three_on_and_nothing_else_is() -> None:
    assert [example(0, urgency).urgent for urgency in range(5)] == [False, False, False, True, True]
    assert not example(1, 4).urgent
    given = probabilities(np.zeros((1, WIDTH)), fit_calibration([example(0, 4), example(1, 0)], np.zeros((2, WIDTH))))
    assert given.urgent[0] == pytest.approx(0.5)
    assert URGENT == WIDTH - 1

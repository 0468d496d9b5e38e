"""Logits become probabilities, each head by its own calibration."""

import numpy as np
import pytest

from models.outputs import INTENT, SENTIMENT, URGENCY, URGENT, WIDTH, Calibration, probabilities, sigmoid, softmax


def logits() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.random.default_rng(2).normal(0, 3, (20, WIDTH)).astype(np.float32)


def test_heads_cover_the_vector_without_overlap() -> None:
    places = [place for head in (INTENT, SENTIMENT, URGENCY) for place in range(WIDTH)[head]]
    assert [*places, URGENT] == list(range(WIDTH))


def test_each_head_sums_to_one() -> None:
    given = probabilities(logits(), Calibration())
    for head in (given.intents, given.sentiments, given.urgencies):
        assert head.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert ((given.urgent > 0) & (given.urgent < 1)).all()


def test_a_temperature_tempers_its_own_head_alone_and_moves_no_decision() -> None:
    plain, hot = probabilities(logits(), Calibration()), probabilities(logits(), Calibration(intent_temperature=2))
    assert (hot.intents.max(axis=1) < plain.intents.max(axis=1)).all()
    assert (hot.intents.argmax(axis=1) == plain.intents.argmax(axis=1)).all()
    assert (hot.sentiments == plain.sentiments).all()


def test_the_urgent_line_is_applied() -> None:
    given = probabilities(logits(), Calibration(urgent_scale=2.0, urgent_bias=-1.0))
    assert given.urgent == pytest.approx(sigmoid(2.0 * logits()[:, URGENT] - 1.0))


def test_extreme_logits_stay_finite() -> None:
    assert softmax(np.array([[1e4, -1e4, 0.0]])) == pytest.approx(np.array([[1.0, 0.0, 0.0]]))
    assert sigmoid(np.array([1e4, -1e4])) == pytest.approx(np.array([1.0, 0.0]))

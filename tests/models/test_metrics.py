"""The measures against values worked out by hand."""

import numpy as np
import pytest

from models.evaluation.metrics import (
    average_precision,
    bootstrap_interval,
    expected_calibration_error,
    f1_scores,
    macro_f1,
    precision_at_recall,
    precision_recall,
    quadratic_kappa,
)

TRUE = np.array([0, 0, 0, 1, 1, 2])
GIVEN = np.array([0, 0, 1, 1, 2, 2])


def test_f1_of_each_class() -> None:
    assert f1_scores(TRUE, GIVEN, 4) == pytest.approx([0.8, 0.5, 2 / 3, 0.0])


def test_macro_f1_leaves_out_classes_that_do_not_occur() -> None:
    assert macro_f1(TRUE, GIVEN, 4) == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)


def test_kappa_is_one_when_agreed_nought_by_chance_and_punishes_distance() -> None:
    assert quadratic_kappa(TRUE, TRUE, 3) == pytest.approx(1.0)
    assert quadratic_kappa(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), 2) == pytest.approx(0.0)
    near, far = np.array([0, 0, 0, 1, 1, 1]), np.array([2, 0, 0, 1, 1, 2])
    assert quadratic_kappa(TRUE, near, 3) > quadratic_kappa(TRUE, far, 3)


def test_urgent_measures() -> None:
    true = np.array([True, False, True, False, True])
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.1])
    assert precision_recall(true, scores >= 0.5) == pytest.approx((2 / 3, 2 / 3))
    assert average_precision(true, scores) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert precision_at_recall(true, scores, 0.6) == pytest.approx(2 / 3)
    assert precision_at_recall(true, scores, 0.9) == pytest.approx(3 / 5)


def test_nothing_to_find_scores_nought() -> None:
    nothing = np.zeros(3, dtype=bool)
    assert precision_recall(nothing, nothing) == (0.0, 0.0)
    assert average_precision(nothing, np.ones(3)) == 0.0


def test_calibration_error_is_the_gap_between_confidence_and_truth() -> None:
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    assert expected_calibration_error(np.array([True, True, True, False]), confidence) == pytest.approx(0.05)
    assert expected_calibration_error(np.array([False, False, True, False]), confidence) == pytest.approx(0.5)


def test_bootstrap_interval_holds_the_mean_and_narrows_with_more_posts() -> None:
    values = np.random.default_rng(0).random(2000)
    low, high = bootstrap_interval(lambda at: float(values[at].mean()), 2000, seed=1, rounds=200)
    wide_low, wide_high = bootstrap_interval(lambda at: float(values[:50][at].mean()), 50, seed=1, rounds=200)
    assert low < values.mean() < high
    assert wide_high - wide_low > 3 * (high - low)

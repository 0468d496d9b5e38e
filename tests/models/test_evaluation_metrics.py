"""The measures against values worked out by hand, and against scikit-learn where it is installed (extra `train`)."""

import time
from types import ModuleType

import numpy as np
import pytest

from models.evaluation import metrics
from models.evaluation.bootstrap import bootstrap, figure
from models.evaluation.metrics import Flags, Floats, Labels
from models.evaluation.report import Figure

TRUE = np.array([0, 0, 0, 1, 1, 2])
GIVEN = np.array([0, 0, 1, 1, 2, 2])
ONCE = np.ones((1, 6))


@pytest.fixture(scope="module")
def sklearn_metrics() -> ModuleType:
    found: ModuleType = pytest.importorskip("sklearn.metrics", reason="NOT CHECKED AGAINST scikit-learn")
    return found


def drawn(seed: int, posts: int = 300) -> tuple[Labels, Floats, Floats]:
    """True labels of four classes, chances that know something of them, and weights of a round that drew posts anew."""
    generator = np.random.default_rng(seed)
    true = generator.choice(4, posts, p=[0.5, 0.3, 0.15, 0.05])
    chances = generator.dirichlet(np.ones(4), posts) + 0.3 * np.eye(4)[true]
    chances = np.round(chances / chances.sum(axis=1, keepdims=True), 2)  # so that some are equal
    chances[:, 3] = 1.0 - chances[:, :3].sum(axis=1)
    return (
        true,
        np.clip(chances, 0.0, 1.0),
        generator.multinomial(posts, np.full(posts, 1 / posts))[None, :].astype(float),
    )


@pytest.mark.parametrize("seed", range(5))
def test_labels_are_measured_as_scikit_learn_does_also_when_posts_are_drawn_several_times(
    sklearn_metrics: ModuleType, seed: int
) -> None:
    true, chances, weights = drawn(seed)
    given = chances.argmax(axis=1)
    confusion = metrics.confusions(true, given, 4, weights)
    kept = {"sample_weight": weights[0]}
    assert confusion[0] == pytest.approx(sklearn_metrics.confusion_matrix(true, given, **kept))
    precision, recall, f1, _ = sklearn_metrics.precision_recall_fscore_support(
        true, given, zero_division=np.nan, **kept
    )
    for ours, theirs in ((metrics.precisions, precision), (metrics.recalls, recall), (metrics.f1s, f1)):
        assert ours(confusion)[0] == pytest.approx(theirs, nan_ok=True)
    assert metrics.macro_f1s(confusion)[0] == pytest.approx(
        sklearn_metrics.f1_score(true, given, average="macro", **kept)
    )
    assert metrics.accuracies(confusion)[0] == pytest.approx(sklearn_metrics.accuracy_score(true, given, **kept))
    kappa = sklearn_metrics.cohen_kappa_score(true, given, weights="quadratic", **kept)
    assert metrics.kappas(confusion)[0] == pytest.approx(kappa)


@pytest.mark.parametrize("seed", range(5))
def test_chances_are_measured_as_scikit_learn_does(sklearn_metrics: ModuleType, seed: int) -> None:
    true, chances, weights = drawn(seed)
    kept = {"sample_weight": weights[0]}
    above_nought = np.maximum(chances, 1e-4)
    above_nought /= above_nought.sum(axis=1, keepdims=True)
    loss = sklearn_metrics.log_loss(true, above_nought, labels=range(4), **kept)
    assert metrics.means(metrics.log_loss(true, above_nought), weights)[0] == pytest.approx(loss)
    urgent, chance = true == 0, chances[:, 0]
    squares = sklearn_metrics.brier_score_loss(urgent, chance, **kept)
    both = metrics.brier(np.where(urgent, 1, 0), np.stack([1 - chance, chance], axis=1))
    assert metrics.means(both, weights)[0] == pytest.approx(2 * squares)
    ranked = metrics.ranking(urgent, chance, weights)
    expected = sklearn_metrics.average_precision_score(urgent, chance, **kept)
    assert metrics.average_precisions(ranked)[0] == pytest.approx(expected)
    precision, recall, _ = sklearn_metrics.precision_recall_curve(urgent, chance, **kept)
    at_highest_threshold = precision[np.flatnonzero(recall >= 0.9 - 1e-12)[-1]]
    assert metrics.precisions_at_recall(ranked, 0.9)[0] == pytest.approx(at_highest_threshold)


def test_f1_of_each_class() -> None:
    assert metrics.f1s(metrics.confusions(TRUE, GIVEN, 4, ONCE))[0] == pytest.approx(
        [0.8, 0.5, 2 / 3, np.nan], nan_ok=True
    )


def test_macro_f1_leaves_out_classes_that_do_not_occur() -> None:
    assert metrics.macro_f1(TRUE, GIVEN, 4) == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)
    taken_for_nothing_true = np.array([3, 0, 1, 1, 2, 2])
    assert metrics.macro_f1(TRUE, taken_for_nothing_true, 4) == pytest.approx((0.5 + 0.5 + 2 / 3) / 3)


def test_kappa_is_one_when_agreed_nought_by_chance_and_punishes_distance() -> None:
    assert metrics.quadratic_kappa(TRUE, TRUE, 3) == pytest.approx(1.0)
    assert metrics.quadratic_kappa(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), 2) == pytest.approx(0.0)
    near, far = np.array([0, 0, 0, 1, 1, 1]), np.array([2, 0, 0, 1, 1, 2])
    assert metrics.quadratic_kappa(TRUE, near, 3) > metrics.quadratic_kappa(TRUE, far, 3)


def ranked(true: Flags, scores: Floats) -> metrics.Ranking:
    return metrics.ranking(true, scores, np.ones((1, len(true))))


def test_rankings() -> None:
    found = ranked(np.array([True, False, True, False, True]), np.array([0.9, 0.8, 0.7, 0.2, 0.1]))
    assert metrics.average_precisions(found) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert metrics.precisions_at_recall(found, 0.6) == pytest.approx(2 / 3)
    assert metrics.precisions_at_recall(found, 0.9) == pytest.approx(3 / 5)


def test_equal_scores_are_found_together() -> None:
    found = ranked(np.array([True, False, False, True]), np.array([0.5, 0.5, 0.5, 0.1]))
    assert metrics.average_precisions(found) == pytest.approx((1 / 3 + 2 / 4) / 2)


def test_what_is_undefined_is_no_number() -> None:
    nothing = np.zeros(3, dtype=bool)
    found = ranked(nothing, np.ones(3))
    assert np.isnan(metrics.average_precisions(found)).all()
    assert np.isnan(metrics.precisions_at_recall(found, 0.9)).all()
    confusion = metrics.confusions(nothing.astype(int), nothing.astype(int), 2, np.ones((1, 3)))
    assert np.isnan([metrics.recalls(confusion)[0, 1], metrics.precisions(confusion)[0, 1]]).all()
    assert figure(metrics.recalls(confusion)[:, 1]) is None


def test_calibration_error_is_the_gap_between_confidence_and_truth() -> None:
    confidence = np.array([0.95, 0.95, 0.55, 0.55])

    def error(*correct: bool) -> float:
        return metrics.calibration_error(np.array(correct), confidence)

    assert error(True, True, True, False) == pytest.approx(0.05)
    assert error(False, False, True, False) == pytest.approx(0.5)
    assert metrics.calibration_error(np.array([True, False]), np.array([1.0, 0.0])) == pytest.approx(0.0)


def test_intervals_hold_the_mean_and_narrow_with_more_posts() -> None:
    values = np.random.default_rng(0).random(2000)

    def interval(posts: int) -> tuple[float, float, float]:
        found = figure(bootstrap(posts, lambda w: {"mean": metrics.means(values[:posts], w)}, rounds=200)["mean"])
        assert found is not None
        return found.value, found.low, found.high

    value, low, high = interval(2000)
    _, wide_low, wide_high = interval(50)
    assert value == pytest.approx(values.mean(), abs=1e-4)
    assert low < value < high
    assert wide_high - wide_low > 3 * (high - low)
    # A mean's interval is known: 1.96 standard errors to each side.
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 2000**0.5, rel=0.15)


def macro_f1_of(true: Labels, given: Labels) -> Figure | None:
    return figure(
        bootstrap(len(true), lambda w: {"f1": metrics.macro_f1s(metrics.confusions(true, given, 4, w))}, 200)["f1"]
    )


def test_an_interval_holds_the_score_of_all_such_posts_in_about_95_of_100_cases_and_other_draws_less_often() -> None:
    rng = np.random.default_rng(5)
    true, chances, _ = drawn(2, 5000)
    given = chances.argmax(axis=1)
    everywhere = metrics.macro_f1(true, given, 4)
    held, others = [], []
    for _ in range(200):
        some, more = rng.integers(0, 5000, (2, 400))
        found = macro_f1_of(true[some], given[some])
        assert found is not None
        held.append(found.low <= everywhere <= found.high)
        others.append(found.low <= metrics.macro_f1(true[more], given[more], 4) <= found.high)
    assert 0.9 < np.mean(held) < 0.99
    assert 0.7 < np.mean(others) < 0.9


def test_many_posts_are_drawn_in_parts_and_each_round_draws_as_many_as_there_are() -> None:
    posts = 70_000
    numbers = np.arange(posts)

    def measure(weights: Floats) -> dict[str, Floats]:
        return {"sum": weights.sum(axis=1), "distinct": (weights > 0).mean(axis=1), "which": weights @ numbers}

    sums = bootstrap(posts, measure, rounds=120)
    assert sums["sum"].tolist() == [posts] * 121
    assert len(set(sums["which"])) == 121
    assert sums["distinct"][1:].mean() == pytest.approx(1 - np.exp(-1), abs=0.002)


def test_a_thousand_rounds_over_two_thousand_posts_take_a_moment() -> None:
    true, chances, _ = drawn(1, 2000)
    given = chances.argmax(axis=1)
    started = time.process_time()
    bootstrap(2000, lambda w: {"f1": metrics.macro_f1s(metrics.confusions(true, given, 4, w))}, rounds=1000)
    assert time.process_time() - started < 2

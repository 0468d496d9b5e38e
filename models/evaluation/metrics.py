"""The measures of the model card, in numpy alone. Labels are class indices; all arrays are of one length."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Floats = NDArray[np.float64]


def f1_scores(true: Labels, predicted: Labels, classes: int) -> list[float]:
    """F1 of each class; 0 where a class was neither there nor predicted."""
    scores = []
    for label in range(classes):
        hits = np.sum((true == label) & (predicted == label))
        named = np.sum(true == label) + np.sum(predicted == label)
        scores.append(float(2 * hits / named) if named else 0.0)
    return scores


def macro_f1(true: Labels, predicted: Labels, classes: int) -> float:
    """Mean F1 of the classes that occur in `true`."""
    present = np.unique(true)
    return float(np.mean(np.array(f1_scores(true, predicted, classes))[present]))


def quadratic_kappa(true: Labels, predicted: Labels, classes: int) -> float:
    """Cohen's kappa with quadratic weights."""
    observed = np.zeros((classes, classes))
    np.add.at(observed, (true, predicted), 1.0)
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / len(true)
    steps = np.arange(classes)
    weights = (steps[:, None] - steps[None, :]) ** 2
    return float(1.0 - (weights * observed).sum() / max((weights * expected).sum(), 1e-12))


def precision_recall(true: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> tuple[float, float]:
    """Precision is 0 where nothing was predicted, recall 0 where nothing was there to find."""
    hits = float(np.sum(true & predicted))
    return hits / max(float(predicted.sum()), 1.0), hits / max(float(true.sum()), 1.0)


def average_precision(true: NDArray[np.bool_], scores: Floats) -> float:
    """Area under the precision-recall curve, as the mean precision at each true one found."""
    ranked = true[np.argsort(-scores, kind="stable")]
    if not ranked.any():
        return 0.0
    precisions = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(precisions[ranked].mean())


def precision_at_recall(true: NDArray[np.bool_], scores: Floats, recall: float) -> float:
    """The precision at the highest threshold that finds at least this share of the true ones."""
    ranked = true[np.argsort(-scores, kind="stable")]
    found = np.cumsum(ranked)
    if not found[-1]:
        return 0.0
    cut = int(np.argmax(found >= recall * found[-1]))
    return float(found[cut] / (cut + 1))


def expected_calibration_error(correct: NDArray[np.bool_], confidence: Floats, bins: int = 10) -> float:
    """Mean gap between confidence and accuracy over equally wide bins, weighted by their posts (Guo et al. 2017)."""
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(correct[index == b].mean() - confidence[index == b].mean()) * (index == b).mean() for b in np.unique(index)
    ]
    return float(sum(gaps))


def bootstrap_interval(
    measure: Callable[[NDArray[np.int64]], float], posts: int, seed: int, rounds: int = 1000
) -> tuple[float, float]:
    """The 95% percentile interval of `measure`, which gets the drawn posts' positions."""
    generator = np.random.default_rng(seed)
    values = [measure(generator.integers(0, posts, posts)) for _ in range(rounds)]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)

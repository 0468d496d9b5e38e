"""The measures, in numpy alone, each for many bootstrap rounds at once.

`weights` has the shape (rounds, posts) and says how often a round drew each post; ones are the posts as they are. Every
measure gives an array that begins with `rounds`, NaN where a round leaves it undefined, as is precision where nothing was
predicted. Labels are class indices; arrays over posts are of one length.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

BINS = 10


def confusions(true: Labels, given: Labels, classes: int, weights: Floats) -> Floats:
    """(rounds, classes, classes): rows are the true labels, columns the given ones."""
    cells = np.zeros((len(true), classes * classes))
    cells[np.arange(len(true)), true * classes + given] = 1.0
    return (weights @ cells).reshape(-1, classes, classes)


def precisions(confusion: Floats) -> Floats:
    """(rounds, classes)."""
    return _ratio(_hits(confusion), confusion.sum(axis=1))


def recalls(confusion: Floats) -> Floats:
    """(rounds, classes)."""
    return _ratio(_hits(confusion), confusion.sum(axis=2))


def f1s(confusion: Floats) -> Floats:
    """(rounds, classes); defined where a class was there or was predicted."""
    return _ratio(2 * _hits(confusion), confusion.sum(axis=1) + confusion.sum(axis=2))


def macro_f1s(confusion: Floats) -> Floats:
    """Mean F1 of the classes that truly occur."""
    occurs = confusion.sum(axis=2) > 0
    return _ratio(np.where(occurs, f1s(confusion), 0.0).sum(axis=1), occurs.sum(axis=1))


def accuracies(confusion: Floats) -> Floats:
    return _ratio(_hits(confusion).sum(axis=1), confusion.sum(axis=(1, 2)))


def kappas(confusion: Floats) -> Floats:
    """Cohen's kappa with quadratic weights; undefined where one class is all that is true and given."""
    steps = np.arange(confusion.shape[1])
    distance = (steps[:, None] - steps[None, :]) ** 2
    expected = confusion.sum(axis=2)[:, :, None] * confusion.sum(axis=1)[:, None, :]
    by_chance = _ratio((expected * distance).sum(axis=(1, 2)), confusion.sum(axis=(1, 2)))
    return 1.0 - _ratio((confusion * distance).sum(axis=(1, 2)), by_chance)


def means(values: Floats, weights: Floats) -> Floats:
    return _ratio(weights @ values, weights.sum(axis=1))


def bins(confidence: Floats) -> Labels:
    """The bin of each confidence; 1.0 belongs to the last."""
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def brier(true: Labels, chances: Floats) -> Floats:
    """Each post's squared distance between its chances, (posts, classes), and the truth: 0 to 2 (Brier 1950)."""
    distance: Floats = ((chances - np.eye(chances.shape[1])[true]) ** 2).sum(axis=1)
    return distance


def log_loss(true: Labels, chances: Floats) -> Floats:
    """Each post's negative log-likelihood, in nats."""
    likelihood = chances[np.arange(len(true)), true]
    losses: Floats = -np.log(np.clip(likelihood, np.finfo(np.float32).eps, 1.0))
    return losses


class Ranking(NamedTuple):
    """For each threshold from the highest, (rounds, thresholds): what is at or above it. Equal scores are one threshold,
    since none parts them."""

    found: Floats
    """True ones."""
    flagged: Floats
    """All."""


def ranking(true: Flags, scores: Floats, weights: Floats) -> Ranking:
    order = np.argsort(-scores, kind="stable")
    ranked = weights[:, order]
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    return Ranking(np.cumsum(ranked * true[order], axis=1)[:, ends], np.cumsum(ranked, axis=1)[:, ends])


def average_precisions(ranked: Ranking) -> Floats:
    """Area under the precision-recall curve in steps: the mean precision at each true one found."""
    new = np.diff(ranked.found, axis=1, prepend=0.0)
    return _ratio((new * _ratio(ranked.found, ranked.flagged, empty=0.0)).sum(axis=1), ranked.found[:, -1])


def precisions_at_recall(ranked: Ranking, recall: float) -> Floats:
    """The precision at the highest threshold that finds at least this share of the true ones."""
    total = ranked.found[:, -1]
    cut = np.argmax(ranked.found >= recall * total[:, None] - 1e-9, axis=1)[:, None]
    found, flagged = (np.take_along_axis(part, cut, 1)[:, 0] for part in ranked)
    return np.where(total > 0, _ratio(found, flagged), np.nan)


def _hits(confusion: Floats) -> Floats:
    return np.diagonal(confusion, axis1=1, axis2=2)


def _ratio(part: Floats, whole: Floats | NDArray[np.int64], empty: float = np.nan) -> Floats:
    """Element by element, `empty` where the whole is nought."""
    out: Floats = np.full(np.broadcast(part, whole).shape, empty)
    np.divide(part, whole, out=out, where=whole != 0)
    return out


# One number of the posts as they are, for a line of a log.


def macro_f1(true: Labels, given: Labels, classes: int) -> float:
    """Mean F1 of the classes that occur in `true`."""
    return float(macro_f1s(confusions(true, given, classes, _once(true)))[0])


def quadratic_kappa(true: Labels, given: Labels, classes: int) -> float:
    """Cohen's kappa with quadratic weights."""
    return float(kappas(confusions(true, given, classes, _once(true)))[0])


def calibration_error(correct: Flags, confidence: Floats) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy over equally wide bins, weighted by their
    posts (Guo et al. 2017).

    Of the posts as they are alone: chance gaps don't cancel out, and posts that are drawn anew add to them, so that the
    bootstrap's percentiles lie above the truth.
    """
    gaps = np.bincount(bins(confidence), weights=correct - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(correct))


def average_precision(true: Flags, scores: Floats) -> float:
    """Area under the precision-recall curve; NaN where nothing was there to find."""
    return float(average_precisions(ranking(true, scores, _once(true)))[0])


def _once(posts: Labels | Flags) -> Floats:
    return np.ones((1, len(posts)))

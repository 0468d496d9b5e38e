"""95% intervals by the percentile bootstrap (Efron 1979): posts are drawn anew with replacement, many rounds at once."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

import numpy as np

from models.evaluation.metrics import Floats
from models.evaluation.report import Figure

ROUNDS = 1000
SEED = 7
_CELLS = 4_000_000
"""Most weights in memory at once (32 MB)."""

Series = Floats
"""A measure of the posts as they are, then of each round."""


def bootstrap(posts: int, measure: Callable[[Floats], Mapping[str, Floats]], rounds: int = ROUNDS) -> dict[str, Series]:
    """By name, what `measure` says to the weights (rounds, posts) that it is given.

    Equal numbers of posts and rounds get equal draws, so that two models over the same posts are compared round by round.
    """
    parts = [measure(weights) for weights in _weights(posts, rounds)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _weights(posts: int, rounds: int) -> Iterator[Floats]:
    yield np.ones((1, posts))
    step = max(1, _CELLS // max(posts, 1))
    for start in range(0, rounds, step):
        yield _drawn(posts, min(step, rounds - start), start)


@lru_cache(maxsize=1)
def _drawn(posts: int, rounds: int, start: int) -> Floats:
    """How often each round draws each post. The last draws are kept: every head of the same posts asks for them."""
    drawn = np.random.default_rng((SEED, start)).integers(0, posts, (rounds, posts))
    drawn += np.arange(rounds)[:, None] * posts
    weights = np.bincount(drawn.ravel(), minlength=rounds * posts).reshape(rounds, posts).astype(float)
    weights.flags.writeable = False
    return weights


def figure(series: Series) -> Figure | None:
    """The value with its interval, over the rounds that define it; None where the posts themselves don't."""
    if np.isnan(series[0]):
        return None
    rounds = series[1:][~np.isnan(series[1:])]
    low, high = np.percentile(rounds, [2.5, 97.5]) if len(rounds) else (series[0], series[0])
    return Figure(value=short(series[0]), low=short(low), high=short(high))


def short(number: float) -> float:
    """As it stands in a report."""
    return round(float(number), 4) + 0.0  # no minus nought

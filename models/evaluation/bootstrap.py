"""95% intervals by the percentile bootstrap (Efron 1979): posts are drawn anew with replacement, many rounds at once."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from models.evaluation.metrics import Floats
from models.evaluation.report import Figure

ROUNDS = 1000
SEED = 7
_CELLS = 4_000_000
"""Most weights in memory at once (32 MB)."""

Series = Floats
"""A measure of the posts as they are, then of each round."""


class Bootstrap:
    """Draws for a number of posts. Equal numbers, rounds and seeds get equal draws, so that two models over the same
    posts are compared round by round."""

    def __init__(self, posts: int, rounds: int = ROUNDS, seed: int = SEED) -> None:
        self._posts, self._rounds, self._seed = posts, rounds, seed

    def series(self, measure: Callable[[Floats], Mapping[str, Floats]]) -> dict[str, Series]:
        """By name, what `measure` says to the weights (rounds, posts) that it is given."""
        parts = [measure(weights) for weights in self._weights()]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _weights(self) -> Iterator[Floats]:
        yield np.ones((1, self._posts))
        generator = np.random.default_rng(self._seed)
        step = max(1, _CELLS // max(self._posts, 1))
        for start in range(0, self._rounds, step):
            rounds = min(step, self._rounds - start)
            drawn = generator.integers(0, self._posts, (rounds, self._posts))
            drawn += np.arange(rounds)[:, None] * self._posts
            yield np.bincount(drawn.ravel(), minlength=rounds * self._posts).reshape(rounds, -1).astype(float)


def figure(series: Series) -> Figure | None:
    """The value with its interval, over the rounds that define it; None where the posts themselves don't."""
    if np.isnan(series[0]):
        return None
    rounds = series[1:][~np.isnan(series[1:])]
    low, high = np.percentile(rounds, [2.5, 97.5]) if len(rounds) else (series[0], series[0])
    return Figure(value=_short(series[0]), low=_short(low), high=_short(high))


def _short(number: np.float64) -> float:
    return round(float(number), 4) + 0.0  # no minus nought

"""When to try again: exponential waits with jitter."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """``first_s`` after the first failure, twice as long after each next one up to ``max_s``, each ± ``jitter``."""

    first_s: float
    max_s: float
    jitter: float
    """Share of the wait by which it may be longer or shorter, so that tickets that failed together don't return so."""
    random: Callable[[], float]
    """Evenly spread over [0, 1)."""

    def wait_s(self, attempt: int) -> float:
        """Seconds from the failure of the ``attempt``-th try (1 is the first) to the next."""
        wait = min(self.max_s, self.first_s * 2.0 ** min(max(attempt, 1) - 1, 60))
        return wait * (1 + self.jitter * (2 * self.random() - 1))

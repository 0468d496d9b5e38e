"""How many posts make a batch: as many of like length as fit a budget of tokens, padding counted."""

from collections.abc import Sequence


def token_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Positions of the texts in batches, shortest first; each batch's size times its longest length fits `budget`.

    A text longer than the budget makes a batch of its own. Every position is in exactly one batch.
    """
    batches: list[list[int]] = []
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[position] > budget:
            batches.append(batch)
            batch = []
        batch.append(position)
    if batch:
        batches.append(batch)
    return batches


def even_budget(tokens: int, budget: int, workers: int) -> int:
    """At most `budget`, and such that batches of it give each of the workers about as many."""
    share = -(-tokens // workers)
    rounds = max(1, -(-share // budget))
    return max(1, -(-share // rounds))

"""Batches for training: posts of like length together, in a random order that the seed and epoch alone decide."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.tokens import Tokens
from models.training.augment import Change, augment, hide_handles
from models.training.data import ENGLISH, Example

UNSURE_WEIGHT = 0.5
"""Loss weight of a post whose annotator wasn't sure."""

WRITTEN_KIND_SHARE = 0.2
"""Of the weight of a post in English that was written for training, as to intent and sentiment. Complaints are many among
these, and so a network takes too much of a real stream for complaints; of what is urgent they teach what real posts don't."""

_POOL = 48  # batches whose posts are sorted by length together: little padding, still random


@dataclass(frozen=True, slots=True)
class Batch:
    """`ids` (posts, length) int64, `mask` the same in float; labels and weights (posts,)."""

    ids: Tensor
    mask: Tensor
    intents: Tensor
    sentiments: Tensor
    urgencies: Tensor
    urgent: Tensor
    weights: Tensor
    """Of the labels of urgency: 1, or UNSURE_WEIGHT."""
    kind_weights: Tensor
    """Of intent and sentiment: the same, less where the post was written for training."""
    positions: tuple[int, ...]
    """Of its posts in the examples that the batches were made of."""


def in_turn(examples: Sequence[Example], epoch: int, turns: int) -> list[int]:
    """Positions of what an epoch is made of: all posts in other languages than English, and of those in English one in so
    many, in each epoch as many and others (a rest that doesn't divide is in none)."""
    english = [position for position, example in enumerate(examples) if example.language == ENGLISH]
    others = [position for position, example in enumerate(examples) if example.language != ENGLISH]
    return sorted(others + english[epoch % turns :: turns][: len(english) // turns])


def epoch_batches(
    examples: Sequence[Example],
    tokens: Tokens,
    size: int,
    seed: int,
    epoch: int,
    positions: Sequence[int] | None = None,
    change: Change = augment,
) -> list[Batch]:
    """The batches of one epoch, of the examples in these positions, None for all, those in English as `change` shows them;
    the same arguments give the same batches, so that an epoch can be resumed."""
    generator = random.Random(f"{seed} {epoch}")
    changes = (change if example.language == ENGLISH else hide_handles for example in examples)
    encoded = tokens.encode([one(example.text, generator) for one, example in zip(changes, examples, strict=True)])
    order = list(range(len(examples)) if positions is None else positions)
    generator.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), size * _POOL):
        pool = sorted(order[start : start + size * _POOL], key=lambda position: len(encoded[position]))
        batches += [pool[first : first + size] for first in range(0, len(pool), size)]
    generator.shuffle(batches)
    return [collate(examples, encoded, batch) for batch in batches]


def pad(encoded: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids and mask, padded with 0 to the longest; what stands there is masked."""
    longest = max(map(len, encoded))
    ids = torch.tensor([[*row, *([0] * (longest - len(row)))] for row in encoded])
    mask = torch.tensor([[1.0] * len(row) + [0.0] * (longest - len(row)) for row in encoded])
    return ids, mask


def collate(examples: Sequence[Example], encoded: Sequence[Sequence[int]], positions: Sequence[int]) -> Batch:
    ids, mask = pad([encoded[position] for position in positions])
    posts = [examples[position] for position in positions]
    return Batch(
        ids=ids,
        mask=mask,
        intents=torch.tensor([post.intent for post in posts]),
        sentiments=torch.tensor([post.sentiment for post in posts]),
        urgencies=torch.tensor([post.urgency for post in posts]),
        urgent=torch.tensor([float(post.urgent) for post in posts]),
        weights=torch.tensor([_weight(post) for post in posts]),
        kind_weights=torch.tensor([_weight(post) * _kind_share(post) for post in posts]),
        positions=tuple(positions),
    )


def _weight(post: Example) -> float:
    return 1.0 if post.sure else UNSURE_WEIGHT


def _kind_share(post: Example) -> float:
    return WRITTEN_KIND_SHARE if post.origin == "written" and post.language == ENGLISH else 1.0

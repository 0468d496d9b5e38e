"""What training minimises: proper scoring rules, so that the probabilities stay honest."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from models.outputs import INTENT, SENTIMENT, URGENCY, URGENT
from models.training.batches import Batch
from models.training.data import Example
from schemas.labels import INTENTS, URGENCIES

SENTIMENT_SHARE = 0.5
URGENCY_SHARE = 0.5
RANKED_SHARE = 0.5
URGENT_SHARE = 0.5


def intent_weights(examples: Sequence[Example]) -> Tensor:
    """Inverse square root of each intent's frequency, with mean 1 over the examples."""
    counts = Counter(example.intent for example in examples)
    weights = torch.tensor([max(1, counts[intent]) ** -0.5 for intent in range(len(INTENTS))])
    mean = sum(weights[intent] * count for intent, count in counts.items()) / len(examples)
    return weights / mean


def ranked_probability(logits: Tensor, levels: Tensor) -> Tensor:
    """Ranked probability score of each post (Epstein 1969): a miss by three levels costs more than one by one."""
    below = logits.softmax(dim=1).cumsum(dim=1)[:, :-1]
    steps = torch.arange(len(URGENCIES) - 1)
    return ((below - (levels[:, None] <= steps).float()) ** 2).sum(dim=1)


def loss(logits: Tensor, batch: Batch, weights: Tensor) -> Tensor:
    """Weighted mean over the batch of the four heads' losses."""
    intent = functional.cross_entropy(logits[:, INTENT], batch.intents, weight=weights, reduction="none")
    sentiment = functional.cross_entropy(logits[:, SENTIMENT], batch.sentiments, reduction="none")
    urgency = functional.cross_entropy(logits[:, URGENCY], batch.urgencies, reduction="none")
    ranked = ranked_probability(logits[:, URGENCY], batch.urgencies)
    urgent = functional.binary_cross_entropy_with_logits(logits[:, URGENT], batch.urgent, reduction="none")
    kind = intent + SENTIMENT_SHARE * sentiment
    haste = URGENCY_SHARE * urgency + RANKED_SHARE * ranked + URGENT_SHARE * urgent
    return _mean(kind, batch.kind_weights) + _mean(haste, batch.weights)


def _mean(losses: Tensor, weights: Tensor) -> Tensor:
    return (losses * weights).sum() / weights.sum()


def soft_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy with the teacher's probabilities, summed over the heads (Hinton et al. 2015, temperature 1): the mean
    over the batch, to which rows of NaN, of which the teacher said nothing, add nothing."""
    said = ~teacher.isnan().any(dim=1)
    return target_losses(logits[said], chances_of(teacher[said])).sum() / len(logits)


def chances_of(logits: Tensor) -> Tensor:
    """The probabilities of logits (posts, WIDTH) in the same places."""
    heads = [logits[:, head].softmax(dim=1) for head in (INTENT, SENTIMENT, URGENCY)]
    return torch.cat([*heads, logits[:, URGENT, None].sigmoid()], dim=1)


def target_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Of each post the cross-entropy with target probabilities (posts, WIDTH), summed over the heads."""
    total = functional.binary_cross_entropy_with_logits(logits[:, URGENT], targets[:, URGENT], reduction="none")
    for head in (INTENT, SENTIMENT, URGENCY):
        total = total + functional.cross_entropy(logits[:, head], targets[:, head], reduction="none")
    return total

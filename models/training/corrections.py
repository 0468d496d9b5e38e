"""Weights go on learning from a team's own corrections, without forgetting: `plaint train --corrections FILE`.

Few posts that a team labelled pull a network far if it sees nothing else. So it learns them at a low rate, mixed with posts
whose labels are the probabilities of the network as it was (learning without forgetting, Li and Hoiem 2016); of a correction
that gives the intent alone, sentiment and urgency stay what it thought of them too. A part of the corrections is held out to
measure on, another to stop by. Calibration is never fitted on corrections: people correct what was wrong, so they would make
any model look less sure than it may be.
"""

import copy
import hashlib
import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from models.evaluation.labelled import LabelledPost
from models.outputs import INTENT, SENTIMENT, URGENCY, URGENT, WIDTH
from models.text import normalise
from models.tokens import Tokens
from models.training.augment import hide_handles
from models.training.batches import Batch, epoch_batches
from models.training.data import URGENT_FROM, Example
from models.training.listener import Listener
from models.training.losses import chances_of, target_losses
from models.training.network import Network
from models.training.predict import predict
from models.training.split import near_duplicate_groups
from models.training.train import Recipe, Trainer
from schemas.labels import INTENTS, SENTIMENTS, Intent

HELD_OUT_SHARE = 0.2
LEAST_HELD_OUT = 20
LEAST_LEARNED = 10
MOST_HELD_OUT_GROUP = 0.25
"""Of the posts to be held out, in one group of near-duplicates: a larger one is what a team corrects again and again, and is
learned as long as there are others to measure on."""
WATCHED_SHARE = 0.15
"""Of the corrections to learn from; training stops when it no longer gets better on these."""
LEAST_WATCHED = 15
"""Of fewer nothing can be told: then training ends with its epochs."""
REPLAYED = 4
"""So many posts of before for each correction, within these bounds."""
LEAST_REPLAYED, MOST_REPLAYED = 240, 1600
POOL = 2000
"""So many posts of before are drawn for all epochs: the network has to read each once before it learns."""
RECIPE = Recipe(epochs=6, batch=24, rate=4e-5, head_rate=2e-4, warmup=0.1, average=0.97)
"""Chosen on corrections drawn from public posts that the model had not seen, 40 to 1,000 of them."""
KEPT_BACK = 10
"""One in so many posts of before serves to see whether the network forgets, and is not replayed."""
MOST_WEIGHT = 4.0
"""Of a correction, where few stand among many posts of before."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Positions of the corrections by what they serve for."""

    learned: list[int]
    watched: list[int]
    held_out: list[int]


def newest(posts: Sequence[LabelledPost]) -> list[LabelledPost]:
    """Each text once, as it was labelled last: who corrects a correction means the last word."""
    last = {normalise(post.text): post for post in posts}
    return list(last.values())


def share_out(texts: Sequence[str], others: Sequence[str]) -> Shares:
    """Near-duplicates stand together, in the order of a hash of the first of them: so a large group is held out no more often
    than a small one, and a post that is held out of few corrections may be learned of many, and hardly ever the other way.
    `others` are posts to tell common words by.
    """
    groups: dict[int, list[int]] = defaultdict(list)
    for position, group in enumerate(near_duplicate_groups([*texts, *others])[: len(texts)]):
        groups[group].append(position)
    wanted = max(LEAST_HELD_OUT, round(len(texts) * HELD_OUT_SHARE))
    most = wanted * MOST_HELD_OUT_GROUP
    ranked = sorted(groups.values(), key=lambda members: (len(members) > most, _rank(texts[members[0]])))
    held_out = _first(ranked, wanted)
    rest = ranked[len(held_out) :]
    watching = round(sum(map(len, rest)) * WATCHED_SHARE)
    watched = _first(rest, watching) if watching >= LEAST_WATCHED else []
    learned = rest[len(watched) :]
    return Shares(*([position for group in part for position in group] for part in (learned, watched, held_out)))


def _first(groups: Sequence[list[int]], posts: int) -> Sequence[list[int]]:
    """As few of the first groups as hold that many posts."""
    sizes = np.cumsum([len(group) for group in groups])
    return groups[: int(np.searchsorted(sizes, posts)) + 1]


def _rank(text: str) -> str:
    return hashlib.sha256(f"plaint-corrections {normalise(text)}".encode()).hexdigest()


def targets_of(posts: Sequence[LabelledPost], view: Tensor) -> Tensor:
    """Probabilities to learn, (posts, WIDTH): what was labelled, else what the model thought, `view`."""
    targets = view.clone()
    for row, post in zip(targets, posts, strict=True):
        if post.intent is not None:
            row[INTENT] = _one_hot(row[INTENT], INTENTS.index(post.intent))
        if post.sentiment is not None:
            row[SENTIMENT] = _one_hot(row[SENTIMENT], SENTIMENTS.index(post.sentiment))
        if post.urgency is not None:
            row[URGENCY] = _one_hot(row[URGENCY], post.urgency)
        urgent = _urgent(post)
        if urgent is not None:
            row[URGENT] = float(urgent)
    return targets


def _one_hot(row: Tensor, index: int) -> Tensor:
    return torch.zeros_like(row).index_fill_(0, torch.tensor(index), 1.0)


def _urgent(post: LabelledPost) -> bool | None:
    """As far as the labels tell."""
    no_complaint = post.intent is not None and post.intent is not Intent.COMPLAINT
    if no_complaint or (post.urgency is not None and post.urgency < URGENT_FROM):
        return False
    return True if post.intent is not None and post.urgency is not None else None


class Mixture:
    """Corrections and posts of before as one list of examples, with what each is to be taken for."""

    def __init__(self, posts: Sequence[LabelledPost], view: Tensor, before: Sequence[Example], kept: Tensor) -> None:
        """`view` and `kept`: the probabilities that the model as it was gives to the posts, and to those of before."""
        self.corrections = len(posts)
        self.examples = [_example(post, row) for post, row in zip(posts, view, strict=True)] + list(before)
        self.targets = torch.cat([targets_of(posts, view), kept])
        wanted = min(MOST_REPLAYED, max(LEAST_REPLAYED, REPLAYED * self.corrections))
        self.replayed = min(len(before), wanted)
        """So many posts of before are in each epoch."""
        self.weight = min(MOST_WEIGHT, max(1.0, self.replayed / max(1, self.corrections)))
        """Of a correction."""

    def __len__(self) -> int:
        return self.corrections + self.replayed

    def batches(self, tokens: Tokens, recipe: Recipe, epoch: int) -> list[Batch]:
        """All corrections, and other posts of before in each epoch."""
        pool = range(self.corrections, len(self.examples))
        drawn = random.Random(f"{recipe.seed} {epoch}").sample(pool, self.replayed)
        places = [*range(self.corrections), *drawn]
        shown = [self.examples[place] for place in places]
        made = epoch_batches(shown, tokens, recipe.batch, recipe.seed, epoch, change=hide_handles)
        return [self._placed(batch, [places[position] for position in batch.positions]) for batch in made]

    def _placed(self, batch: Batch, places: Sequence[int]) -> Batch:
        counts = torch.tensor([self.weight if place < self.corrections else 1.0 for place in places])
        weights, kind_weights = batch.weights * counts, batch.kind_weights * counts
        return replace(batch, positions=tuple(places), weights=weights, kind_weights=kind_weights)

    def objective(self, logits: Tensor, batch: Batch) -> Tensor:
        """The distance to the targets, a mean by weight."""
        losses = target_losses(logits, self.targets[list(batch.positions)])
        return (losses * batch.weights).sum() / batch.weights.sum()


def _example(post: LabelledPost, view: Tensor) -> Example:
    """With the model's own view in place of labels that weren't given; it is learned from its targets alone."""
    return Example(
        id="",
        source="corrections",
        text=post.text,
        intent=int(view[INTENT].argmax()),
        sentiment=int(view[SENTIMENT].argmax()),
        urgency=int(view[URGENCY].argmax()),
        sure=post.sure is not False,
    )


class Watch:
    """How far a network is from corrections that it doesn't learn, and from what it thought of posts of before."""

    def __init__(self, posts: Sequence[LabelledPost], view: Tensor, before: Sequence[Example], kept: Tensor) -> None:
        self._examples = [_example(post, row) for post, row in zip(posts, view, strict=True)] + list(before)
        self._targets = torch.cat([targets_of(posts, view), kept])
        self._corrections = len(posts)

    def distance(self, network: Network, tokens: Tokens) -> float:
        """Mean loss of the one plus mean loss of the other; less is better."""
        losses = target_losses(torch.from_numpy(predict(network, self._examples, tokens)), self._targets)
        return float(losses[: self._corrections].mean() + losses[self._corrections :].mean())


@dataclass(frozen=True, slots=True)
class Learned:
    """A network after learning."""

    network: Network
    epoch: int
    """The one that it is of; 0 if none was better than the network as it was, which it then is."""


def learn(
    network: Network,
    tokens: Tokens,
    learned: Sequence[LabelledPost],
    watched: Sequence[LabelledPost],
    before: Sequence[Example],
    listener: Listener,
    recipe: Recipe = RECIPE,
) -> Learned:
    """Learns; the network given is changed too. The same arguments give the same weights.

    With no watched corrections training goes on to its last epoch, else it ends when they stop getting better, and the best
    epoch counts; that may be none.
    """
    torch.manual_seed(recipe.seed)
    before = random.Random(recipe.seed).sample(before, min(POOL, len(before)))
    posts = [*learned, *watched]
    read = [_example(post, torch.zeros(WIDTH)) for post in posts] + before
    listener.say(f"the model as it is reads {len(read):,} posts")
    view = chances_of(torch.from_numpy(predict(network, read, tokens)))
    kept_back = [place for place in range(len(before)) if watched and place % KEPT_BACK == 0]
    replayed = [place for place in range(len(before)) if not watched or place % KEPT_BACK]
    rows = view[len(posts) :]
    mixture = Mixture(learned, view[: len(learned)], [before[place] for place in replayed], rows[replayed])
    watch = Watch(watched, view[len(learned) : len(posts)], [before[place] for place in kept_back], rows[kept_back])

    recipe = replace(recipe, frozen=network.shape.layers // 3)
    trainer = Trainer(network, len(mixture), mixture.objective, recipe, listener=listener)
    best = Learned(copy.deepcopy(trainer.average), epoch=0)
    least = watch.distance(network, tokens) if watched else math.inf
    while trainer.progress.epoch < recipe.epochs:
        trainer.run_epoch(mixture.batches(tokens, recipe, trainer.progress.epoch))
        if not watched:
            continue
        found = watch.distance(trainer.average, tokens)
        listener.say(
            f"epoch {trainer.progress.epoch}: {found:.4f} from the watched corrections, {least:.4f} at best before"
        )
        if found >= least:
            break
        best, least = Learned(copy.deepcopy(trainer.average), trainer.progress.epoch), found
    return best if watched else Learned(trainer.average, trainer.progress.epoch)

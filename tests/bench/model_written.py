"""``python -m tests.bench.model_written``: what posts that were written for training teach of sources never seen.

The small encoder is trained anew, by one recipe and for as many steps, without any post of some of the public sets: on the
real posts that are left, on these and the written ones alike, and with the written ones telling less of intent and sentiment
(`models.training.batches.WRITTEN_KIND_SHARE`). Each is measured on labelled posts of those sets, none of them a test post,
and on the dev posts, of which some are of those sets. Five to ten minutes each.
"""

import argparse
import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from models.tokens import Tokens
from models.training.bases import MINILM
from models.training.batches import WRITTEN_KIND_SHARE, Batch, epoch_batches
from models.training.checkpoint import Progress
from models.training.data import Example, data_folder, load_parts
from models.training.predict import dev_scores, predict
from models.training.train import MAX_TOKENS, RECIPES, Trainer, labels_objective

APART = ("cf_brands_sxsw", "cfpb_2020", "cfpb_kaiburr", "ibm_twitter_care", "xfincorp")
MOST_APART = 900
"""Posts of one set to measure on."""
ARMS = {"real posts alone": None, "and written ones": 1.0, "and written ones, less of intent": WRITTEN_KIND_SHARE}
"""What is trained on, and how much of a written post's weight counts for intent and sentiment."""


def posts_apart(posts: Sequence[Example]) -> list[Example]:
    """Of the sets that are left out, those whose annotator was sure, drawn at random."""
    draw = random.Random(5)
    by_source = {source: [post for post in posts if post.source == source and post.sure] for source in APART}
    return [post for found in by_source.values() for post in draw.sample(found, min(MOST_APART, len(found)))]


def trained(posts: Sequence[Example], share: float, steps: int, tokens: Tokens) -> Trainer:
    """By the recipe of the shipped weights but for the number of steps."""
    recipe = RECIPES[MINILM.name]
    torch.manual_seed(recipe.seed)
    written = torch.tensor([post.origin == "written" for post in posts])
    of_labels = labels_objective(posts)

    def objective(logits: Tensor, batch: Batch) -> Tensor:
        shares = torch.where(written[list(batch.positions)], share, 1.0)
        return of_labels(logits, replace(batch, kind_weights=batch.weights * shares))

    trainer = Trainer(MINILM.network(), len(posts), objective, recipe)
    trainer.steps = steps
    while trainer.progress.step < steps:
        epoch = trainer.progress.epoch
        batches = epoch_batches(posts, tokens, recipe.batch, recipe.seed, epoch)
        trainer.progress = Progress(epoch, 0, trainer.progress.step)
        trainer.run_epoch(batches[: steps - trainer.progress.step])
    return trainer


def main() -> None:
    """Print a table, a line as each is trained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500, help="of each training")
    steps: int = parser.parse_args().steps
    parts = load_parts(data_folder())
    apart = posts_apart(parts.train)
    left = [post for post in parts.train if post.source not in APART]
    print(f"{len(apart):,} posts of {', '.join(APART)}; {len(parts.dev)} dev posts\n")
    print("| trained on | posts | intent F1 | sentiment F1 | urgency κ | `urgent` AP | the same on dev posts | | | |")
    print(f"|---|{'---|' * 9}")
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = Path(folder) / "tokenizer.json"
        tokenizer.write_bytes(MINILM.tokenizer())
        tokens = Tokens(tokenizer, MAX_TOKENS)
        for name, share in ARMS.items():
            posts = [post for post in left if share is not None or post.origin != "written"]
            made = trained(posts, share or 1.0, steps, tokens)
            print(f"| {name} | {len(posts):,} | {_cells(made, (apart, parts.dev), tokens)} |", flush=True)


def _cells(made: Trainer, parts: Sequence[Sequence[Example]], tokens: Tokens) -> str:
    found = [
        score
        for posts in parts
        for score in dev_scores(posts, predict(made.result, posts, tokens, rough=True)).values()
    ]
    return " | ".join(f"{score:.3f}" for score in found)


if __name__ == "__main__":
    main()

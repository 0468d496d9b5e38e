"""``python -m tests.bench.model_additions --out FOLDER [--teacher RUN ...]``: what each part of the training data brings.

The small encoder is trained anew on the posts of ``$PLAINT_DATA`` alone, with the labels that this repository adds, with the
posts that were written for it, with both, and, where teachers are given, with both and what these say. Everything else is
the same in all of them: recipe, seed, and, as near as whole epochs allow, the number of steps, so that fewer posts are seen
more often. They are compared on the dev posts (real ones that nothing was trained on; the test posts are left alone), post by
post, with 95% intervals of each difference from the first. A run that was broken off goes on where it was.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from models.evaluation.bootstrap import Series, bootstrap, figure
from models.evaluation.metrics import Floats, average_precisions, confusions, kappas, macro_f1s, ranking
from models.outputs import INTENT, SENTIMENT, URGENCY, URGENT
from models.tokens import Tokens
from models.training.bases import BASES
from models.training.checkpoint import NETWORK, Run, load_network, save_run, save_text
from models.training.data import WRITTEN_HERE, Example, Parts, data_folder, file_hashes, load_parts, read_labels
from models.training.listener import Lines
from models.training.predict import predict
from models.training.train import MAX_TOKENS, RECIPES, Trainer, labels_objective, made_by_hash, taught, train
from models.training.trained import Trained
from schemas.labels import INTENTS, SENTIMENTS, URGENCIES
from tests.bench.whole_way import processor

BASE = BASES["minilm"]
HEADS = ("intent F1", "sentiment F1", "urgency kappa", "urgent AP", "mean")


@dataclass(frozen=True)
class Arm:
    """One training: what it is called and what it learns from."""

    name: str
    title: str
    labels: bool
    """With the labels that this repository adds to posts of the public sets."""
    written: bool
    """With the posts that were written for this repository."""
    taught: bool = False


ARMS = (
    Arm("alone", "posts of $PLAINT_DATA alone", labels=False, written=False),
    Arm("labels", "and the labels of models/data/labels", labels=True, written=False),
    Arm("written", "and the posts of models/data/written", labels=False, written=True),
    Arm("both", "and both", labels=True, written=True),
    Arm("taught", "and both, and what the teachers say", labels=True, written=True, taught=True),
)


def posts_of(arm: Arm, train_posts: Sequence[Example], labelled_here: frozenset[str]) -> list[Example]:
    return [
        post
        for post in train_posts
        if (arm.labels or post.id not in labelled_here) and (arm.written or post.source != WRITTEN_HERE)
    ]


def trained(arm: Arm, parts: Parts, steps: int, folder: Path, teachers: Sequence[Trained]) -> tuple[int, Floats]:
    """Steps, and the logits of the dev posts, (posts, WIDTH), by a network that is trained for about so many."""
    recipe = RECIPES[BASE.name]
    recipe = replace(recipe, epochs=max(1, round(steps * recipe.batch / len(parts.train))))
    torch.manual_seed(recipe.seed)
    network, tokenizer = BASE.network(), BASE.tokenizer()
    folder.mkdir(parents=True, exist_ok=True)
    made_by = made_by_hash(recipe, network.shape, tokenizer, teachers)
    hashes = file_hashes(data_folder())
    save_run(folder, Run(BASE.origin, recipe.seed, recipe.epochs, len(parts.train), hashes, made_by=made_by))
    save_text(folder / "tokenizer.json", tokenizer.decode())
    said = taught(folder, teachers, parts.train) if teachers else None
    torch.manual_seed(recipe.seed)
    trainer = Trainer(network, len(parts.train), labels_objective(parts.train, said), recipe, folder, Lines())
    trainer.resume()
    tokens = Tokens(folder / "tokenizer.json", MAX_TOKENS)
    train(trainer, tokens, parts)
    return trainer.steps, predict(load_network(folder / NETWORK), parts.dev, tokens).astype(np.float64)


def measured(dev: Sequence[Example], logits: Mapping[str, Floats]) -> dict[str, dict[str, Series]]:
    """By arm and head, what the dev posts say and then each bootstrap round, the same draws for all."""
    truth = {
        head: np.array([getattr(post, head) for post in dev]) for head in ("intent", "sentiment", "urgency", "urgent")
    }

    def of(given: Floats, weights: Floats) -> list[Floats]:
        found = [
            macro_f1s(confusions(truth["intent"], given[:, INTENT].argmax(1), len(INTENTS), weights)),
            macro_f1s(confusions(truth["sentiment"], given[:, SENTIMENT].argmax(1), len(SENTIMENTS), weights)),
            kappas(confusions(truth["urgency"], given[:, URGENCY].argmax(1), len(URGENCIES), weights)),
            average_precisions(ranking(truth["urgent"], given[:, URGENT], weights)),
        ]
        return [*found, np.mean(found, axis=0)]

    def all_of(weights: Floats) -> dict[str, Floats]:
        return {
            f"{arm}/{head}": series
            for arm, given in logits.items()
            for head, series in zip(HEADS, of(given, weights), strict=True)
        }

    series = bootstrap(len(dev), all_of)
    return {arm: {head: series[f"{arm}/{head}"] for head in HEADS} for arm in logits}


def _difference(series: Series) -> str:
    found = figure(series)
    assert found is not None, "every class is among the dev posts"
    return f"{found.value * 100:+.1f} ({found.low * 100:+.1f} to {found.high * 100:+.1f})"


def main() -> None:
    """Print a table, line by line as they are trained, and a last line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument(
        "--teacher", type=Path, action="append", default=[], help="folder of a finished run or of weights; repeatable"
    )
    parser.add_argument(
        "--arms", nargs="+", choices=[arm.name for arm in ARMS], help="default: all that can be trained"
    )
    parser.add_argument("--steps", type=int, default=2400, help="of each training; about 2.2 epochs of all posts")
    options = parser.parse_args()
    parts = load_parts(data_folder())
    here = frozenset(post.id for post in read_labels(data_folder()))
    wanted = [
        arm for arm in ARMS if (not options.arms or arm.name in options.arms) and (options.teacher or not arm.taught)
    ]
    logits: dict[str, Floats] = {}
    posts: dict[str, int] = {}
    steps: dict[str, int] = {}
    for arm in wanted:
        found = replace(parts, train=posts_of(arm, parts.train, here))
        posts[arm.name] = len(found.train)
        teachers = list(map(Trained, options.teacher)) if arm.taught else []
        steps[arm.name], logits[arm.name] = trained(arm, found, options.steps, options.out / arm.name, teachers)
    table = measured(parts.dev, logits)
    first = wanted[0].name
    print(f"{len(parts.dev)} dev posts\n")
    print("| trained on | posts | steps | " + " | ".join(HEADS) + " | mean against the first |")
    print("|---|---|---|" + "---|" * (len(HEADS) + 1))
    for arm in wanted:
        values = " | ".join(f"{table[arm.name][head][0]:.3f}" for head in HEADS)
        gained = "" if arm.name == first else _difference(table[arm.name]["mean"] - table[first]["mean"])
        print(f"| {arm.title} | {posts[arm.name]:,} | {steps[arm.name]:,} | {values} | {gained} |")
    scores = {arm: {head: round(float(series[0]), 4) for head, series in heads.items()} for arm, heads in table.items()}
    print(json.dumps({"cpu": processor(), "dev": len(parts.dev), "steps": steps, "posts": posts, "scores": scores}))


if __name__ == "__main__":
    main()

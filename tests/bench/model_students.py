"""``python -m tests.bench.model_students FOLDER...``: how good each of several models is, beside how fast.

Each folder holds weights in plaint's own format, as `plaint train` and `models.export` make them; the shipped model stands
first. All label the same real English posts of ``$PLAINT_DATA`` in turn, a round each, so that a machine whose speed changes
slows all of them. Scores are those of the int8 graph on the dev posts, which no weights were trained on; choices between
models are made on these, never on the test posts.
"""

import argparse
import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from classify.settings import ClassifySettings
from models.engine import SHIPPED, Engine
from models.evaluation.metrics import average_precision, macro_f1, quadratic_kappa
from models.manifest import MANIFEST, NETWORK, TOKENIZER, load_manifest
from models.tokens import Tokens
from models.training.data import Example, data_folder, read_dev
from schemas.labels import INTENTS, SENTIMENTS, URGENCIES
from tests.bench.model import Posts, Speed, in_calls, read_posts, speed
from tests.bench.whole_way import processor

SERVED = (NETWORK, TOKENIZER, MANIFEST)
"""What of a folder is read to serve."""


@dataclass(frozen=True)
class Scores:
    """On the dev posts."""

    intent: float
    sentiment: float
    urgency: float
    urgent: float

    def row(self) -> str:
        return f"{self.intent:.3f} | {self.sentiment:.3f} | {self.urgency:.3f} | {self.urgent:.3f}"


@dataclass
class Student:
    name: str
    layers: int
    megabytes: float
    engine: Engine
    scores: Scores
    speeds: list[Speed] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return statistics.median(one.per_second for one in self.speeds)

    @property
    def cpu_ms(self) -> float:
        return statistics.median(one.cpu_ms for one in self.speeds)


def score(engine: Engine, examples: list[Example]) -> Scores:
    said = engine.score([example.text for example in examples])
    intents = np.array([np.argmax(one.intents) for one in said])
    sentiments = np.array([np.argmax(one.sentiments) for one in said])
    urgencies = np.array([np.argmax(one.urgencies) for one in said])
    return Scores(
        intent=macro_f1(np.array([example.intent for example in examples]), intents, len(INTENTS)),
        sentiment=macro_f1(np.array([example.sentiment for example in examples]), sentiments, len(SENTIMENTS)),
        urgency=quadratic_kappa(np.array([example.urgency for example in examples]), urgencies, len(URGENCIES)),
        urgent=average_precision(
            np.array([example.urgent for example in examples]), np.array([one.urgent for one in said])
        ),
    )


def student(folder: Path, dev: list[Example]) -> Student:
    manifest, engine = load_manifest(folder), Engine.load(folder, remembered=0)
    size = sum((folder / name).stat().st_size for name in SERVED) / 1e6
    return Student(manifest.name, manifest.layers, size, engine, score(engine, dev))


def run_round(students: list[Student], posts: Posts, number: int) -> None:
    """Each once, every second round in the other order."""
    for one in students if number % 2 else reversed(students):
        one.speeds.append(speed(in_calls(one.engine, ClassifySettings().batch), posts.texts))


def main() -> None:
    """Print a table, and a last line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", help="weights beside those that ship")
    parser.add_argument("--posts", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    posts = read_posts(arguments.posts, Tokens(SHIPPED / TOKENIZER, load_manifest(SHIPPED).max_tokens))
    dev = read_dev(data_folder())
    students = [student(folder, dev) for folder in [SHIPPED, *arguments.folders]]
    for number in range(arguments.rounds):
        run_round(students, posts, number)
    first = students[0].per_second
    print(f"{processor()}; {len(posts.texts):,} posts, {len(dev)} dev posts\n")
    print(
        "| model | layers | MB | posts/s | times as fast | CPU a post, ms | intent F1 | sentiment F1 | urgency κ | urgent AP |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for one in students:
        facts = f"{one.name} | {one.layers} | {one.megabytes:.0f} | {one.per_second:.0f} | {one.per_second / first:.2f}"
        print(f"| {facts} | {one.cpu_ms:.2f} | {one.scores.row()} |")
    told = {
        one.name: {"posts_per_s": round(one.per_second, 1), "intent_f1": round(one.scores.intent, 3)}
        for one in students
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()

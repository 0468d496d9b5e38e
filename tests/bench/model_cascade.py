"""``python -m tests.bench.model_cascade``: what a cheap first stage would bring, and what it would cost.

A student of one layer labels every post; where it is sure of intent and sentiment, and that the post is not urgent, its word
stands, and the shipped model labels the rest. On the dev posts, in CPU time of one thread, both models in turn.
"""

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.engine import SHIPPED, Engine
from models.evaluation.metrics import macro_f1
from models.outputs import Scores
from models.training.data import Example, data_folder, load_parts
from schemas.labels import INTENTS, SENTIMENTS

SMALL = next(iter(sorted((Path(__file__).parents[1] / "models").glob("tiny-*"))))
CONFIDENCES = (0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
URGENT_BELOW = 0.05
TURNS = 3


@dataclass
class Stage:
    """A model, what it says of each post, and its milliseconds of CPU a post."""

    engine: Engine
    scores: list[Scores]
    cpu_ms: float

    def head(self, name: str) -> NDArray[np.float64]:
        return np.array([getattr(scores, name) for scores in self.scores])


def staged(folders: tuple[Path, Path], texts: list[str]) -> tuple[Stage, Stage]:
    """Both models over the texts, turn by turn; the median of the turns."""
    engines = [Engine.load(folder, threads=1, remembered=0) for folder in folders]
    scores: dict[int, list[Scores]] = {}
    taken: dict[int, list[float]] = {}
    for _ in range(TURNS):
        for at, engine in enumerate(engines):
            started = time.process_time()
            scores[at] = engine.score(texts)
            taken.setdefault(at, []).append((time.process_time() - started) / len(texts) * 1e3)
    first, second = (Stage(engine, scores[at], statistics.median(taken[at])) for at, engine in enumerate(engines))
    return first, second


def tell(posts: list[Example], small: Stage, full: Stage, confidence: float) -> None:
    intents, sentiments = small.head("intents"), small.head("sentiments")
    sure = (intents.max(1) >= confidence) & (sentiments.max(1) >= confidence) & (small.head("urgent") < URGENT_BELOW)
    lost = []
    for name, labels in (("intent", INTENTS), ("sentiment", SENTIMENTS)):
        true = np.array([getattr(post, name) for post in posts])
        alone = full.head(f"{name}s").argmax(1)
        both = np.where(sure, small.head(f"{name}s").argmax(1), alone)
        lost.append(macro_f1(true, both, len(labels)) - macro_f1(true, alone, len(labels)))
    ratio = full.cpu_ms / (small.cpu_ms + (1 - sure.mean()) * full.cpu_ms)
    print(
        f"sure from {confidence:.2f}: answers {sure.mean():.0%}, posts/s x{ratio:.2f}, "
        f"macro-F1 of intent {lost[0] * 100:+.1f}, of sentiment {lost[1] * 100:+.1f} points"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=Path, default=SMALL)
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    posts = load_parts(data_folder()).dev
    small, full = staged((arguments.small, arguments.weights), [post.text for post in posts])
    print(
        f"{len(posts)} dev posts; {small.engine.version} {small.cpu_ms:.2f} ms, {full.engine.version} {full.cpu_ms:.2f} ms"
    )
    for confidence in CONFIDENCES:
        tell(posts, small, full, confidence)


if __name__ == "__main__":
    main()

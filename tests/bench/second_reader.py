"""``python -m tests.bench.second_reader``: how far a second careful reader agrees with the labels of the test posts.

Every test post was labelled once more by AI annotators who saw its text and the guide, and neither the first labels nor a
model's (``models/data/test_second_labels.csv``; nothing is trained or chosen on it). Their labels are measured against
the first ones as a model's are, beside the model that ships: what readers of one guide don't agree on, no model can get right.
"""

import argparse
import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.engine import SHIPPED, Engine
from models.evaluation.bootstrap import bootstrap, figure
from models.evaluation.metrics import Flags, Floats, Labels, confusions, kappas, macro_f1s, precisions, recalls
from models.training.data import ADDED, URGENT_FROM, Example, data_folder, load_parts, text_digest
from schemas.labels import INTENTS, SENTIMENTS, URGENCIES, Intent, Sentiment

SECOND = ADDED / "test_second_labels.csv"
COMPLAINT = INTENTS.index(Intent.COMPLAINT)


@dataclass(frozen=True)
class Reading:
    """Labels of the posts, as indices, and which are urgent complaints."""

    intents: Labels
    sentiments: Labels
    urgencies: Labels
    urgent: Flags


def first(posts: list[Example]) -> Reading:
    intents, sentiments, urgencies, urgent = (
        np.array([getattr(post, name) for post in posts], dtype=np.int64)
        for name in ("intent", "sentiment", "urgency", "urgent")
    )
    return Reading(intents, sentiments, urgencies, urgent.astype(bool))


def second(posts: list[Example]) -> Reading:
    """Raises KeyError and ValueError where the file is of other posts."""
    with SECOND.open(encoding="ascii", newline="") as lines:
        labels = {label["id"]: label for label in csv.DictReader(lines)}
    rows = [labels[post.id] for post in posts]
    if any(row["digest"] != text_digest(post.text) for row, post in zip(rows, posts, strict=True)):
        raise ValueError(f"{SECOND} is of other posts than those in {data_folder()}")
    intents = np.array([INTENTS.index(Intent(row["intent"])) for row in rows])
    urgencies = np.array([int(row["urgency"]) for row in rows])
    sentiments = np.array([SENTIMENTS.index(Sentiment(row["sentiment"])) for row in rows])
    return Reading(intents, sentiments, urgencies, (intents == COMPLAINT) & (urgencies >= URGENT_FROM))


def said(engine: Engine, posts: list[Example]) -> Reading:
    scores = engine.score([post.text for post in posts])
    return Reading(
        np.array([np.argmax(one.intents) for one in scores]),
        np.array([np.argmax(one.sentiments) for one in scores]),
        np.array([np.argmax(one.urgencies) for one in scores]),
        np.array([one.urgent >= engine.urgent_threshold for one in scores]),
    )


def measures(true: Reading, given: Reading) -> Callable[[Floats], dict[str, Floats]]:
    def of(weights: Floats) -> dict[str, Floats]:
        alarms = confusions(true.urgent.astype(np.int64), given.urgent.astype(np.int64), 2, weights)
        return {
            "intent macro-F1": macro_f1s(confusions(true.intents, given.intents, len(INTENTS), weights)),
            "sentiment macro-F1": macro_f1s(confusions(true.sentiments, given.sentiments, len(SENTIMENTS), weights)),
            "urgency κ": kappas(confusions(true.urgencies, given.urgencies, len(URGENCIES), weights)),
            "urgent recall": recalls(alarms)[:, 1],
            "urgent precision": precisions(alarms)[:, 1],
        }

    return of


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    engine, posts = Engine.load(parser.parse_args().weights), load_parts(data_folder()).test
    given, again, model = first(posts), second(posts), said(engine, posts)
    readings = {
        "a second reader, against the first": (given, again),
        f"{engine.version}, against the first": (given, model),
        f"{engine.version}, against the second": (again, model),
    }
    print(
        f"{len(posts):,} test posts; urgent: {given.urgent.sum()} by the first reader, {again.urgent.sum()} by the second\n"
    )
    names = list(measures(given, again)(np.ones((1, len(posts)))))
    print(f"| | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for name, (true, other) in readings.items():
        found = map(figure, bootstrap(len(posts), measures(true, other)).values())
        cells = ["" if one is None else f"{one.value:.3f} ({one.low:.3f}–{one.high:.3f})" for one in found]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

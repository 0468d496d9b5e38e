"""``python -m tests.bench.second_reader``: how far careful readers agree on the labels of test and dev posts.

AI annotators who saw a post's text and the guide, and neither the first labels nor a model's, labelled every test post once
more, and those where they differ from the first a third time; every dev post was labelled twice more
(``models/data/test_*_labels.csv``, ``dev_*_labels.csv``; nothing is trained on them, and no threshold is chosen by them). Their
labels are measured against the first ones as a model's are, beside the model that ships: what readers of one guide don't agree
on, no model can get right.
"Settled" is what two of three say.
"""

import argparse
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from models.engine import SHIPPED, Engine
from models.evaluation.bootstrap import bootstrap, figure
from models.training.data import DEV_READINGS, TEST_READINGS, Example, data_folder, load_parts, settled, with_labels_of
from tests.bench.readings import Reading, agreement

Row = tuple[str, Reading, Reading]
"""Who is measured against whom, the truth, and the labels that are measured."""


def rows(engine: Engine, posts: list[Example], readings: tuple[Path, Path]) -> Iterable[Row]:
    """Of one part of the posts; a third reader who read few of them is in `settled` alone."""
    first, model = Reading.of(posts), Reading.by(engine, [post.text for post in posts])
    second, third = (with_labels_of(path, posts) for path in readings)
    yield "a second reader, against the first", first, Reading.of(second)
    if readings == DEV_READINGS:
        yield "a third, against the first", first, Reading.of(third)
        yield "the third, against the second", Reading.of(second), Reading.of(third)
    yield f"{engine.version}, against the first", first, model
    yield f"{engine.version}, against the second", Reading.of(second), model
    yield f"{engine.version}, against the settled labels", Reading.of(settled(posts, readings)), model


def main() -> None:
    """Print a table for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    engine, parts = Engine.load(parser.parse_args().weights), load_parts(data_folder())
    for name, posts, readings in (("test", parts.test, TEST_READINGS), ("dev", parts.dev, DEV_READINGS)):
        counts = {
            "by the first reader": posts,
            "by the second": with_labels_of(readings[0], posts),
            "settled": settled(posts, readings),
        }
        urgent = ", ".join(f"{sum(post.urgent for post in told)} {who}" for who, told in counts.items())
        print(f"{len(posts):,} {name} posts; urgent: {urgent}\n")
        for place, (who, true, given) in enumerate(rows(engine, posts, readings)):
            found = {
                key: figure(series) for key, series in bootstrap(len(posts), partial(agreement, true, given)).items()
            }
            if not place:
                print(f"| | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
            cells = ["" if one is None else f"{one.value:.3f} ({one.low:.3f}–{one.high:.3f})" for one in found.values()]
            print(f"| {who} | {' | '.join(cells)} |", flush=True)
        print()


if __name__ == "__main__":
    main()

"""``python -m tests.bench.second_reader``: how far careful readers agree on the labels of test and dev posts.

AI annotators who saw a post's text and the guide, and neither the first labels nor a model's, labelled every test post once
more, and those where they differ from the first a third time; every dev post was labelled twice more
(``models/data/test_*_labels.csv``, ``dev_*_labels.csv``; nothing is trained on them, and no threshold is chosen by them). Their
labels are measured against the first ones as a model's are, beside the model that ships: what readers of one guide don't agree
on, no model can get right.
"Settled" is what two of three say.
"""

import argparse
from functools import partial
from pathlib import Path

from models.engine import SHIPPED, Engine
from models.evaluation.bootstrap import bootstrap, figure
from models.training.data import DEV_READINGS, TEST_READINGS, Example, data_folder, load_parts, settled, with_labels_of
from tests.bench.readings import Reading, agreement


def tell(engine: Engine, part: str, posts: list[Example], readings: tuple[Path, Path]) -> None:
    """Print the table of one part."""
    model = Reading.by(engine, [post.text for post in posts])
    second, third = (Reading.of(with_labels_of(path, posts)) for path in readings)
    first, agreed = Reading.of(posts), Reading.of(settled(posts, readings))
    counts = (
        f"{first.urgent.sum()} by the first reader, {second.urgent.sum()} by the second, {agreed.urgent.sum()} settled"
    )
    print(f"{len(posts):,} {part} posts; urgent: {counts}\n")
    rows = [("a second reader, against the first", first, second)]
    if readings == DEV_READINGS:  # of the test posts a third reader read few
        rows += [("a third, against the first", first, third), ("the third, against the second", second, third)]
    truths = {"first": first, "second": second, "settled labels": agreed}
    rows += [(f"{engine.version}, against the {name}", true, model) for name, true in truths.items()]
    for place, (who, true, given) in enumerate(rows):
        found = {key: figure(series) for key, series in bootstrap(len(posts), partial(agreement, true, given)).items()}
        if not place:
            print(f"| | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
        cells = ["" if one is None else f"{one.value:.3f} ({one.low:.3f}–{one.high:.3f})" for one in found.values()]
        print(f"| {who} | {' | '.join(cells)} |", flush=True)
    print()


def main() -> None:
    """Print a table for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    engine, parts = Engine.load(parser.parse_args().weights), load_parts(data_folder())
    tell(engine, "test", parts.test, TEST_READINGS)
    tell(engine, "dev", parts.dev, DEV_READINGS)


if __name__ == "__main__":
    main()

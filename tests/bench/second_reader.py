"""``python -m tests.bench.second_reader``: how far a second careful reader agrees with the labels of the test posts.

Every test post was labelled once more by AI annotators who saw its text and the guide, and neither the first labels nor a
model's (``models/data/test_second_labels.csv``; nothing is trained or chosen on it). Their labels are measured against
the first ones as a model's are, beside the model that ships: what readers of one guide don't agree on, no model can get right.
"""

import argparse
from functools import partial
from pathlib import Path

from models.engine import SHIPPED, Engine
from models.evaluation.bootstrap import bootstrap, figure
from models.training.data import TEST_SECOND_LABELS, data_folder, load_parts, with_labels_of
from tests.bench.readings import Reading, agreement


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    engine, posts = Engine.load(parser.parse_args().weights), load_parts(data_folder()).test
    first, second = Reading.of(posts), Reading.of(with_labels_of(TEST_SECOND_LABELS, posts))
    model = Reading.by(engine, [post.text for post in posts])
    counts = f"urgent: {first.urgent.sum()} by the first reader, {second.urgent.sum()} by the second"
    print(f"{len(posts):,} test posts; {counts}\n")
    for place, (name, true, given) in enumerate(
        (
            ("a second reader, against the first", first, second),
            (f"{engine.version}, against the first", first, model),
            (f"{engine.version}, against the second", second, model),
        )
    ):
        found = {key: figure(series) for key, series in bootstrap(len(posts), partial(agreement, true, given)).items()}
        if not place:
            print(f"| | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
        cells = ["" if one is None else f"{one.value:.3f} ({one.low:.3f}–{one.high:.3f})" for one in found.values()]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

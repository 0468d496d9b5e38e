"""Labelled posts as the training sees them, read from `$PLAINT_DATA` (default `../shared/data`)."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.labels import INTENTS, SENTIMENTS, Intent, Sentiment

REAL_FILES = ("labelled.jsonl", "labelled_more.jsonl")
WRITTEN_FILES = ("written.jsonl", "written_plain.jsonl")
WRITTEN = "written"
"""Source of the posts that were written for training; these never serve as test or dev posts."""

URGENT_FROM = 3
"""A complaint of this urgency or above is urgent."""

SPLIT = Path(__file__).parent.parent / "data" / "split"


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled post; labels as indices into the orders of `schemas.labels`."""

    id: str
    source: str
    text: str
    intent: int
    sentiment: int
    urgency: int
    sure: bool

    @property
    def urgent(self) -> bool:
        return INTENTS[self.intent] is Intent.COMPLAINT and self.urgency >= URGENT_FROM


@dataclass(frozen=True, slots=True)
class Parts:
    """The committed split, applied: `test` is split by whether the source was held out of training as a whole."""

    train: list[Example]
    dev: list[Example]
    test_seen: list[Example]
    test_unseen: list[Example]

    @property
    def test(self) -> list[Example]:
        return self.test_seen + self.test_unseen


def data_folder() -> Path:
    return Path(os.environ.get("PLAINT_DATA", "../shared/data"))


def read_examples(folder: Path, files: Iterable[str]) -> list[Example]:
    return [example for name in files for example in _read_file(folder / name)]


def _read_file(path: Path) -> Iterator[Example]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield Example(
                id=row["id"],
                source=row.get("source", WRITTEN),
                text=row["text"],
                intent=INTENTS.index(Intent(row["intent"])),
                sentiment=SENTIMENTS.index(Sentiment(row["sentiment"])),
                urgency=row["urgency"],
                sure=row["sure"],
            )


def file_hashes(folder: Path) -> dict[str, str]:
    """sha256 of each file that training reads, for the manifest."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in REAL_FILES + WRITTEN_FILES}


def read_ids(name: str) -> set[str]:
    return set((SPLIT / f"{name}.txt").read_text(encoding="ascii").split())


def load_parts(folder: Path) -> Parts:
    """Every labelled English post in its part of the committed split; posts that the split excludes are in none."""
    unseen, seen, dev, excluded = (read_ids(name) for name in ("test_unseen", "test_seen", "dev", "excluded"))
    examples = read_examples(folder, REAL_FILES + WRITTEN_FILES)
    held_back = unseen | seen | dev | excluded
    return Parts(
        train=[example for example in examples if example.id not in held_back],
        dev=[example for example in examples if example.id in dev],
        test_seen=[example for example in examples if example.id in seen],
        test_unseen=[example for example in examples if example.id in unseen],
    )

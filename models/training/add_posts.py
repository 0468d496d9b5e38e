"""Adds labelled posts to what is trained on: `python -m models.training.add_posts FILE...`; may be run again.

Each line of a file is an object with `text`, `intent`, `sentiment`, `urgency`, `sure`, and either `source` and `row` (a post
of a public set in `$PLAINT_DATA`: its labels go to `models/data/labels/SOURCE.csv`, without the text) or neither (a post
that was written: it goes to `models/data/written/FILE.jsonl` whole). What nearly repeats a test or dev post is left out.
"""

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from models.training.data import (
    ADDED,
    HELD_OUT_SOURCES,
    REAL_FILES,
    WRITTEN_FILES,
    data_folder,
    public_texts,
    read_examples,
    read_ids,
    text_digest,
)
from models.training.split import near_duplicate_groups
from schemas.labels import Intent, Sentiment

COLUMNS = ("row", "digest", "intent", "sentiment", "urgency", "sure")
Row = dict[str, Any]


def tested_texts(folder: Path) -> list[str]:
    """Of the posts that nothing in training may repeat."""
    ids = set().union(*(read_ids(part) for part in ("test_unseen", "test_seen", "dev", "excluded")))
    return [example.text for example in read_examples(folder, REAL_FILES + WRITTEN_FILES) if example.id in ids]


def without_repeats(rows: Sequence[Row], tested: Sequence[str]) -> list[Row]:
    """The rows that belong to no group of near-duplicates with a tested post in it."""
    groups = near_duplicate_groups([*tested, *(row["text"] for row in rows)])
    taken = set(groups[: len(tested)])
    return [row for row, group in zip(rows, groups[len(tested) :], strict=True) if group not in taken]


def checked(row: Row) -> Row:
    """Raises ValueError for labels that don't exist and for a source that is held out of training."""
    if row.get("source") in HELD_OUT_SOURCES:
        raise ValueError(f"{row['source']} is held out of training as a whole")
    if row["urgency"] not in range(5):
        raise ValueError(f"urgency {row['urgency']} is none of 0 to 4")
    return {**row, "intent": Intent(row["intent"]).value, "sentiment": Sentiment(row["sentiment"]).value}


def add_labels(source: str, rows: Iterable[Row], folder: Path) -> None:
    path = ADDED / "labels" / f"{source}.csv"
    texts = public_texts(folder, source)
    known: dict[int, dict[str, Any]] = {}
    if path.exists():
        with path.open(encoding="ascii", newline="") as lines:
            known = {int(label["row"]): label for label in csv.DictReader(lines)}
    for row in rows:
        text = texts[row["row"]]
        if text != row["text"]:
            raise ValueError(f"row {row['row']} of {source} reads {text!r}, not {row['text']!r}")
        known[row["row"]] = {**row, "digest": text_digest(text), "sure": int(row["sure"])}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="ascii", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(known[row] for row in sorted(known))


def add_written(name: str, rows: Iterable[Row]) -> None:
    path = ADDED / "written" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = ("text", "intent", "sentiment", "urgency", "sure")
    lines = [json.dumps({key: row[key] for key in keys}, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    files: list[Path] = parser.parse_args().files
    folder = data_folder()
    rows = [
        {"name": path.name, **checked(json.loads(line))}
        for path in files
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    kept = without_repeats(rows, tested_texts(folder))
    print(f"{len(rows) - len(kept)} of {len(rows)} posts nearly repeat a test or dev post and are left out")
    parts: dict[tuple[bool, str], list[Row]] = defaultdict(list)
    for row in kept:
        real = "source" in row
        parts[real, row["source"] if real else row["name"]].append(row)
    for (real, name), part in parts.items():
        if real:
            add_labels(name, part, folder)
        else:
            add_written(name, part)
        print(f"{name}: {len(part)}")


if __name__ == "__main__":
    main()

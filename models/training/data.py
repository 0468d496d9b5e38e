"""Labelled posts as the training sees them: those of `$PLAINT_DATA` (default `../shared/data`), and what this repository
adds to them.

- `models/data/labels/SOURCE.csv`: labels of further posts of the public sets, by row; their texts stay in `$PLAINT_DATA`.
- `models/data/written/*.jsonl`: posts that were written for plaint, with invented firms.
- `models/data/second_labels.csv`: training posts whose labels a trained model doubted, or whose annotator wasn't sure: their
  labels after a second, blind reading, settled against the first and the model's view. Training takes them in the place of
  the first; dev and test posts keep theirs.

The first two have a folder `multilingual` of posts in other languages, for a model that reads these too.
"""

import csv
import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from models.evaluation.sources import UNCLEAR
from models.language import Languages
from schemas.faults import Fault, FaultsFound
from schemas.labels import INTENTS, SENTIMENTS, Intent, Sentiment

REAL_FILES = ("labelled.jsonl", "labelled_more.jsonl")
WRITTEN_FILES = ("written.jsonl", "written_plain.jsonl")
MULTILINGUAL_FILE = "written_multilingual.jsonl"
"""Posts in other languages that were written; they are test posts."""
MULTILINGUAL = "multilingual"
ENGLISH = "en"
OTHER_LANGUAGES = ("ar", "de", "es", "fr", "hi", "id", "it", "ja", "nl", "pl", "pt", "tr")
"""What a multilingual model is trained and measured in besides English."""
WRITTEN, WRITTEN_HERE = "written", "written_here"
"""Sources of the posts that were written for training, in `$PLAINT_DATA` and in this repository; those in English never serve
as test or dev posts."""
WRITTEN_TEST = "written_multilingual"
"""Source of the posts of `MULTILINGUAL_FILE`."""

URGENT_FROM = 3
"""A complaint of this urgency or above is urgent."""

HELD_OUT_SOURCES = ("banking77", "cesamard_aspect", "cf_apple_sentiment", "cf_disaster")
"""Of these no post is trained on."""

ADDED = Path(__file__).parent.parent / "data"
SPLIT = ADDED / "split"
SECOND_LABELS = ADDED / "second_labels.csv"
DEV_READINGS = ADDED / "dev_second_labels.csv", ADDED / "dev_third_labels.csv"
"""Of every dev post, by two readers who saw neither each other's labels nor the first; thresholds are chosen by the first."""
TEST_SECOND_LABELS, TEST_THIRD_LABELS = ADDED / "test_second_labels.csv", ADDED / "test_third_labels.csv"
"""Of every test post, and of those where first and second labels differ (and some others, so that no reader could tell);
nothing is trained or chosen on them."""
TEST_READINGS = TEST_SECOND_LABELS, TEST_THIRD_LABELS
CHECK_SHARE = 10
"""One in so many of the written posts of this repository is never trained on: what training on corrections is checked by."""
LABELLED_CHARS = 600
"""Of a longer public post its annotator saw the beginning alone, and so does the training."""


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
    language: str = ENGLISH

    @property
    def origin(self) -> str:
        """`written` for training, or `labelled`: a real post."""
        return "written" if self.source in (WRITTEN, WRITTEN_HERE, WRITTEN_TEST) else "labelled"

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
    check: list[Example] = field(default_factory=list)
    """Written posts of this repository, for checking whoever trains on without `$PLAINT_DATA`."""

    @property
    def test(self) -> list[Example]:
        return self.test_seen + self.test_unseen


def data_folder() -> Path:
    return Path(os.environ.get("PLAINT_DATA", "../shared/data"))


def read_examples(folder: Path, files: Iterable[str]) -> list[Example]:
    return [example for name in files for example in _read_file(folder / name, WRITTEN)]


def read_added(folder: Path) -> list[Example]:
    """The posts in English that this repository adds to training; `folder` has the public sets.

    Raises:
        FaultsFound: a public set is not the one whose rows were labelled.
    """
    return read_labels(folder) + read_written()[0]


def read_labels(folder: Path, where: str = ".") -> list[Example]:
    """Posts of the public sets that are labelled here; with `MULTILINGUAL` those in other languages. Raises FaultsFound."""
    return [
        example for path in sorted((ADDED / "labels" / where).glob("*.csv")) for example in _read_labels(path, folder)
    ]


def read_written(where: str = ".") -> tuple[list[Example], list[Example]]:
    """The written posts of this repository: those that are trained on, and the tenth that never is; with `MULTILINGUAL`
    those in other languages."""
    paths = sorted((ADDED / "written" / where).glob("*.jsonl"))
    examples = [example for path in paths for example in _read_file(path, WRITTEN_HERE)]
    checked = [int(text_digest(example.text), 16) % CHECK_SHARE == 0 for example in examples]
    return (
        [example for example, check in zip(examples, checked, strict=True) if not check],
        [example for example, check in zip(examples, checked, strict=True) if check],
    )


def with_labels_of(path: Path, examples: Sequence[Example]) -> list[Example]:
    """The same posts, with the labels of a file such as SECOND_LABELS where it has some.

    Raises FaultsFound where one is not the post that was labelled.
    """
    with path.open(encoding="ascii", newline="") as lines:
        again = {label["id"]: label for label in csv.DictReader(lines)}
    found = []
    for example in examples:
        label = again.get(example.id)
        if label is not None and text_digest(example.text) != label["digest"]:
            what = f"{example.id} is not the post that was labelled"
            raise FaultsFound([Fault(str(path), what, "let PLAINT_DATA name the sets that the labels are of")])
        found.append(example if label is None else _example(label, example.id, example.source, example.text))
    return found


def settled(examples: Sequence[Example], readings: tuple[Path, Path]) -> list[Example]:
    """The same posts with the labels that two of three readers gave: the first's, and those of two files.

    Of three intents or sentiments the first's stands, of three urgencies the middle one. `sure` stays the first's.
    Raises FaultsFound as `with_labels_of` does.
    """
    second, third = (with_labels_of(path, examples) for path in readings)
    return [
        replace(
            one,
            intent=_agreed(one.intent, two.intent, three.intent),
            sentiment=_agreed(one.sentiment, two.sentiment, three.sentiment),
            urgency=sorted((one.urgency, two.urgency, three.urgency))[1],
        )
        for one, two, three in zip(examples, second, third, strict=True)
    ]


def _agreed(first: int, second: int, third: int) -> int:
    return second if second == third else first


def public_texts(folder: Path, source: str) -> list[str]:
    """The texts of a public set by row, as annotators saw them."""
    csv.field_size_limit(10**7)
    with gzip.open(folder / "public" / source / "data.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        return [_shown(row["text"] or "") for row in csv.DictReader(lines)]


def text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LABELLED_CHARS else text[:LABELLED_CHARS] + "…"


def _read_labels(path: Path, folder: Path) -> Iterator[Example]:
    source, texts = path.stem, public_texts(folder, path.stem)
    with path.open(encoding="ascii", newline="") as lines:
        for label in csv.DictReader(lines):
            row = int(label["row"])
            if row >= len(texts) or text_digest(texts[row]) != label["digest"]:
                what = f"row {row} of {source} in {folder} is not the post that was labelled"
                raise FaultsFound([Fault(str(path), what, "let PLAINT_DATA name the sets that the labels are of")])
            yield _example(label, f"{source}:{row}", source, texts[row])


def _read_file(path: Path, written: str) -> Iterator[Example]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            row = json.loads(line)
            yield _example(row, row.get("id", f"{path.stem}:{number}"), row.get("source", written), row["text"])


def _example(labels: Mapping[str, Any], id_: str, source: str, text: str) -> Example:
    return Example(
        id=id_,
        source=source,
        text=text,
        intent=INTENTS.index(Intent(labels["intent"])),
        sentiment=SENTIMENTS.index(Sentiment(labels["sentiment"])),
        urgency=int(labels["urgency"]),
        sure=labels["sure"] in (True, "1"),
        language=labels.get("language") or labels.get("lang") or ENGLISH,
    )


def file_hashes(folder: Path, clear: bool = False, multilingual: bool = False) -> dict[str, str]:
    """sha256 of each file that training reads, for the manifest; with `clear` and `multilingual` as in `load_parts`."""
    places = (".", MULTILINGUAL) if multilingual else (".",)
    labels = [path for path in (ADDED / "labels").glob("*.csv") if not (clear and path.stem in UNCLEAR)]
    # Of these some are dev and test posts whatever is trained on.
    labels += (ADDED / "labels" / MULTILINGUAL).glob("*.csv") if multilingual else []
    names = REAL_FILES + WRITTEN_FILES + ((MULTILINGUAL_FILE,) if multilingual else ())
    paths = [folder / name for name in names]
    paths += [folder / "public" / source / "data.csv.gz" for source in sorted({path.stem for path in labels})]
    hashes = {str(path.relative_to(folder)): _hash(path) for path in paths}
    written = [path for place in places for path in (ADDED / "written" / place).glob("*.jsonl")]
    added = sorted([*labels, *written, SECOND_LABELS])
    return hashes | {str(path.relative_to(ADDED.parent.parent)): _hash(path) for path in added}


def split_hashes() -> list[str]:
    """sha256 of the files that say which posts are never trained on, in the order of their names."""
    return [_hash(path) for path in sorted(SPLIT.glob("*.txt"))]


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_dev(folder: Path) -> list[Example]:
    """The dev posts alone; none where the files that have them are not there."""
    if not all((folder / name).is_file() for name in REAL_FILES):
        return []
    ids = read_ids("dev")
    return [example for example in read_examples(folder, REAL_FILES) if example.id in ids]


def read_ids(name: str) -> set[str]:
    return set((SPLIT / f"{name}.txt").read_text(encoding="ascii").split())


def load_parts(folder: Path, clear: bool = False, multilingual: bool = False) -> Parts:
    """Every labelled post in its part of the committed split; posts that the split excludes are in none.

    With `clear` the training part leaves out the sources whose terms are unclear. Only with `multilingual` are there posts
    in other languages than English; in the test part of these are written ones besides, since of some languages there are
    no others.
    """
    unseen, seen, dev, excluded = (read_ids(name) for name in ("test_unseen", "test_seen", "dev", "excluded"))
    examples = read_examples(folder, REAL_FILES + WRITTEN_FILES)
    held_back = unseen | seen | dev | excluded
    train = [example for example in examples if example.id not in held_back] + read_added(folder)
    parts = Parts(
        train=[
            example for example in with_labels_of(SECOND_LABELS, train) if not (clear and example.source in UNCLEAR)
        ],
        dev=[example for example in examples if example.id in dev],
        test_seen=[example for example in examples if example.id in seen],
        test_unseen=[example for example in examples if example.id in unseen],
        check=read_written()[1],
    )
    return _with_other_languages(parts, folder, clear) if multilingual else parts


def spoken(examples: Sequence[Example]) -> list[Example]:
    """The same, where what is plainly in another language than English has that one, or `und`: sets that were collected as
    English hold some."""
    english = Languages([ENGLISH])
    found = []
    for example in examples:
        told = english.of(example.text) if example.language == ENGLISH else None
        found.append(example if told is None or told.measured else replace(example, language=told.code))
    return found


def _with_other_languages(english: Parts, folder: Path, clear: bool) -> Parts:
    others = _load_multilingual(folder)
    train = [example for example in others.train if not (clear and example.source in UNCLEAR)]
    return Parts(
        train=spoken(english.train) + train,
        dev=spoken(english.dev) + others.dev,
        test_seen=spoken(english.test_seen) + others.test_seen,
        test_unseen=spoken(english.test_unseen) + others.test_unseen,
        check=english.check,
    )


def _load_multilingual(folder: Path) -> Parts:
    """The posts in other languages alone. The written tenth that is never trained on is in dev: there are few others."""
    real, (written, checked) = read_labels(folder, MULTILINGUAL), read_written(MULTILINGUAL)
    test, dev, excluded = (read_ids(f"multilingual_{part}") for part in ("test", "dev", "excluded"))
    return Parts(
        train=[example for example in real if example.id not in test | dev | excluded] + written,
        dev=[example for example in real if example.id in dev] + checked,
        test_seen=[example for example in real if example.id in test],
        test_unseen=[replace(one, source=WRITTEN_TEST) for one in read_examples(folder, [MULTILINGUAL_FILE])],
    )

"""Makes the splits of the labelled posts once: `python -m models.training.split`. Their result is committed and stays.

The committed ones were drawn by the least hash of all posts of a group, so that large groups came first too often: 198 of 600
posts of MultiDoGO, many of them near-duplicates, are test posts, where 90 should be. So whoever measures counts each group once
besides (`models.evaluation.record`).

Test and dev hold real posts only. Whole sources are held out of training (`test_unseen`), of the others a slice is
(`test_seen`), drawn within each source and label. Posts that nearly repeat each other form a group, and a group stands in
one part: what repeats a test or dev post elsewhere is excluded from training.

The real posts in other languages are split beside them, a half of each language for the test: they are few, and what a model
makes of a language has to be known. What repeats any other post is left out: some that are labelled as English aren't. Of
languages that no public set has, written posts are tested on that nothing is trained on (`MULTILINGUAL_FILE`).
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping

import numpy
from sklearn.feature_extraction.text import TfidfVectorizer

from models.text import normalise
from models.training.data import (
    HELD_OUT_SOURCES,
    MULTILINGUAL,
    MULTILINGUAL_FILE,
    REAL_FILES,
    SPLIT,
    WRITTEN,
    WRITTEN_FILES,
    Example,
    data_folder,
    read_added,
    read_examples,
    read_labels,
    read_written,
)

TEST_SHARE = 0.15
DEV_SHARE = 0.12
MULTILINGUAL_TEST_SHARE = 0.5
MULTILINGUAL_DEV_SHARE = 0.1
SEED = "plaint-split-1"
SAME_POST_COSINE = 0.75
"""Of character 3- to 5-grams by TF-IDF. In pairs read by eye, those above it say the same in the same words; below it
mostly MultiDoGO's paraphrases of one task are left, so that its slice of the test is easier than the rest."""


def near_duplicate_groups(texts: list[str]) -> list[int]:
    """A group number for each text, equal for texts that nearly repeat each other (transitively)."""
    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=2, sublinear_tf=True, dtype=numpy.float32)
    matrix = grams.fit_transform([normalise(text).lower() for text in texts]).tocsr()
    parent = list(range(len(texts)))

    def root(member: int) -> int:
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member

    for start in range(0, len(texts), 500):
        similar = (matrix[start : start + 500] @ matrix.T).tocoo()
        for row, column, cosine in zip(similar.row, similar.col, similar.data, strict=True):
            if cosine >= SAME_POST_COSINE and start + row < column:
                parent[root(int(column))] = root(start + int(row))
    return [root(member) for member in range(len(texts))]


def assign(examples: list[Example], groups: list[int]) -> dict[str, list[str]]:
    """The ids of each part but training; see the module for the rules."""
    members = _by_group(examples, groups)
    parts: dict[str, list[str]] = {"test_unseen": [], "test_seen": [], "dev": [], "excluded": []}
    strata: dict[tuple[str, int, bool], list[list[Example]]] = defaultdict(list)
    for group_members in members.values():
        if any(example.source in HELD_OUT_SOURCES for example in group_members):
            _place(parts, "test_unseen", group_members, HELD_OUT_SOURCES)
        else:
            real = [example for example in group_members if example.source != WRITTEN]
            if real:
                strata[real[0].source, real[0].intent, real[0].urgent].append(group_members)
    for stratum in strata.values():
        stratum.sort(key=_rank)
        tests, devs = round(len(stratum) * TEST_SHARE), round(len(stratum) * (TEST_SHARE + DEV_SHARE))
        for index, group_members in enumerate(stratum[:devs]):
            _place(parts, "test_seen" if index < tests else "dev", group_members, None)
    return parts


def _by_group(examples: list[Example], groups: list[int]) -> dict[int, list[Example]]:
    members: dict[int, list[Example]] = defaultdict(list)
    for example, group in zip(examples, groups, strict=True):
        members[group].append(example)
    return members


def _place(parts: dict[str, list[str]], part: str, members: list[Example], sources: tuple[str, ...] | None) -> None:
    for example in members:
        fits = example.source in sources if sources else example.source != WRITTEN
        parts[part if fits else "excluded"].append(example.id)


def _rank(members: list[Example]) -> str:
    """Of a group, by one of its posts: that of a large group comes first no more often than that of a small one."""
    return hashlib.sha256(f"{SEED} {min(example.id for example in members)}".encode()).hexdigest()


def assign_multilingual(examples: list[Example], groups: list[int], elsewhere: set[int]) -> dict[str, list[str]]:
    """The ids of the test and dev posts in other languages, and of those in a group that has posts elsewhere; near-duplicates
    stand in one part."""
    members = _by_group(examples, groups)
    excluded = [example.id for group in sorted(elsewhere & members.keys()) for example in members.pop(group)]
    strata: dict[tuple[str, int], list[list[Example]]] = defaultdict(list)
    for group_members in members.values():
        strata[group_members[0].language, group_members[0].intent].append(group_members)
    parts: dict[str, list[str]] = {"multilingual_test": [], "multilingual_dev": [], "multilingual_excluded": excluded}
    for stratum in strata.values():
        stratum.sort(key=_rank)
        tests = round(len(stratum) * MULTILINGUAL_TEST_SHARE)
        devs = round(len(stratum) * (MULTILINGUAL_TEST_SHARE + MULTILINGUAL_DEV_SHARE))
        parts["multilingual_test"] += [example.id for group in stratum[:tests] for example in group]
        parts["multilingual_dev"] += [example.id for group in stratum[tests:devs] for example in group]
    return parts


def main() -> None:
    made = [_make_english(), _make_multilingual()]
    if not any(made):
        raise SystemExit(f"{SPLIT} holds the splits already: scores on others could not be compared with them")


def _make_english() -> bool:
    if (SPLIT / "split.json").exists():
        return False
    examples = read_examples(data_folder(), REAL_FILES + WRITTEN_FILES)
    groups = near_duplicate_groups([example.text for example in examples])
    parts = assign(examples, groups)
    shares = {"held_out_sources": HELD_OUT_SOURCES, "test_share": TEST_SHARE, "dev_share": DEV_SHARE}
    _write("split.json", shares, groups, parts)
    return True


def _make_multilingual() -> bool:
    if (SPLIT / "multilingual.json").exists():
        return False
    examples = read_labels(data_folder(), MULTILINGUAL)
    others = read_examples(data_folder(), [*REAL_FILES, MULTILINGUAL_FILE]) + read_added(data_folder())
    others += [example for part in read_written(MULTILINGUAL) for example in part]
    groups = near_duplicate_groups([example.text for example in examples + others])
    elsewhere = set(groups[len(examples) :])
    groups = groups[: len(examples)]
    shares = {"test_share": MULTILINGUAL_TEST_SHARE, "dev_share": MULTILINGUAL_DEV_SHARE}
    _write("multilingual.json", shares, groups, assign_multilingual(examples, groups, elsewhere))
    return True


def _write(name: str, shares: Mapping[str, object], groups: list[int], parts: dict[str, list[str]]) -> None:
    """The ids of each part, and in the file of this name how they came about; `groups` is of every post."""
    SPLIT.mkdir(parents=True, exist_ok=True)
    for part, ids in parts.items():
        (SPLIT / f"{part}.txt").write_text("".join(f"{id_}\n" for id_ in sorted(ids)), encoding="ascii")
    facts = {
        **shares,
        "seed": SEED,
        "same_post_cosine": SAME_POST_COSINE,
        "posts": len(groups),
        "near_duplicate_groups": len(set(groups)),
        **{part: len(ids) for part, ids in parts.items()},
    }
    (SPLIT / name).write_text(json.dumps(facts, indent=2) + "\n", encoding="ascii")
    print(json.dumps(facts))


if __name__ == "__main__":
    main()

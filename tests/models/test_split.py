"""The committed split: ids alone, in one part each."""

import hashlib
import json
import re

import pytest

from models.training.data import SPLIT, Example, read_ids

PARTS = ("test_unseen", "test_seen", "dev", "excluded")


def test_no_post_is_in_two_parts() -> None:
    ids = [read_ids(part) for part in PARTS]
    assert sum(map(len, ids)) == len(set().union(*ids)) > 2500


def test_parts_are_as_large_as_stated_and_hold_ids_only() -> None:
    stated = json.loads((SPLIT / "split.json").read_text(encoding="ascii"))
    for part in PARTS:
        ids = read_ids(part)
        assert len(ids) == stated[part]
        assert all(re.fullmatch(r"[A-Za-z]\w{0,3}-?\d{4,5}", id_) for id_ in ids)


def test_no_written_post_is_tested_on() -> None:
    assert not [id_ for part in PARTS[:3] for id_ in read_ids(part) if id_[0] in "WR"]


def test_the_committed_split_is_the_one_that_all_scores_are_of() -> None:
    content = b"".join(path.read_bytes() for path in sorted(SPLIT.iterdir()))
    assert hashlib.sha256(content).hexdigest() == "eff94d3da812cea3e772849176f85d47b02379f8f7ffb4eb5de980a0126712dd"


def test_a_group_of_ten_is_drawn_no_more_often_than_one_post() -> None:
    split = pytest.importorskip("models.training.split", reason="NO SPLIT DRAWN: needs the train extra")
    groups = [number for number in range(200) for _ in range(10)] + list(range(200, 1000))
    examples = [Example(f"A{number:05}", "multidogo", "", 1, 1, 1, True) for number in range(len(groups))]
    parts = split.assign(examples, groups)
    in_tens = {part: sum(id_ < "A02000" for id_ in ids) for part, ids in parts.items()}
    assert len(parts["test_seen"]) - in_tens["test_seen"] + in_tens["test_seen"] / 10 == 150
    assert 200 < in_tens["test_seen"] < 400, "300 of 2,000, but for chance"
    assert 140 < in_tens["dev"] < 340, "240 of 2,000"

    foreign = [Example(example.id, "xlmt", "", 1, 1, 1, True, "de") for example in examples]
    parts = split.assign_multilingual(foreign, groups, set())
    assert 850 < sum(id_ < "A02000" for id_ in parts["multilingual_test"]) < 1150, "half of 2,000"

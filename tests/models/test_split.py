"""The committed split: ids alone, in one part each."""

import json
import re

from models.training.data import SPLIT, read_ids

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

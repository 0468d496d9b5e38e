"""Do the policy's words help? Measured on labelled posts, where they are at hand ($PLAINT_DATA, ../shared/data)."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from classify.policy_match import kinds_in
from classify.policy_words import load_policy_words

DATA = Path(os.environ.get("PLAINT_DATA", Path(__file__).parents[3] / "shared" / "data"))
FILES = ("labelled.jsonl", "labelled_more.jsonl", "written.jsonl", "written_plain.jsonl")
HIGH = 3
LEAST_SHARE = {"safety": 0.9, "fraud": 0.9, "lost card": 0.9, "outage": 0.85, "repeated contact": 0.75}
"""Of the complaints and questions with words of a kind, at least this share is of urgency 3 or 4. Without any words it
is 0.27, over all four files."""

pytestmark = pytest.mark.skipif(not (DATA / FILES[0]).exists(), reason="no labelled posts here")


@pytest.fixture(scope="module")
def labelled() -> list[tuple[set[str], int]]:
    """The kinds of words in each labelled complaint and question, and its urgency."""

    def rows() -> Iterator[tuple[set[str], int]]:
        for name in FILES:
            for line in (DATA / name).read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                if row["intent"] in ("complaint", "question"):
                    yield {kind.name for kind, _ in kinds_in(row["text"])}, row["urgency"]

    return list(rows())


@pytest.mark.parametrize("kind", [kind.name for kind in load_policy_words().kinds])
def test_posts_with_words_of_a_kind_are_urgent_far_more_often(labelled: list[tuple[set[str], int]], kind: str) -> None:
    with_words = [urgency >= HIGH for kinds, urgency in labelled if kind in kinds]
    without = [urgency >= HIGH for kinds, urgency in labelled if not kinds]
    assert len(with_words) >= 30
    assert sum(with_words) / len(with_words) >= LEAST_SHARE[kind]
    assert sum(without) / len(without) < 0.35

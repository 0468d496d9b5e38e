"""Revisions for edits and deletes of a source that counts none."""

import pytest

from ingest import revisions
from ingest.revisions import Revisions

DAY = 1_700_000_000_000


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many posts are remembered."""
    monkeypatch.setattr(revisions, "REMEMBERED", 10)
    return 10


def test_states_of_one_time_are_one_more_each() -> None:
    found = Revisions()
    assert [found.later("1", DAY), found.later("1", DAY), found.later("2", DAY)] == [DAY, DAY + 1, DAY]
    assert [found.said("1", DAY), found.said("1", DAY - 5), found.said("1", DAY + 9)] == [DAY + 2, DAY - 5, DAY + 9]


@pytest.mark.parametrize("way", ["later", "said"])
def test_a_file_of_more_edits_and_deletes_than_are_remembered_loses_none(few: int, way: str) -> None:
    def read() -> list[list[int]]:
        give = getattr(Revisions(), way)
        return [[give(str(post), DAY) for post in range(3 * few)] for _ in ("edit", "edit", "delete")]

    first, second, deletes = read()
    assert all(one < two < three for one, two, three in zip(first, second, deletes, strict=True))
    assert read() == [first, second, deletes], "and a second reading gives the same"


def test_a_clock_that_is_set_back_makes_no_later_state_older() -> None:
    found = Revisions()
    assert found.later("1", DAY) < found.later("1", DAY - 60_000)

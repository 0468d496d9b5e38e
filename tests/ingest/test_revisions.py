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
    said = [found.said("1", DAY, 1), found.said("1", DAY - 5, 2), found.said("1", DAY + 9, 3)]
    assert said == [DAY + 2, DAY - 5, DAY + 9]


def test_a_state_that_is_sent_once_more_keeps_its_revision() -> None:
    found = Revisions()
    first = found.said("1", DAY, hash("edit"))
    assert found.said("1", DAY, hash("edit")) == first
    assert found.said("1", DAY, hash("delete")) == first + 1


@pytest.mark.parametrize("way", ["later", "said"])
def test_a_file_of_more_edits_and_deletes_than_are_remembered_loses_none(few: int, way: str) -> None:
    def read() -> list[list[int]]:
        found = Revisions()

        def give(post: int, state: int) -> int:
            return found.later(str(post), DAY) if way == "later" else found.said(str(post), DAY, state)

        return [[give(post, state) for post in range(3 * few)] for state in range(3)]

    first, second, deletes = read()
    assert all(one < two < three for one, two, three in zip(first, second, deletes, strict=True))
    assert read() == [first, second, deletes], "and a second reading gives the same"


def test_what_was_forgotten_later_lowers_no_revision_of_what_was_forgotten_before(few: int) -> None:
    found = Revisions()
    newest = [found.later("1", DAY) for _ in range(3)][-1]
    for post in range(2, 2 * few):
        found.later(str(post), DAY)
    assert found.later("1", DAY) > newest


def test_a_clock_that_is_set_back_makes_no_later_state_older() -> None:
    found = Revisions()
    assert found.later("1", DAY) < found.later("1", DAY - 60_000)

"""Which revisions of which posts a stage remembers."""

from plaint.workers.seen import Seen
from schemas.post import Post


def posts(*revisions: tuple[str, int]) -> list[Post]:
    return [Post(id=id_, text="Hello", revision=revision) for id_, revision in revisions]


def test_the_newest_revision_counts_also_where_an_older_one_is_read_after_it() -> None:
    seen = Seen(10)
    seen.add(posts(("1", 5), ("1", 3)))
    assert seen.newest("1") == 5


def test_the_posts_that_were_dealt_with_last_are_remembered() -> None:
    seen = Seen(2)
    seen.add(posts(("1", 0), ("2", 0)))
    assert [seen.newest(id_) for id_ in ("1", "2")] == [0, 0]
    seen.add(posts(("1", 1), ("3", 0)))
    assert [seen.newest(id_) for id_ in ("1", "2", "3")] == [1, None, 0]

"""Which revisions of which posts a stage has dealt with, so that one that comes again is dropped."""

from collections import OrderedDict
from collections.abc import Iterable

from plaint.workers.stage import Dropped
from schemas.post import Post
from schemas.reasons import DropReason


class Seen:
    """The newest revision of the last ``size`` posts. What is added gets written, or the process ends."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._revisions: OrderedDict[str, int] = OrderedDict()

    def drop(self, post: Post) -> Dropped | None:
        """Why this post needs no work, if it doesn't."""
        return superseded(post, self.newest(post.id))

    def newest(self, id_: str) -> int | None:
        """The highest revision of this post that was dealt with; None if none is remembered."""
        return self._revisions.get(id_)

    def add(self, posts: Iterable[Post]) -> None:
        """Remember these."""
        for post in posts:
            self._revisions[post.id] = max(post.revision, self._revisions.pop(post.id, 0))
        while len(self._revisions) > self._size:
            self._revisions.popitem(last=False)


def superseded(post: Post, known: int | None) -> Dropped | None:
    """Why a post whose revision ``known`` was dealt with needs no work, if it doesn't."""
    if known is None or post.revision > known:
        return None
    return Dropped(DropReason.REPEATED if post.revision == known else DropReason.STALE_REVISION)

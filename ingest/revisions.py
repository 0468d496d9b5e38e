"""Revisions of edits and deletes whose source counts none: times in milliseconds, of which no two of a post are the same.

A source may give all its states one time: the rows of an export that were received together, the lines of a file. Each
state of a post then gets one more than the state before.
"""

from collections import OrderedDict

REMEMBERED = 10_000
"""Posts, and times."""


class Revisions:
    """Those of one source. Read again from its beginning by a new one, it gets the same, if its times are the same."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """By post: the time of its last revision, and what was made of it."""
        self._forgotten: OrderedDict[int, int] = OrderedDict()
        """By time: the highest revision of posts that aren't in ``_last`` any more."""

    def later(self, id_: str, ms: int) -> int:
        """That of a state which comes after all before, whatever its time: the clock may have been set back."""
        _, last = self._before(id_, ms)
        return self._noted(id_, ms, max(ms, last + 1))

    def said(self, id_: str, ms: int) -> int:
        """That of a state whose source gave its time: one of an earlier time is older, one of the same time comes after."""
        before, last = self._before(id_, ms)
        return ms if ms < before else self._noted(id_, ms, max(ms, last + 1))

    def _before(self, id_: str, ms: int) -> tuple[int, int]:
        """Time and revision of the post's state before, or the most that they can have been."""
        return self._last.get(id_) or (ms, self._forgotten.get(ms, 0))

    def _noted(self, id_: str, ms: int, revision: int) -> int:
        self._last[id_] = ms, revision
        self._last.move_to_end(id_)
        if len(self._last) > REMEMBERED:
            _, (at, gone) = self._last.popitem(last=False)
            self._forgotten[at] = max(gone, self._forgotten.pop(at, 0))
            if len(self._forgotten) > REMEMBERED:
                self._forgotten.popitem(last=False)
        return revision

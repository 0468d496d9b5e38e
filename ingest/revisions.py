"""Revisions of edits and deletes whose source counts none: times in milliseconds, of which no two of a post are the same.

A source may give all its states one time: the rows of an export that were received together, the lines of a file. Each
state of a post then gets one more than the state before.
"""

from collections import OrderedDict
from typing import NamedTuple

REMEMBERED = 10_000
"""Posts, and times."""


class _Given(NamedTuple):
    """The last revision of a post: the time that it was made of, and the state that has it, if that was told."""

    at: int
    revision: int
    state: int | None = None


class Revisions:
    """Those of one source. Read again from its beginning by a new one, it gets the same, if its times are the same."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, _Given] = OrderedDict()
        """By post."""
        self._forgotten: OrderedDict[int, int] = OrderedDict()
        """By time: the highest revision of posts that aren't in ``_last`` any more."""

    def later(self, id_: str, ms: int) -> int:
        """That of a state which comes after all before, whatever its time: the clock may have been set back."""
        return self._noted(id_, _Given(ms, max(ms, self._before(id_, ms).revision + 1)))

    def said(self, id_: str, ms: int, state: int) -> int:
        """That of a state whose source gave its time: one of an earlier time is older, one of the same time comes after.

        The same ``state``, a hash of it, of the same time has come again and keeps its revision: who sends may have to repeat.
        """
        before = self._before(id_, ms)
        if (ms, state) == (before.at, before.state):
            return before.revision
        return ms if ms < before.at else self._noted(id_, _Given(ms, max(ms, before.revision + 1), state))

    def _before(self, id_: str, ms: int) -> _Given:
        """That of the post's state before, or the most that it can have been."""
        return self._last.get(id_) or _Given(ms, self._forgotten.get(ms, 0))

    def _noted(self, id_: str, given: _Given) -> int:
        self._last[id_] = given
        self._last.move_to_end(id_)
        if len(self._last) > REMEMBERED:
            _, gone = self._last.popitem(last=False)
            self._forgotten[gone.at] = max(gone.revision, self._forgotten.pop(gone.at, 0))
            if len(self._forgotten) > REMEMBERED:
                self._forgotten.popitem(last=False)
        return given.revision

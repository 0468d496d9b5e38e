"""Revisions of edits and deletes whose source counts none: times in milliseconds, of which no two of a post are the same."""

from collections import OrderedDict

REMEMBERED = 10_000


class Revisions:
    """Knows the last ones that it gave. A source that is read again from its beginning gets the same, if its times are."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """By post: the time of its last revision, and what was made of it."""

    def later(self, id_: str, ms: int) -> int:
        """That of a state which comes after all before, whatever its time: the clock may have been set back."""
        _, last = self._last.get(id_, (0, 0))
        return self._noted(id_, ms, max(ms, last + 1))

    def said(self, id_: str, ms: int) -> int:
        """That of a state whose source gave its time: one of an earlier time is older, one of the same time comes after."""
        before, last = self._last.get(id_, (0, 0))
        return ms if ms < before else self._noted(id_, ms, max(ms, last + 1))

    def _noted(self, id_: str, ms: int, revision: int) -> int:
        self._last[id_] = ms, revision
        self._last.move_to_end(id_)
        if len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        return revision

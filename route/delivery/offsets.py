"""Which offset of a partition may be acknowledged: the first one before which everything is dealt with."""

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Mark:
    """One record that was read; ``done`` once nothing more can come of it that isn't written down."""

    offset: int
    done: bool = False


class Offsets:
    """Records may be dealt with in any order; they are acknowledged in the order in which they were read."""

    def __init__(self, position: int) -> None:
        self.acknowledged = position
        """The offset to commit: that of the next record to read if the process ends now."""
        self._marks: deque[Mark] = deque()

    def read(self, offset: int) -> Mark:
        """Note that the record at ``offset`` was read. Offsets rise."""
        mark = Mark(offset)
        self._marks.append(mark)
        return mark

    def done(self, mark: Mark) -> None:
        """Note that the record is dealt with; doing so twice is harmless."""
        mark.done = True
        while self._marks and self._marks[0].done:
            self.acknowledged = self._marks.popleft().offset + 1

"""What a source is: something that yields posts, and says of each line that is none why."""

from collections.abc import Iterator
from datetime import datetime
from threading import Event
from typing import NamedTuple, Protocol

from schemas.faults import Fault, Unavailable
from schemas.post import Post
from schemas.reasons import DeadReason
from schemas.record import MAX_RECORD_BYTES


class Found(NamedTuple):
    """A post. ``place`` is where a person finds it, ``raw`` the bytes it was read from.

    ``as_of`` is given by a source that can be read again and says the same then: when that was written.
    """

    post: Post
    place: str
    raw: bytes
    as_of: datetime | None = None


class Extent(NamedTuple):
    """Size and sha256 (hex) of bytes that were too many to keep."""

    size: int
    sha256: str


class Refused(NamedTuple):
    """A line that can never be a post. ``whole`` is given where ``raw`` is only its beginning."""

    reason: DeadReason
    place: str
    detail: str
    raw: bytes
    whole: Extent | None = None


Item = Found | Refused


def too_large(size: int) -> str:
    """What is wrong with a record of ``size`` bytes."""
    return f"it is {size} bytes long, a record may have {MAX_RECORD_BYTES}"


def not_utf8(error: UnicodeDecodeError) -> str:
    """What is wrong with bytes that are no text."""
    return f"byte {error.start + 1} of the line is no UTF-8 ({error.reason})"


class SourceFailed(Unavailable):
    """The source can't be read, now or any further: nothing of it is skipped, the process has to end and say so."""


class Source(Protocol):
    """One source of posts. Pace, counting and publishing go around it."""

    name: str

    def faults(self) -> list[Fault]:
        """What keeps it from starting, asked before anything starts; takes nothing out of a stream."""
        ...

    def items(self, stop: Event) -> Iterator[Item]:
        """Posts and refused lines in the source's order, until it ends or soon after ``stop`` is set.

        Called once, in a thread of its own; may block, but notices ``stop`` within a second. Raises SourceFailed.
        """
        ...

"""A post as it is published: what its source left out is stamped on it, and nothing that nobody said is written."""

from collections.abc import Callable
from datetime import datetime

from schemas.post import Post


def milliseconds(moment: datetime) -> int:
    """Since 1970: the revision of a post whose source counts none."""
    return max(1, int(moment.timestamp() * 1000))


def stamped(post: Post, source: str, received_at: datetime, revision: Callable[[datetime], int] = milliseconds) -> Post:
    """With its version, source, time of receipt and, where a later state of a post needs one, a revision.

    What the post says itself stays, but for what a delete carries along: that is to go, and its record must not keep it.
    ``revision`` makes one of the time of receipt, and is asked only where one is needed.
    """
    moment = post.received_at or received_at
    stamps: dict[str, object] = {"v": 1, "source": post.source or source, "received_at": moment}
    if post.event != "create" and not post.revision:
        stamps["revision"] = revision(moment)
    return (post.erased() if post.event == "delete" else post).model_copy(update=stamps)


def record_value(post: Post) -> bytes:
    """The value of its record."""
    return post.model_dump_json(exclude_unset=True, exclude_none=True).encode()

"""What a record of plaint.posts means, where its producer may say it in more ways than one."""

from classify.text import is_blank
from schemas.post import Post


def as_meant(post: Post, written_at: float) -> Post:
    """The post as it is labelled; ``written_at`` is Kafka's time of its record, in seconds since 1970.

    An edit or delete that has no revision gets that time, the same however often it is read. An edit that leaves no text is a
    delete: its author took everything back. And a delete carries nothing of the post on.
    """
    if post.event == "create":
        return post
    if not post.revision:
        post = post.model_copy(update={"revision": max(1, round(written_at * 1000))})
    return post.erased() if post.event == "delete" or is_blank(post.text) else post

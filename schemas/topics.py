"""The topics: names, who is the key, how long records stay."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

POSTS = "plaint.posts"
TRIAGED = "plaint.triaged"
DEAD_LETTERS = "plaint.deadletters"

OFFERED_HEADER = "plaint-offered"
"""A header of those records of ``plaint.posts`` that somebody sent to the door: they belong to no source that ends."""

REPLAYED_HEADER = "plaint-replay"
"""A header of those records that ``plaint dead replay`` has sent again to the stage that refused them."""

DAY_MS = 24 * 3600 * 1000
POSTS_RETENTION_MS = 7 * DAY_MS
TICKETS_RETENTION_MS = 14 * DAY_MS
DEAD_LETTERS_RETENTION_MS = 14 * DAY_MS


def tickets(destination: str) -> str:
    """The topic that route fills and that destination's deliver worker reads."""
    return f"plaint.tickets.{destination}"


def deliveries(destination: str) -> str:
    """The compacted log in which that destination's deliver workers remember what they did."""
    return f"plaint.deliveries.{destination}"


def destination_of(topic: str) -> str:
    """Whose tickets or delivery log a topic holds; empty for any other."""
    prefix = next((one for one in (tickets(""), deliveries("")) if topic.startswith(one)), topic)
    return topic.removeprefix(prefix)


DELIVER = "deliver-"
"""Begins the name of a destination's stage: ``deliver-helpdesk``."""


def group(stage: str) -> str:
    """Consumer group of a stage: ``plaint-classify``, ``plaint-deliver-helpdesk``."""
    return f"plaint-{stage}"


PLACE = re.compile(r"(plaint\.[\w.-]+)\[(\d+)\]@(\d+)")
"""What ``place`` gives: topic, partition and offset."""


def place(topic: str, partition: int, offset: int) -> str:
    """Where a person finds a record: ``plaint.posts[3]@1042``."""
    return f"{topic}[{partition}]@{offset}"


@dataclass(frozen=True)
class Topic:
    """A topic as it should exist. All share one partition count, so that a post keeps its partition on the whole way."""

    name: str
    config: dict[str, str] = field(default_factory=dict)


def all_topics(destinations: Iterable[str]) -> list[Topic]:
    """Every topic that plaint needs for these destinations.

    Posts and triaged are compacted as well as deleted by age: a delete is a record without text under the same key, so
    compaction takes the text away. The delivery logs are compacted only: nothing that is still open may age out. Segments
    are closed daily, since Kafka compacts and deletes closed ones only: text is gone at most a day after its time.
    """
    daily = {"segment.ms": str(DAY_MS)}
    compacted = daily | {"max.compaction.lag.ms": str(DAY_MS)}
    stream = compacted | {"cleanup.policy": "compact,delete", "retention.ms": str(POSTS_RETENTION_MS)}
    aged = daily | {"cleanup.policy": "delete", "retention.ms": str(TICKETS_RETENTION_MS)}
    log = compacted | {"cleanup.policy": "compact"}
    found = [
        Topic(POSTS, stream),
        Topic(TRIAGED, stream),
        Topic(DEAD_LETTERS, daily | {"cleanup.policy": "delete", "retention.ms": str(DEAD_LETTERS_RETENTION_MS)}),
    ]
    for destination in destinations:
        found += [Topic(tickets(destination), aged), Topic(deliveries(destination), log)]
    return found

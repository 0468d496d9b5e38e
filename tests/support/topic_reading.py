"""Reads topics back, for tests."""

import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from schemas import topics


def records(bootstrap: str, topic: str, enough: Callable[[list[Any]], bool]) -> list[Any]:
    """The records of a topic, in order within each partition: read until ``enough`` and then until no more come.

    End offsets are not asked for: the embedded broker tells wrong ones.
    """
    found: list[Any] = []
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, fetch_max_wait_ms=500, group_id=None
    )
    try:
        partitions = consumer.partitions_for_topic(topic) or set()
        consumer.assign([TopicPartition(topic, number) for number in partitions])
        consumer.seek_to_beginning()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            polled = consumer.poll(timeout_ms=1000, max_records=10_000)
            found += [record for part in polled.values() for record in part]
            if not polled and enough(found):
                return found
    finally:
        consumer.close()
    raise AssertionError(f"{topic} holds only {len(found)} records")


def posts(bootstrap: str, count: int) -> list[Any]:
    """The records of plaint.posts; fails if there are fewer than ``count``."""
    return records(bootstrap, topics.POSTS, lambda found: len(found) >= count)


def dead_letters(bootstrap: str, count: int) -> list[Any]:
    """The records of plaint.deadletters; fails if there are fewer than ``count``."""
    return records(bootstrap, topics.DEAD_LETTERS, lambda found: len(found) >= count)

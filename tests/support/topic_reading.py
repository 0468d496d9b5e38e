"""Reads topics back, for tests."""

import time
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from schemas import topics


def records(bootstrap: str, topic: str, count: int, timeout_s: float = 60) -> list[Any]:
    """All records of a topic, in order within each partition: at least ``count``, and then until no more come.

    For topics that nobody is writing to any more. End offsets are not asked for: the embedded broker tells wrong ones.
    """
    return _read(bootstrap, topic, count, timeout_s, until_quiet=True)


def wait_for(bootstrap: str, topic: str, count: int, timeout_s: float = 60) -> None:
    """Return once the topic holds ``count`` records."""
    _read(bootstrap, topic, count, timeout_s, until_quiet=False)


def posts(bootstrap: str, count: int) -> list[Any]:
    """The records of plaint.posts; fails if there are fewer than ``count``."""
    return records(bootstrap, topics.POSTS, count)


def dead_letters(bootstrap: str, count: int) -> list[Any]:
    """The records of plaint.deadletters; fails if there are fewer than ``count``."""
    return records(bootstrap, topics.DEAD_LETTERS, count)


def _read(bootstrap: str, topic: str, count: int, timeout_s: float, until_quiet: bool) -> list[Any]:
    found: list[Any] = []
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, fetch_max_wait_ms=500, check_crcs=False
    )
    try:
        consumer.assign([TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()])
        consumer.seek_to_beginning()
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            polled = consumer.poll(timeout_ms=1000, max_records=10_000)
            found += [record for part in polled.values() for record in part]
            if len(found) >= count and not (until_quiet and polled):
                return found
    finally:
        consumer.close()
    raise AssertionError(f"{topic} holds {len(found)} records, not {count}")

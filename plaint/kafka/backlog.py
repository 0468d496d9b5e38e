"""How much of a topic a group has before it, and since when the first of it waits.

Taken from fetch answers, which hold the high watermark: the embedded broker tells wrong end offsets.
"""

import time
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import BaseModel, ConfigDict

from plaint.kafka.consumer import new_consumer
from plaint.kafka.settings import KafkaSettings

Places = Mapping[tuple[str, int], int | None]
"""Where a group goes on, by topic and partition; None where it never acknowledged anything."""


class Backlog(BaseModel):
    """What waits in one partition. In compacted topics ``lag`` counts records that compaction took as well.

    ``lost`` records were deleted before the group read them. ``oldest_at`` is when the first that waits was written, in
    seconds since 1970; None if nothing waits.
    """

    model_config = ConfigDict(frozen=True)

    lag: int
    lost: int = 0
    oldest_at: float | None = None


async def backlogs(kafka: KafkaSettings, places: Places, limit_s: float) -> dict[tuple[str, int], Backlog]:
    """The backlog of every place; those that the broker did not answer for within ``limit_s`` are left out.

    The places must exist and have a leader: asking for another may make its topic, and keeps the rest from being told.
    Raises KafkaError if no broker answers, or if one of the topics may not be read.
    """
    if not places:
        return {}
    # Small fetches: one record a partition is enough.
    consumer = new_consumer(kafka, max_partition_fetch_bytes=1024, request_timeout_ms=int(limit_s * 1000) + 1000)
    await consumer.start()
    try:
        return await _look(consumer, {TopicPartition(*place): offset for place, offset in places.items()}, limit_s)
    finally:
        await consumer.stop()


async def _look(
    consumer: AIOKafkaConsumer, places: Mapping[TopicPartition, int | None], limit_s: float
) -> dict[tuple[str, int], Backlog]:
    deadline = time.monotonic() + limit_s
    consumer.assign(list(places))
    begin = await consumer.beginning_offsets(list(places))
    starts = {tp: begin[tp] if offset is None else max(offset, begin[tp]) for tp, offset in places.items()}
    for tp, start in starts.items():
        consumer.seek(tp, start)
    first: dict[TopicPartition, Any] = {}
    waiting = set(places)
    while waiting and time.monotonic() < deadline:
        for tp, records in (await consumer.getmany(timeout_ms=200)).items():
            first.setdefault(tp, records[0])
        done = {tp for tp in waiting if tp in first or _is_read(consumer.highwater(tp), starts[tp])}
        consumer.pause(*done)
        waiting -= done
    found = {}
    for tp, start in starts.items():
        high = consumer.highwater(tp)
        if high is not None:
            committed, oldest = places[tp], first.get(tp)
            found[tp.topic, tp.partition] = Backlog(
                lag=max(0, high - start),
                lost=0 if committed is None else max(0, begin[tp] - committed),
                oldest_at=None if oldest is None else oldest.timestamp / 1000,
            )
    return found


def _is_read(high: int | None, start: int) -> bool:
    return high is not None and start >= high

"""Batches of a stage, from records to acknowledged results: the stage works in a thread, what came of them is published."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

from plaint.kafka.lookback import read_stretch
from plaint.kafka.publisher import OutRecord, Publisher
from plaint.kafka.settings import KafkaSettings
from plaint.monitoring.batches import BatchMeter
from plaint.workers.stage import Dropped, InRecord, Outcome, Result, Stage, outcomes
from schemas import topics
from schemas.deadletter import DeadLetter


class Tally:
    """What became of the records so far."""

    def __init__(self) -> None:
        self.results = 0
        self.drops: Counter[str] = Counter()
        self.dead: Counter[str] = Counter()

    def add(self, found: Sequence[Outcome]) -> None:
        """Count these outcomes."""
        for outcome in found:
            if isinstance(outcome, Result):
                self.results += 1
            elif isinstance(outcome, Dropped):
                self.drops[outcome.reason.value] += 1
            else:
                self.dead[outcome.reason.value] += 1


def stage_thread(name: str) -> ThreadPoolExecutor:
    """One thread for a stage to work in: what others put into it runs between two batches."""
    return ThreadPoolExecutor(1, thread_name_prefix=name)


class Batches:
    """Takes batches of a stage from records to acknowledged results, in two steps. Knows nothing of Faust."""

    def __init__(
        self,
        kafka: KafkaSettings,
        stage: Stage,
        publisher: Publisher,
        canary: InRecord,
        thread: ThreadPoolExecutor | None = None,
    ) -> None:
        """``thread`` is the one that the stage works in, None for one of its own."""
        self._kafka = kafka
        self.stage = stage
        self.publisher = publisher
        self.canary = canary
        self.tally = Tally()
        self.meter = BatchMeter()
        self._thread = thread or stage_thread(stage.name)

    async def process(self, records: Sequence[InRecord]) -> list[Outcome]:
        """What becomes of ``records``. Raises StageBroken."""
        for stretch in self.stage.unknown(records):
            before = await read_stretch(self._kafka, self.stage.input_topic, *stretch)
            self.stage.remember([in_record(message) for message in before])
        loop = asyncio.get_running_loop()
        self.meter.taken(records)
        begun = perf_counter()
        found = await loop.run_in_executor(self._thread, outcomes, self.stage, records, self.canary)
        self.meter.computed.add(perf_counter() - begun)
        return found

    async def write(self, found: Sequence[Outcome], records: Sequence[InRecord]) -> None:
        """Return once everything that these outcomes write is acknowledged. Raises NotWritten."""
        begun = perf_counter()
        await self.publisher.publish(written(found, records))
        self.meter.written(perf_counter() - begun)
        self.tally.add(found)

    def close(self) -> None:
        """End the stage's thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def written(found: Sequence[Outcome], records: Sequence[InRecord]) -> list[OutRecord]:
    """All that these outcomes write. A dead letter goes to the partition of its record."""
    out: list[OutRecord] = []
    for outcome, record in zip(found, records, strict=True):
        if isinstance(outcome, Result):
            out += outcome.records
        elif isinstance(outcome, DeadLetter):
            letter = OutRecord(topics.DEAD_LETTERS, record.partition, outcome.key, outcome.value, outcome.headers())
            out.append(letter)
    return out


def in_record(record: Any) -> InRecord:
    """A record of aiokafka's."""
    return InRecord(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        record.timestamp / 1000,
        is_replay=bool(record.headers) and any(name == topics.REPLAYED_HEADER for name, _ in record.headers),
    )

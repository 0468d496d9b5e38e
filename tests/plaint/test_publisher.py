"""Publishing whole batches, without a broker: order, offsets, and what is told when one is not taken."""

import asyncio
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError

from plaint.kafka.publisher import NotWritten, OutRecord, Publisher
from plaint.kafka.settings import KafkaSettings
from tests.route.delivery.doubles import settle


class Batch:
    """Takes up to three records, none of them over ten bytes."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, object]] = []
        self.is_closed = False

    def append(self, *, key: bytes | None, value: bytes, timestamp: int | None, headers: object) -> object:
        assert not self.is_closed
        if len(self.records) == 3 or len(value) > 10:
            return None
        self.records.append((value, headers))
        return object()

    def close(self) -> None:
        self.is_closed = True


class Producer:
    """Keeps what is sent to each partition; acknowledges it once the test says so, or refuses it."""

    def __init__(self) -> None:
        self.log: defaultdict[tuple[str, int], list[tuple[bytes, object]]] = defaultdict(list)
        self.batches: list[int] = []
        self.answers = asyncio.Event()
        self.refuses: int | None = None

    def create_batch(self) -> Batch:
        return Batch()

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(4))

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Any:
        assert batch.is_closed
        self.batches.append(len(batch.records))
        base = len(self.log[topic, partition])
        self.log[topic, partition] += batch.records
        return self._acknowledged(base, partition)

    async def _acknowledged(self, base: int, partition: int) -> Any:
        await self.answers.wait()
        if partition == self.refuses:
            raise KafkaTimeoutError
        return SimpleNamespace(offset=base)


@pytest.fixture
def producer() -> Producer:
    return Producer()


@pytest.fixture
def publisher(producer: Producer) -> Publisher:
    made = Publisher(KafkaSettings())
    made._producer = producer
    return made


def records(count: int, partition: int = 0) -> list[OutRecord]:
    return [OutRecord("out", partition, b"k", b"%d" % number, [("n", b"%d" % number)]) for number in range(count)]


async def test_what_does_not_fit_into_one_batch_is_written_in_several_and_in_order(
    publisher: Publisher, producer: Producer
) -> None:
    producer.answers.set()
    assert await publisher.append("out", 0, records(2)) == [0, 1]
    assert await publisher.append("out", 0, records(7)) == [2, 3, 4, 5, 6, 7, 8]
    assert producer.batches == [2, 3, 3, 1]
    assert [value for value, _ in producer.log["out", 0]] == [b"%d" % number for number in (0, 1, *range(7))]
    assert producer.log["out", 0][-1] == (b"6", [("n", b"6")])


async def test_it_is_published_once_every_partition_has_acknowledged(publisher: Publisher, producer: Producer) -> None:
    publishing = asyncio.create_task(publisher.publish([*records(2), *records(4, partition=3)]))
    await settle()
    assert producer.batches == [2, 3]
    assert not publishing.done()
    producer.answers.set()
    await publishing
    assert {place: len(found) for place, found in producer.log.items()} == {("out", 0): 2, ("out", 3): 4}


async def test_one_partition_that_is_refused_fails_it_all(publisher: Publisher, producer: Producer) -> None:
    producer.refuses = 3
    producer.answers.set()
    with pytest.raises(NotWritten, match=r"out\[3\]: KafkaTimeoutError"):
        await publisher.publish([*records(1), *records(1, partition=3)])


async def test_a_record_that_fits_into_no_batch_is_told(publisher: Publisher, producer: Producer) -> None:
    producer.answers.set()
    with pytest.raises(NotWritten, match="a record of 11 bytes does not fit into a batch"):
        await publisher.append("out", 0, [*records(1), OutRecord("out", 0, None, b"x" * 11)])

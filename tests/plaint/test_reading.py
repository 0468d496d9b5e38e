"""Topics are read to their present end, from a time, from the newest few, and live, on each broker."""

import asyncio
from collections.abc import Collection
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import TopicPartition

from plaint.kafka import reading
from plaint.kafka.publisher import OutRecord
from plaint.kafka.reading import NOW, Start, Stored, TopicReader, partition_of
from plaint.kafka.settings import KafkaSettings
from schemas import topics
from tests.plaint.delivering import kafka_settings, make_topics, write

PARTITIONS = 4


async def fill(kafka: KafkaSettings, topic: str, count: int, begin: int = 0) -> None:
    """Records ``begin`` and on, on all partitions but the last, which stays empty."""
    await write(
        kafka.brokers[0],
        [OutRecord(topic, n % (PARTITIONS - 1), b"k%d" % n, b"v%d" % n) for n in range(begin, begin + count)],
    )


@pytest.fixture
async def topic(broker: str, fresh: str) -> str:
    """An empty topic of the test's own."""
    await make_topics(broker, fresh)
    return topics.tickets(fresh)


async def read(kafka: KafkaSettings, topic: str, start: Start | None = None) -> list[Stored]:
    async with TopicReader(kafka) as reader:
        where = await reader.partitions([topic])
        return [record async for record in reader.scan(where, start or Start())]


async def test_a_scan_gives_every_record_and_ends(broker: str, topic: str) -> None:
    kafka = kafka_settings(broker)
    assert await read(kafka, topic) == []
    await fill(kafka, topic, 2500)
    seen: list[tuple[int, int]] = []
    async with TopicReader(kafka) as reader:
        where = await reader.partitions([topic])
        found = [record async for record in reader.scan(where, progress=lambda *told: seen.append(told))]
    assert {record.value for record in found} == {b"v%d" % n for n in range(2500)}
    assert len(found) == 2500
    for number in range(PARTITIONS):
        offsets = [record.offset for record in found if record.partition == number]
        assert offsets == list(range(len(offsets)))
    assert seen[-1] == (2500, 2500)


async def test_a_scan_of_one_partition_leaves_the_others(broker: str, topic: str) -> None:
    kafka = kafka_settings(broker)
    await fill(kafka, topic, 30)
    async with TopicReader(kafka) as reader:
        found = [record async for record in reader.scan({topic: [1]})]
        again = [record async for record in reader.scan({topic: [0, 3]})]
    assert {record.partition for record in found} == {1}
    assert [record.place for record in found[:2]] == [f"{topic}[1]@0", f"{topic}[1]@1"]
    assert {record.partition for record in again} == {0}
    assert len(found) == len(again) == 10


async def test_a_scan_ends_although_somebody_goes_on_writing(broker: str, topic: str) -> None:
    kafka = kafka_settings(broker)
    await fill(kafka, topic, 300)
    stop = asyncio.Event()

    async def keep_writing() -> None:
        number = 1000
        while not stop.is_set():
            await fill(kafka, topic, 50, number)
            number += 50

    writing = asyncio.create_task(keep_writing())
    try:
        async with asyncio.timeout(60):
            found = await read(kafka, topic)
    finally:
        stop.set()
        await writing
    assert {b"v%d" % n for n in range(300)} <= {record.value for record in found}


async def test_reading_since_a_time_leaves_out_what_is_older(broker: str, topic: str) -> None:
    kafka = kafka_settings(broker)
    await fill(kafka, topic, 60)
    newest = max(record.timestamp for record in await read(kafka, topic))
    await asyncio.sleep(0.05)
    since = datetime.fromtimestamp(newest + 0.01, UTC)
    assert await read(kafka, topic, Start(since=since)) == []
    await fill(kafka, topic, 5, begin=100)
    found = await read(kafka, topic, Start(since=since))
    assert {record.value for record in found} == {b"v%d" % n for n in range(100, 105)}
    assert await read(kafka, topic, Start(since=datetime.now(UTC) + timedelta(days=1))) == []


async def test_what_comes_while_the_beginning_is_looked_for_is_read(
    broker: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = kafka_settings(broker)
    await fill(kafka, topic, 6)
    newest = max(record.timestamp for record in await read(kafka, topic))
    await asyncio.sleep(0.05)
    async with TopicReader(kafka) as reader:
        look_up = reader._consumer.offsets_for_times

        async def and_one_comes(times: dict[TopicPartition, int]) -> object:
            found = await look_up(times)
            await fill(kafka, topic, 1, begin=100)
            return found

        monkeypatch.setattr(reader._consumer, "offsets_for_times", and_one_comes)
        since = Start(since=datetime.fromtimestamp(newest + 0.01, UTC))
        async with asyncio.timeout(60), aclosing(reader.follow({topic: range(PARTITIONS)}, since)) as found:
            assert (await anext(found)).value == b"v100"


async def test_the_newest_few_are_counted_over_all_partitions(broker: str, topic: str) -> None:
    kafka = kafka_settings(broker)
    assert await read(kafka, topic, Start(newest=3)) == []
    await fill(kafka, topic, 90)
    await asyncio.sleep(0.01)
    await fill(kafka, topic, 2, begin=200)
    found = await read(kafka, topic, Start(newest=5))
    assert len(found) == 5
    assert {record.value for record in found[-2:]} == {b"v200", b"v201"}
    assert len(await read(kafka, topic, Start(newest=1000))) == 92


async def test_a_reader_that_is_left_right_after_it_turned_to_other_partitions_ends_all_the_same(
    broker: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's own end hangs now and then if it comes while it takes up an assignment."""
    monkeypatch.setattr(reading, "STOP_S", 0.2)
    kafka = kafka_settings(broker)
    async with asyncio.timeout(60):
        for pause in (0, 1, 2, 5):
            async with TopicReader(kafka) as reader:
                await read_all(reader, topic, [0])
                reader._consumer.assign([TopicPartition(topic, 1)])
                for _ in range(pause):
                    await asyncio.sleep(0)


async def read_all(reader: TopicReader, topic: str, numbers: list[int]) -> list[Stored]:
    return [record async for record in reader.scan({topic: numbers})]


async def test_following_begins_at_the_present_end(broker: str, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = kafka_settings(broker)
    await fill(kafka, topic, 50)
    async with TopicReader(kafka) as reader:
        follows, look = asyncio.Event(), reader._look

        async def noted(among: Collection[TopicPartition], most: int = reading.MAX_RECORDS) -> list[Stored]:
            if most > 1:  # it looks for the end by single records
                follows.set()
            return await look(among, most)

        monkeypatch.setattr(reader, "_look", noted)
        stream = reader.follow(await reader.partitions([topic]), NOW)
        first = asyncio.ensure_future(anext(stream))
        await follows.wait()
        assert not first.done()
        await fill(kafka, topic, 3, begin=500)
        async with asyncio.timeout(60):
            found = [await first, await anext(stream), await anext(stream)]
        await stream.aclose()
    assert {record.value for record in found} == {b"v500", b"v501", b"v502"}


async def test_following_from_the_newest_goes_on_with_what_comes(broker: str, topic: str) -> None:
    kafka = kafka_settings(broker)
    await fill(kafka, topic, 20)
    async with TopicReader(kafka) as reader, asyncio.timeout(60):
        stream = reader.follow(await reader.partitions([topic]), Start(newest=2))
        found = [await anext(stream), await anext(stream)]
        await fill(kafka, topic, 1, begin=900)
        found.append(await anext(stream))
        await stream.aclose()
    assert found[-1].value == b"v900"
    assert len({(record.partition, record.offset) for record in found}) == 3


async def test_a_topic_that_is_not_there_is_not_made_by_asking(broker: str, topic: str, fresh: str) -> None:
    absent = topics.tickets(f"absent-{fresh}")
    async with TopicReader(kafka_settings(broker)) as reader:
        assert await reader.partitions([topic, absent]) == {topic: list(range(PARTITIONS))}
        assert await reader.partitions([absent]) == {}
        assert [record async for record in reader.scan({})] == []


def test_a_key_is_looked_for_where_plaint_puts_it() -> None:
    """The ingest worker publishes with kafka-python's own partitioner, which hashes so."""
    from kafka.partitioner.default import murmur2

    for number in range(200):
        key = f"at://did:plc:{number}/post/ü".encode()
        assert partition_of(key, 7) == (murmur2(key) & 0x7FFFFFFF) % 7


def test_a_partition_whose_end_was_compacted_away_is_read_to_its_end_all_the_same() -> None:
    """Nothing is left between the last record and the end that the broker tells: answers without a record say so."""
    reach = reading._Reach(start=0, position=0, end=100)
    reach.passed(90, answered_ms=1)
    for answered_ms in (1, 1, 2, 3):
        reach.passed(90, answered_ms)
        assert not reach.is_at_end, "an answer counts once, and a few may be slow"
    reach.passed(95, answered_ms=4)
    for answered_ms in (5, 6, 7):
        assert not reach.is_at_end
        reach.passed(95, answered_ms)
    assert reach.is_at_end


async def test_a_reader_that_is_cancelled_just_as_it_has_stopped_goes_on_with_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Consumer:
        async def stop(self) -> None:
            task.cancel()

    async def look() -> None:
        async with TopicReader(kafka_settings("127.0.0.1:9")):
            pass

    monkeypatch.setattr(reading, "new_consumer", lambda *_, **__: Consumer())
    task = asyncio.create_task(look())
    await asyncio.wait([task])
    assert task.cancelled()

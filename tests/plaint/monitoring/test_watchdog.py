"""The watchdog: what it takes for a stall, on both brokers, and what it doesn't."""

import asyncio
import threading
from collections.abc import Collection, Mapping

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from plaint.kafka.publisher import OutRecord
from plaint.kafka.settings import KafkaSettings
from plaint.monitoring.settings import MonitoringSettings
from plaint.monitoring.stall import StallClock
from plaint.monitoring.watchdog import Standing, Watchdog, probe
from schemas import topics
from tests.plaint.delivering import kafka_settings, make_topics, until, write


class Stage:
    """What a watchdog is told of a stage; a test changes it."""

    def __init__(self, group: str, topic: str) -> None:
        self.group = group
        self.topic = topic
        self.at: Mapping[int, int | None] = {0: 0, 1: 0}
        self.member = True
        self.reason = ""

    def acknowledged(self) -> Mapping[int, int | None]:
        return self.at

    def in_group(self) -> bool:
        return self.member

    def excuse(self) -> str:
        return self.reason


class Time:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def name(fresh: str) -> str:
    """A destination of the test's own, whose tickets topic the test's stage reads."""
    return f"desk-{fresh}"


async def put(bootstrap: str, name: str, partition: int, count: int) -> None:
    """Records for the stage."""
    await write(bootstrap, [OutRecord(topics.tickets(name), partition, b"k", b"v") for _ in range(count)])


async def commit(bootstrap: str, name: str, offsets: Mapping[int, int]) -> None:
    """Acknowledge as the stage's group."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group(name), enable_auto_commit=False)
    await consumer.start()
    tps = {TopicPartition(topics.tickets(name), number): offset for number, offset in offsets.items()}
    consumer.assign(list(tps))
    await consumer.commit(tps)
    await consumer.stop()


def group(name: str) -> str:
    """The group of the stage."""
    return topics.group(f"deliver-{name}")


def watchdog(bootstrap: str, name: str, time: Time, on_stall: str = "end") -> tuple[Watchdog, Stage, list[str]]:
    """One with a limit of 60 s of ``time``, the stage that it looks at, and the reasons for which it ended it."""
    stage, ended = Stage(group(name), topics.tickets(name)), list[str]()
    settings = MonitoringSettings.model_validate({"on_stall": on_stall, "stall_s": 60})
    return Watchdog(kafka_settings(bootstrap), stage, settings, ended.append, time), stage, ended


async def test_a_probe_tells_what_waits_and_where_it_ends(broker: str, name: str) -> None:
    await make_topics(broker, name)
    await put(broker, name, 0, 5)
    await put(broker, name, 1, 3)
    await put(broker, name, 2, 2)
    await commit(broker, name, {0: 5, 1: 1})
    found = await probe(kafka_settings(broker), group(name), topics.tickets(name), [0, 1, 2, 3])
    assert {n: (one.committed, one.end, one.waits) for n, one in found.items()} == {
        0: (5, 5, False),
        1: (1, 3, True),
        2: (0, 2, True),
        3: (0, 0, False),
    }


async def test_a_partition_that_stands_still_is_reported_and_then_ended(broker: str, name: str) -> None:
    await make_topics(broker, name)
    await put(broker, name, 1, 3)
    time = Time()
    dog, stage, ended = watchdog(broker, name, time)
    stage.at = {1: 0}
    for now, sick, ends in (
        (0, False, 0),
        (15, False, 0),
        (45, False, 0),
        (75, True, 0),
        (105, True, 0),
        (135, True, 1),
    ):
        time.now = now
        await dog.look()
        assert (bool(dog.why), len(ended)) == (sick, ends), now
    assert f"{stage.topic}[1]@0 waits and nothing moved for 120 s" in ended[0]
    assert dog.ends == {1: 3}


async def looks(dog: Watchdog, time: Time, *moments: float) -> list[str]:
    """What it says at each of these times."""
    said = []
    for time.now in moments:
        await dog.look()
        said.append(dog.why)
    return said


class Kafka:
    """A broker as probes see it: where the group stands, and where each partition ends."""

    def __init__(self, committed: int, end: int) -> None:
        self.committed, self.end = committed, end
        self.refusal: KafkaError | None = None

    async def probe(
        self, kafka: KafkaSettings, group: str, topic: str, partitions: Collection[int]
    ) -> dict[int, Standing]:
        if self.refusal is not None:
            raise self.refusal
        return {number: Standing(self.committed, self.end, self.committed < self.end) for number in partitions}


def scripted(kafka: Kafka, on_stall: str = "end") -> tuple[Watchdog, Stage, Time, list[str]]:
    """A watchdog over one partition of such a broker, with a limit of 60 s."""
    stage, time, ended = Stage("group", "topic"), Time(), list[str]()
    stage.at = {0: 0}
    settings = MonitoringSettings.model_validate({"on_stall": on_stall, "stall_s": 60})
    return Watchdog(KafkaSettings(), stage, settings, ended.append, time, kafka.probe), stage, time, ended


async def test_one_that_is_idle_is_never_stalled_however_long(broker: str, name: str) -> None:
    await make_topics(broker, name)
    await put(broker, name, 1, 3)
    await commit(broker, name, {1: 3})
    time = Time()
    dog, stage, ended = watchdog(broker, name, time)
    stage.at = {0: None, 1: 3}
    assert await looks(dog, time, 0, 1000) == ["", ""]
    assert (ended, dog.broker_away) == ([], "")


@pytest.mark.parametrize("reason", ["the destination is down", "enough tickets are open"])
async def test_one_that_waits_on_purpose_is_not_stalled_but_its_lag_is_seen(reason: str) -> None:
    dog, stage, time, ended = scripted(Kafka(0, 3))
    stage.reason = reason
    assert not any(await looks(dog, time, 0, 15, 1000))
    assert (ended, dog.ends) == ([], {0: 3})
    stage.reason = ""
    assert not any(await looks(dog, time, 1001, 1031, 1060)), "the time begins when the purpose ends"
    assert await looks(dog, time, 1061) == ["stalled: topic[0]@0 waits and nothing moved for 60 s"]


async def test_one_that_moves_is_well_again() -> None:
    kafka = Kafka(0, 3)
    dog, stage, time, _ = scripted(kafka, "report")
    assert (await looks(dog, time, 0, 15, 45, 75))[-1]
    kafka.committed, stage.at = 1, {0: 1}
    assert not any(await looks(dog, time, 76, 91))


async def test_one_whose_work_another_process_does_is_not_stalled() -> None:
    kafka = Kafka(0, 100)
    dog, _, time, _ = scripted(kafka)
    for number in range(20):
        kafka.committed = number
        assert await looks(dog, time, number * 50.0) == [""]


async def test_it_only_reports_if_it_is_told_to() -> None:
    dog, _, time, ended = scripted(Kafka(0, 3), "report")
    assert all((await looks(dog, time, *range(0, 1000, 15)))[6:])
    assert ended == []


async def test_one_that_was_stopped_for_long_is_not_stalled_when_it_wakes() -> None:
    dog, _, time, ended = scripted(Kafka(0, 3))
    assert not any(await looks(dog, time, 0, 15, 10_000, 10_010))
    assert ended == []


async def test_one_that_gets_no_place_in_its_group_is_stalled() -> None:
    dog, stage, time, ended = scripted(Kafka(0, 0))
    stage.at, stage.member = {}, False
    said = await looks(dog, time, *range(0, 181, 15))
    assert not any(said[:6]), "a session and a rebalance may pass"
    assert said[6:] == [f"has had no place in its group group, for {seconds} s" for seconds in range(90, 181, 15)]
    assert len(ended) == 1
    stage.member = True
    assert await looks(dog, time, 190) == [""]


async def test_one_whose_right_on_its_group_was_taken_away_is_ended_and_no_broker_is_called_away() -> None:
    kafka = Kafka(0, 0)
    dog, stage, time, ended = scripted(kafka)
    stage.reason = "the destination is down"
    assert await looks(dog, time, 0) == [""]
    kafka.refusal = GroupAuthorizationFailedError("group")
    said = await looks(dog, time, *range(15, 196, 15))
    assert not any(said[:6]), "it may be given back"
    assert "is refused by Kafka: [Error 30] GroupAuthorizationFailedError: group; `plaint doctor rights`" in said[6]
    assert (len(ended), dog.broker_away) == (1, "")
    kafka.refusal = None
    assert await looks(dog, time, 200) == [""]


async def test_nothing_is_stalled_while_no_broker_answers(name: str) -> None:
    time = Time()
    dog, _, ended = watchdog("127.0.0.1:9", name, time)
    assert await looks(dog, time, 0, 1000) == ["", ""]
    assert ended == []
    assert dog.broker_away == "no answer: KafkaConnectionError"


async def test_it_looks_from_a_thread_of_its_own_which_ends(tansu: str, name: str) -> None:
    await make_topics(tansu, name)
    await put(tansu, name, 0, 1)
    settings = MonitoringSettings(stall_s=1, on_stall="report")
    dog = Watchdog(kafka_settings(tansu), Stage(group(name), topics.tickets(name)), settings)
    dog.start()
    await until(lambda: bool(dog.why))
    await asyncio.to_thread(dog.stop)
    assert not [thread for thread in threading.enumerate() if thread.name == "watchdog"]


def test_the_time_of_a_partition_begins_anew_when_it_moves_or_comes_back() -> None:
    clock = StallClock()
    clock.see({0: 5, 1: 7}, 0.0)
    clock.see({0: 6, 1: 7}, 10.0)
    assert clock.standing(20.0) == [(1, 7, 20.0), (0, 6, 10.0)]
    clock.see({0: 6}, 20.0)
    clock.see({0: 6, 1: 7}, 30.0)
    assert clock.standing(30.0) == [(0, 6, 20.0), (1, 7, 0.0)]

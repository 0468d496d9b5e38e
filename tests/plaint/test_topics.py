"""Topics on both brokers: made once, found again, and every way in which they may be wrong told with its mend."""

import asyncio
import itertools
import logging
import threading
from collections.abc import Callable

import pytest

from plaint.kafka.admin import BrokerAway, open_admin
from plaint.kafka.publisher import NotWritten, OutRecord, Publisher
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topic_states import topic_states
from plaint.kafka.topics import TopicsWrong, ensure_topics
from schemas.topics import all_topics, deliveries, tickets
from tests.support.kafka_process import KafkaProcess


def settings(bootstrap: str, **other: object) -> KafkaSettings:
    return KafkaSettings.model_validate({"brokers": (bootstrap,), **other})


def test_missing_topics_are_made_and_found_again(broker: str, fresh: str) -> None:
    kafka = settings(broker)
    first = ensure_topics(kafka, [fresh])
    assert {tickets(fresh), deliveries(fresh)} <= set(first)
    assert ensure_topics(kafka, [fresh]) == ()
    with open_admin(kafka, 5) as admin:
        [found] = admin.describe_topics([tickets(fresh)])
    assert [part["leader_id"] >= 0 for part in found["partitions"]] == [True] * kafka.partitions


def test_a_new_destination_adds_only_its_own_topics(broker: str, fresh: str) -> None:
    kafka = settings(broker)
    ensure_topics(kafka, [fresh])
    created = ensure_topics(kafka, [fresh, f"{fresh}-b"])
    assert created == (deliveries(f"{fresh}-b"), tickets(f"{fresh}-b"))


def test_starters_at_once_all_succeed(broker: str, fresh: str) -> None:
    kafka = settings(broker)
    destinations = [f"{fresh}-{number}" for number in range(10)]
    created: list[tuple[str, ...]] = []
    gate = threading.Barrier(6)

    def starter() -> None:
        gate.wait()
        created.append(ensure_topics(kafka, destinations))

    threads = [threading.Thread(target=starter) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(created) == 6
    made = [name for names in created for name in names if fresh in name]
    assert sorted(made) == sorted(topic for name in destinations for topic in (tickets(name), deliveries(name)))


def test_another_partition_count_is_told_and_nothing_changed(broker: str, fresh: str) -> None:
    ensure_topics(settings(broker), [fresh])
    with pytest.raises(TopicsWrong) as told:
        ensure_topics(settings(broker, partitions=7), [fresh])
    faults = {fault.what.split()[0]: fault for fault in told.value.faults}
    assert tickets(fresh) in faults
    assert faults[tickets(fresh)].place == "kafka.partitions"
    assert "has 4 partitions, the settings say 7" in faults[tickets(fresh)].what
    assert "set kafka.partitions to 4" in faults[tickets(fresh)].mend
    assert ensure_topics(settings(broker), [fresh]) == ()


async def test_a_record_for_a_partition_that_only_another_topic_has_is_told_with_its_topic(
    broker: str, fresh: str
) -> None:
    kafka = settings(broker, idempotent_producer=False)
    await asyncio.to_thread(ensure_topics, kafka, [fresh])
    log = deliveries(fresh)
    async with Publisher(kafka) as publisher:
        with pytest.raises(
            NotWritten, match=f"{log} has 4 partitions, none of the number 4: another topic of plaint has more"
        ):
            await publisher.append(log, 4, [OutRecord(log, 4, b"key", b"value")])
        assert await publisher.append(log, 3, [OutRecord(log, 3, b"key", b"value")]) == [0]


def test_a_delivery_log_that_forgets_by_age_is_refused(broker: str, fresh: str) -> None:
    kafka = settings(broker)
    wrong = {deliveries(fresh): {"num_partitions": 4, "replication_factor": 1, "configs": {"cleanup.policy": "delete"}}}
    with open_admin(kafka, 5) as admin:
        admin.create_topics(wrong)
    with pytest.raises(TopicsWrong, match=r"cleanup\.policy=delete, plaint relies on compact"):
        ensure_topics(kafka, [fresh])


def test_a_retention_chosen_by_the_operator_is_no_fault(broker: str, fresh: str) -> None:
    kafka = settings(broker)
    own = {
        tickets(fresh): {
            "num_partitions": 4,
            "replication_factor": 1,
            "configs": {"cleanup.policy": "delete", "retention.ms": "777777777"},
        }
    }
    with open_admin(kafka, 5) as admin:
        admin.create_topics(own)
    assert tickets(fresh) not in ensure_topics(kafka, [fresh])
    with open_admin(kafka, 5) as admin:
        [state] = topic_states(admin, kafka, [topic for topic in all_topics([fresh]) if topic.name == tickets(fresh)])
    [retention] = [one for one in state.differences if one.key == "retention.ms"]
    assert (retention.has, retention.is_fault) == ("777777777", False)


@pytest.mark.kafka
def test_more_replicas_than_brokers_is_told(kafka: str, fresh: str) -> None:
    with pytest.raises(TopicsWrong, match=r"kafka\.replication_factor: .*InvalidReplicationFactor"):
        ensure_topics(settings(kafka, replication_factor=3), [fresh])


@pytest.mark.kafka
def test_the_brokers_own_default_of_replicas_counts_where_the_settings_say_nothing(
    new_kafka: Callable[..., KafkaProcess], fresh: str
) -> None:
    node = new_kafka(properties={"default.replication.factor": "3"})
    with pytest.raises(TopicsWrong, match=r"replication factor of 3 cannot be reached.*default\.replication\.factor"):
        ensure_topics(settings(node.bootstrap), [fresh])
    assert tickets(fresh) in ensure_topics(settings(node.bootstrap, replication_factor=1), [fresh])


def test_an_absent_broker_is_retried_for_the_time_given() -> None:
    now = 0.0
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds + 1
        slept.append(seconds)

    with pytest.raises(BrokerAway, match=r"no broker answers: 127\.0\.0\.1:1: .*refused"):
        ensure_topics(settings("127.0.0.1:1"), [], timeout_s=4, clock=lambda: now, sleep=sleep)
    assert len(slept) >= 2


@pytest.mark.kafka
def test_an_absent_broker_is_told_once_and_that_it_is_back(
    new_kafka: Callable[..., KafkaProcess], caplog: pytest.LogCaptureFixture
) -> None:
    node = new_kafka()
    node.kill()
    tries = itertools.count(1)

    def back_after_three(_: float) -> None:
        if next(tries) == 3:
            node.start()

    caplog.set_level(logging.INFO, "plaint")
    ensure_topics(settings(node.bootstrap), [], timeout_s=300, sleep=back_after_three)
    said = [record.getMessage().partition(":")[0] for record in caplog.records if record.name == "plaint.kafka.topics"]
    assert said == ["waiting for Kafka", "Kafka answers"]

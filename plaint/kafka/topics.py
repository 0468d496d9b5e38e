"""Making the topics: safe to call by every starter at once, and again."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kafka import errors
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from plaint.kafka.admin import BrokerAway, open_admin
from plaint.kafka.settings import KafkaSettings
from schemas.faults import Fault, FaultsFound
from schemas.topics import Topic, all_topics

log = logging.getLogger(__name__)

ATTEMPT_S = 5.0
"""For an attempt; one after another that needed all of it has twice as long, since a cluster that is sound may be slow."""
PAUSE_S = 0.5
BROKERS_DEFAULT = -1
"""In a request to create a topic: as many replicas as the brokers' ``default.replication.factor`` (KIP-464, Kafka 2.4)."""
MENDS: dict[type[errors.KafkaError], tuple[str | None, str]] = {
    errors.InvalidReplicationFactorError: (
        "kafka.replication_factor",
        "set it to at most the number of brokers that run; without it the brokers' default.replication.factor counts",
    ),
    errors.InvalidPartitionsError: ("kafka.partitions", "set a count that the brokers allow"),
    errors.PolicyViolationError: (
        "kafka.partitions",
        "the brokers' policy refuses the topic: make it by hand as the policy wants",
    ),
    errors.TopicAuthorizationFailedError: (
        None,
        "grant the user Create and Describe on plaint.*, or make the topics by hand: `plaint topics --print` tells how",
    ),
    errors.ClusterAuthorizationFailedError: (
        None,
        "grant the user Create on plaint.*, or make the topics by hand: `plaint topics --print` tells how",
    ),
}
"""The setting at fault, None for the one that says who this is, and the mend."""


class TopicsWrong(FaultsFound):
    """The topics are not as plaint needs them."""


@dataclass(frozen=True)
class TopicsReport:
    """What ``ensure_topics`` found and did. ``differs``: a line for each setting that an operator chose otherwise."""

    created: tuple[str, ...]
    existing: tuple[str, ...]
    differs: tuple[str, ...] = ()


def ensure_topics(
    kafka: KafkaSettings,
    destinations: Iterable[str],
    *,
    only: Collection[str] | None = None,
    timeout_s: float = 60.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> TopicsReport:
    """Create the topics that are missing and return once every partition of every topic has a leader. Blocks.

    ``only`` names the topics to look at where a stage has no right to see the others. A topic that exists is never changed.

    Raises TopicsWrong if one has another partition count or cleanup policy than plaint
    relies on, or if rights are missing; BrokerAway if the brokers do not answer within ``timeout_s``.
    """
    wanted = [topic for topic in all_topics(destinations) if only is None or topic.name in only]
    deadline = clock() + timeout_s
    created: set[str] = set()
    attempt_s = ATTEMPT_S
    while True:
        began = clock()
        try:
            with open_admin(kafka, max(0.1, min(attempt_s, deadline - clock()))) as admin:
                return _ensure(admin, kafka, wanted, created)
        except BrokerAway as error:
            if clock() + PAUSE_S >= deadline:
                raise
            log.info("waiting for Kafka: %s", error)
        if clock() - began >= attempt_s:
            attempt_s *= 2
        sleep(PAUSE_S)


def _ensure(admin: KafkaAdminClient, kafka: KafkaSettings, wanted: list[Topic], created: set[str]) -> TopicsReport:
    """One pass. ``created`` collects over passes, so that a broker that leaves half-way does not change the report."""
    counts = _partition_counts(admin, kafka, wanted)
    missing = [topic for topic in wanted if topic.name not in counts]
    if missing:
        created |= _create(admin, kafka, missing)
        admin.wait_for_topics([topic.name for topic in missing])
        counts = _partition_counts(admin, kafka, wanted)
    faults = [
        _wrong_count(name, count, kafka.partitions) for name, count in counts.items() if count != kafka.partitions
    ]
    existing = [topic for topic in wanted if topic.name not in created]
    wrong, differs = _compare(_configs(admin, existing), existing)
    if faults or wrong:
        raise TopicsWrong(faults + wrong)
    return TopicsReport(tuple(sorted(created)), tuple(sorted(topic.name for topic in existing)), tuple(differs))


def _partition_counts(admin: KafkaAdminClient, kafka: KafkaSettings, wanted: list[Topic]) -> dict[str, int]:
    """Partition count of each topic that exists. Raises TopicsWrong where we may not look."""
    counts, faults = {}, []
    for found in admin.describe_topics([topic.name for topic in wanted]):
        kind = errors.for_code(found["error_code"])
        if kind is errors.NoError:
            counts[found["name"]] = len(found["partitions"])
        elif kind is errors.TopicAuthorizationFailedError:
            faults.append(_refused(kafka, found["name"], kind, ""))
        elif kind is not errors.UnknownTopicOrPartitionError:
            raise BrokerAway(f"{found['name']}: {kind.__name__}")
    if faults:
        raise TopicsWrong(faults)
    return counts


def _create(admin: KafkaAdminClient, kafka: KafkaSettings, missing: list[Topic]) -> set[str]:
    """Ask for the topics; those that this call made. Another starter may have been first: that is as good."""
    new = {
        topic.name: {
            "num_partitions": kafka.partitions,
            "replication_factor": kafka.replication_factor or BROKERS_DEFAULT,
            "configs": topic.config,
        }
        for topic in missing
    }
    made, faults = set(), []
    for answer in admin.create_topics(new, raise_errors=False)["topics"]:
        kind = errors.for_code(answer["error_code"])
        if kind is errors.NoError:
            made.add(answer["name"])
        elif kind.retriable or kind is errors.UnknownError:
            raise BrokerAway(f"{answer['name']}: {kind.__name__}")
        elif kind is not errors.TopicAlreadyExistsError:
            faults.append(_refused(kafka, answer["name"], kind, answer.get("error_message") or ""))
    if faults:
        raise TopicsWrong(faults)
    return made


def _refused(kafka: KafkaSettings, name: str, kind: type[errors.KafkaError], message: str) -> Fault:
    key, mend = MENDS.get(kind, ("kafka", "make the topic by hand"))
    return Fault(key or kafka.user_key, f"{name} was refused: {kind.__name__}{': ' if message else ''}{message}", mend)


def _wrong_count(name: str, count: int, wanted: int) -> Fault:
    return Fault(
        "kafka.partitions",
        f"{name} has {count} partitions, the settings say {wanted}",
        f"set kafka.partitions to {count} if all topics have {count}, or delete the topic with what is in it; "
        "a count is fixed for a topic's life, since every record's partition hangs on it",
    )


def _configs(admin: KafkaAdminClient, topics: list[Topic]) -> Mapping[str, Mapping[str, Any]]:
    """Settings of existing topics as far as the broker tells; nothing for a topic that it keeps to itself."""
    if not topics:
        return {}
    # All settings of each: the embedded broker drops a connection that asks for some by name.
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics]
    try:
        found: Mapping[str, Mapping[str, Any]] = admin.describe_configs(asked, config_filter="all").get("topic", {})
    except errors.AuthorizationError:
        return {}
    return found


def _compare(found: Mapping[str, Mapping[str, Any]], topics: list[Topic]) -> tuple[list[Fault], list[str]]:
    """Faults (a cleanup policy that loses what must stay) and differences (times that an operator may choose)."""
    faults, differs = [], []
    for topic in topics:
        for key, wanted in topic.config.items():
            has = found.get(topic.name, {}).get(key, {}).get("value")
            if has is None or set(has.split(",")) == set(wanted.split(",")):
                continue
            if key == "cleanup.policy":
                mend = f"kafka-configs.sh --alter --topic {topic.name} --add-config '{key}=[{wanted}]'"
                faults.append(Fault("kafka", f"{topic.name} has {key}={has}, plaint relies on {wanted}", mend))
            else:
                differs.append(f"{topic.name} has {key}={has}, plaint would set {wanted}")
    return faults, differs

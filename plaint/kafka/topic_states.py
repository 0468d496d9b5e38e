"""How the topics are, beside how plaint wants them. Looks only, changes nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from kafka import errors
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from pydantic import BaseModel, ConfigDict

from plaint.kafka.admin import BrokerAway
from plaint.kafka.settings import KafkaSettings
from schemas.topics import Topic

Found = Literal["there", "missing", "hidden"]
PARTITIONS = "partitions"
RELIED_ON = "cleanup.policy"
"""The one setting on which plaint relies; the others are an operator's to choose."""


class Difference(BaseModel):
    """Something that is other than plaint would set it. ``is_fault``: plaint does not run like that."""

    model_config = ConfigDict(frozen=True)

    key: str
    has: str
    wants: str
    is_fault: bool
    mend: str


class TopicState(BaseModel):
    """One topic as it is.

    ``found`` is ``hidden`` where this user may not look. ``config`` holds all settings that the broker tells, none where it
    tells none. ``leaderless`` are partitions that nobody can write to now, ``lagging`` those with replicas out of sync.
    ``operations`` is what this user may do, None where the broker does not say.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    found: Found
    partitions: int = 0
    replicas: int = 0
    leaderless: tuple[int, ...] = ()
    lagging: tuple[int, ...] = ()
    config: dict[str, str] = {}
    operations: frozenset[str] | None = None
    differences: tuple[Difference, ...] = ()

    @property
    def led(self) -> tuple[int, ...]:
        """Partitions that can be read and written; none of a topic that is not there."""
        return tuple(number for number in range(self.partitions) if number not in self.leaderless)

    def number(self, key: str) -> int | None:
        """A setting that is a number, None where the broker does not tell it."""
        try:
            return int(self.config[key])
        except (KeyError, ValueError):
            return None


def topic_states(admin: KafkaAdminClient, kafka: KafkaSettings, wanted: Sequence[Topic]) -> list[TopicState]:
    """Every wanted topic as it is. Raises BrokerAway where the broker can't say it now, and kafka.errors.KafkaError."""
    described = {found["name"]: found for found in admin.describe_topics([topic.name for topic in wanted])}
    there = [topic for topic in wanted if _kind(described.get(topic.name)) is errors.NoError]
    configs = _configs(admin, there)
    return [_state(topic, described.get(topic.name), configs.get(topic.name, {}), kafka) for topic in wanted]


def _kind(found: Mapping[str, Any] | None) -> Any:
    return errors.UnknownTopicOrPartitionError if found is None else errors.for_code(found["error_code"])


def _state(
    topic: Topic, found: Mapping[str, Any] | None, config: Mapping[str, str], kafka: KafkaSettings
) -> TopicState:
    kind = _kind(found)
    if kind is errors.TopicAuthorizationFailedError:
        return TopicState(name=topic.name, found="hidden")
    if found is None or kind is errors.UnknownTopicOrPartitionError:
        return TopicState(name=topic.name, found="missing")
    if kind is not errors.NoError:
        raise BrokerAway(f"{topic.name}: {kind.__name__}")
    parts = found["partitions"]
    operations = found.get("authorized_operations")
    state = TopicState(
        name=topic.name,
        found="there",
        partitions=len(parts),
        replicas=min((len(part["replica_nodes"]) for part in parts), default=0),
        leaderless=tuple(part["partition_index"] for part in parts if part["leader_id"] < 0),
        lagging=tuple(p["partition_index"] for p in parts if len(p["isr_nodes"]) < len(p["replica_nodes"])),
        config=dict(config),
        operations=None if operations is None else frozenset(_spelt(name) for name in operations),
    )
    return state.model_copy(update={"differences": tuple(_differences(topic, state, kafka))})


def _spelt(operation: str) -> str:
    """``DESCRIBE_CONFIGS`` as kafka-acls.sh has it: ``DescribeConfigs``."""
    return operation.title().replace("_", "")


def _differences(topic: Topic, state: TopicState, kafka: KafkaSettings) -> list[Difference]:
    found = []
    if state.partitions != kafka.partitions:
        mend = (
            f"set kafka.partitions to {state.partitions} if all topics have as many, or delete the topic with what is in "
            "it; a count is fixed for a topic's life, since every record's partition hangs on it"
        )
        count = Difference(
            key=PARTITIONS, has=str(state.partitions), wants=str(kafka.partitions), is_fault=True, mend=mend
        )
        found.append(count)
    if kafka.replication_factor is not None and state.replicas < kafka.replication_factor:
        mend = "kafka-reassign-partitions.sh adds replicas; or set kafka.replication_factor to what you mean"
        found.append(
            Difference(
                key="replication_factor",
                has=str(state.replicas),
                wants=str(kafka.replication_factor),
                is_fault=False,
                mend=mend,
            )
        )
    for key, wants in topic.config.items():
        has = state.config.get(key)
        if has is None or set(has.split(",")) == set(wants.split(",")):
            continue
        value = f"[{wants}]" if "," in wants else wants
        mend = f"kafka-configs.sh --alter --topic {topic.name} --add-config '{key}={value}'"
        found.append(Difference(key=key, has=has, wants=wants, is_fault=key == RELIED_ON, mend=mend))
    return found


def _configs(admin: KafkaAdminClient, there: Sequence[Topic]) -> dict[str, dict[str, str]]:
    """Settings of these topics; nothing of those that the broker keeps to itself."""
    if not there:
        return {}
    # All settings of each: the embedded broker drops a connection that asks for some by name.
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in there]
    try:
        found = admin.describe_configs(asked, config_filter="all").get("topic", {})
    except errors.AuthorizationError:
        return {}
    return {
        name: {key: str(one["value"]) for key, one in config.items() if one.get("value") is not None}
        for name, config in found.items()
    }

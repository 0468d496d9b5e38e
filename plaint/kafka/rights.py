"""What each stage and the tools may do on Kafka, and no more: the least that a platform team has to grant.

``plaint run STAGE`` needs no other right than those of its role: it looks at its own topics only. No role needs Alter or
Delete, none uses transactions. Writing is idempotent, which brokers from 2.8 on allow to whoever may write to a topic.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from schemas import topics

Operation = Literal["Read", "Write", "Describe", "DescribeConfigs", "Create", "IdempotentWrite"]
Kind = Literal["topic", "group", "cluster"]

CLUSTER = "kafka-cluster"
"""The one name that a resource of the kind ``cluster`` has."""
LOOK, ACT = "tools-look", "tools-act"
"""Who looks (status, doctor, tail, explain, dead list, tickets list …) and who acts (send, forget, dead replay …)."""


class Right(BaseModel):
    """One resource, and what may be done with it."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    name: str
    operations: tuple[Operation, ...]
    optional: str = ""
    """What is missing without it, where the role works all the same."""


def roles(destinations: Sequence[str]) -> dict[str, list[Right]]:
    """Every role with its rights: the stages in the order of the way, then the tools."""
    every = [topic.name for topic in topics.all_topics(destinations)]
    stages = {
        "ingest": _writes(topics.POSTS, topics.DEAD_LETTERS),
        "classify": [
            *_reads(topics.POSTS),
            *_writes(topics.TRIAGED, topics.DEAD_LETTERS),
            _group("classify"),
        ],
        "route": [
            *_reads(topics.TRIAGED),
            *_writes(*(topics.tickets(name) for name in destinations), topics.DEAD_LETTERS),
            _group("route"),
        ],
    }
    for name in destinations:
        stages[topics.DELIVER + name] = [
            *_reads(topics.tickets(name)),
            _topic(topics.deliveries(name), "Read", "Write"),
            *_writes(topics.DEAD_LETTERS),
            _group(topics.DELIVER + name),
        ]
    groups = [
        Right(kind="group", name=topics.group(stage), operations=("Describe",)) for stage in stages if stage != "ingest"
    ]
    cluster = Right(
        kind="cluster",
        name=CLUSTER,
        operations=("Describe", "DescribeConfigs"),
        optional="doctor does not see the brokers' disks and how long they keep the offsets of groups",
    )
    tools = {
        LOOK: [*_reads(*every), *groups, cluster],
        ACT: [*_reads(*every), *_writes(*every)],
    }
    return stages | tools


def stage_topics(stage: str, destinations: Sequence[str]) -> list[str]:
    """Names of the topics that a stage uses."""
    return [right.name for right in roles(destinations)[stage] if right.kind == "topic"]


def _topic(name: str, *operations: Operation) -> Right:
    return Right(kind="topic", name=name, operations=(*operations, "Describe", "DescribeConfigs"))


def _reads(*names: str) -> list[Right]:
    return [_topic(name, "Read") for name in names]


def _writes(*names: str) -> list[Right]:
    return [_topic(name, "Write") for name in names]


def _group(stage: str) -> Right:
    return Right(kind="group", name=topics.group(stage), operations=("Read", "Describe"))

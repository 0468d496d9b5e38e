"""The topics and rights of plaint for a platform team: as commands for a shell, as JSON, as YAML."""

import shlex
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from plaint.kafka.rights import Kind, Operation, Right, roles
from plaint.kafka.settings import KafkaSettings
from schemas import topics

ROLE = "{role}"
IDEMPOTENT_WRITE = "Brokers before 2.8 ask everyone who writes for this one as well; newer ones don't."


class TopicPlan(BaseModel):
    """A topic to make; without a replication factor it gets as many replicas as the brokers give a topic themselves."""

    model_config = ConfigDict(frozen=True)

    name: str
    partitions: int
    replication_factor: int | None = None
    config: dict[str, str]


class Grant(BaseModel):
    """What one principal is allowed on one resource, from every host."""

    model_config = ConfigDict(frozen=True)

    role: str
    principal: str
    resource_type: Kind
    resource_name: str
    pattern_type: str = "literal"
    operations: tuple[Operation, ...]
    optional: str = ""


class Plan(BaseModel):
    """All that has to be on the brokers before plaint runs without a right to create anything."""

    model_config = ConfigDict(frozen=True)

    topics: tuple[TopicPlan, ...]
    grants: tuple[Grant, ...]

    def as_json(self) -> str:
        """For a program that makes them."""
        return self.model_dump_json(indent=2, exclude_none=True)

    def as_yaml(self) -> str:
        """For a repository from which topics and rights are kept in step."""
        fields: dict[str, Any] = self.model_dump(mode="json", exclude_none=True)
        return yaml.safe_dump(fields, sort_keys=False, width=120)

    def as_commands(self, bootstrap: str) -> str:
        """A POSIX shell script of Kafka's own tools; safe to run again."""
        head = _HEAD.replace("BOOTSTRAP_DEFAULT", shlex.quote(bootstrap or "kafka.example.com:9092"))
        return head + "\n".join([*map(_create, self.topics), *_allow(self.grants), ""])


_HEAD = """#!/bin/sh
# Topics and rights of plaint. Run it as somebody who may create both; it can be run again.
# BOOTSTRAP names the brokers, ADMIN_CONFIG a file with the properties of that user (--command-config).
set -eu
BOOTSTRAP=${BOOTSTRAP:-BOOTSTRAP_DEFAULT}
topics() { kafka-topics.sh --bootstrap-server "$BOOTSTRAP" ${ADMIN_CONFIG:+--command-config "$ADMIN_CONFIG"} "$@"; }
acls() { kafka-acls.sh --bootstrap-server "$BOOTSTRAP" ${ADMIN_CONFIG:+--command-config "$ADMIN_CONFIG"} "$@"; }

"""


def plan(kafka: KafkaSettings, destinations: Sequence[str], principal: str) -> Plan:
    """What these settings need. ``{role}`` in ``principal`` stands for the role: a user for each stage and tool."""
    wanted = tuple(
        TopicPlan(
            name=topic.name,
            partitions=kafka.partitions,
            replication_factor=kafka.replication_factor,
            config=topic.config,
        )
        for topic in topics.all_topics(destinations)
    )
    return Plan(
        topics=wanted,
        grants=tuple(
            _grant(role, principal, right) for role, rights in roles(destinations).items() for right in rights
        ),
    )


def allow(bootstrap: str, principal: str, right: Right) -> str:
    """The command that grants one right, for a message."""
    arguments = _arguments(principal, right.kind, [right.name], right.operations)
    return f"kafka-acls.sh --bootstrap-server {bootstrap} {arguments}"


def _grant(role: str, principal: str, right: Right) -> Grant:
    return Grant(
        role=role,
        principal=principal.replace(ROLE, role),
        resource_type=right.kind,
        resource_name=right.name,
        operations=right.operations,
        optional=right.optional,
    )


def _create(topic: TopicPlan) -> str:
    config = "".join(f" --config {key}={value}" for key, value in topic.config.items())
    replicas = "" if topic.replication_factor is None else f" --replication-factor {topic.replication_factor}"
    counts = f"--partitions {topic.partitions}{replicas}"
    return f"topics --create --if-not-exists --topic {topic.name} {counts}{config}"


def _allow(grants: Sequence[Grant]) -> list[str]:
    """One command for all resources of a role with the same operations."""
    alike: dict[tuple[str, str, Kind, tuple[Operation, ...], str], list[str]] = defaultdict(list)
    for grant in grants:
        key = grant.role, grant.principal, grant.resource_type, grant.operations, grant.optional
        alike[key].append(grant.resource_name)
    lines, before = [], ""
    for (role, principal, kind, operations, optional), names in alike.items():
        lines += [f"\n# {role}"] if role != before else []
        lines += [f"# without the next one {optional}"] if optional else []
        lines.append(f"acls {_arguments(principal, kind, names, operations)}")
        before = role
    old = sorted({grant.principal for grant in grants})
    lines.append(f"\n# {IDEMPOTENT_WRITE}")
    lines += [f"# acls {_arguments(who, 'cluster', [''], ('IdempotentWrite',))}" for who in old]
    return lines


def _arguments(principal: str, kind: Kind, names: Sequence[str], operations: Sequence[Operation]) -> str:
    where = "--cluster" if kind == "cluster" else " ".join(f"--{kind} {name}" for name in names)
    what = " ".join(f"--operation {operation}" for operation in operations)
    return f"--add --allow-principal {shlex.quote(principal)} {where} {what}"

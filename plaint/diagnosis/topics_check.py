"""Topics, rights, groups and disks as the brokers tell of them, in one visit."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import errors
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from plaint.diagnosis.brokers import alive
from plaint.diagnosis.check import Check, checked, skipped
from plaint.diagnosis.finding import Finding, fail, warn
from plaint.kafka.admin import open_admin
from plaint.kafka.certificate import CERTFILE
from plaint.kafka.grants import allow
from plaint.kafka.groups import GroupState, group_states
from plaint.kafka.publisher import MAX_BATCH_BYTES
from plaint.kafka.rights import Right, roles
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topic_states import TopicState, topic_states
from plaint.terminal import span
from schemas import topics

VISIT_S = 8.0
DISK_WARN, DISK_FAIL = 0.10, 0.02
"""Shares of a broker's disk that should be free, and must be."""
MB = 1_000_000
KAFKAS_LARGEST = 1_048_588
"""What Kafka takes for max.message.bytes where nobody sets it."""
COORDINATOR = "the broker that keeps it is down, or its disk is full: look at its log"


@dataclass(frozen=True)
class Visit:
    """What the brokers told. ``cluster`` is what this user may do with the cluster, None where they don't say.

    ``offsets_kept_s`` is how long a group's offsets are kept after its last member left; ``disks`` are the brokers' log
    directories, None where this user may not see them or the broker does not know.
    """

    states: Sequence[TopicState]
    groups: Mapping[str, GroupState]
    cluster: frozenset[str] | None
    brokers: int
    offsets_kept_s: float | None
    disks: Sequence[Mapping[str, Any]] | None


def visit(kafka: KafkaSettings, destinations: Sequence[str]) -> Visit:
    """Ask everything. Raises BrokerAway or kafka.errors.KafkaError."""
    groups = [right.name for rights in roles(destinations).values() for right in rights if right.kind == "group"]
    with open_admin(kafka, VISIT_S) as admin:
        told = admin.describe_cluster()
        allowed = told.get("authorized_operations")
        ids = [broker["broker_id"] for broker in alive(told)]
        return Visit(
            states=topic_states(admin, kafka, topics.all_topics(destinations)),
            groups=group_states(admin, dict.fromkeys(groups)),
            cluster=None if allowed is None else frozenset(name.title().replace("_", "") for name in allowed),
            brokers=len(ids),
            offsets_kept_s=_offsets_kept(admin, ids),
            disks=_disks(admin),
        )


def _offsets_kept(admin: KafkaAdminClient, ids: Sequence[int]) -> float | None:
    asked = [ConfigResource(ConfigResourceType.BROKER, str(number)) for number in ids]
    try:
        found = admin.describe_configs(asked, config_filter="all").get("broker", {})
    except errors.KafkaError:
        return None
    kept = [one["offsets.retention.minutes"]["value"] for one in found.values() if "offsets.retention.minutes" in one]
    return min((60.0 * int(minutes) for minutes in kept), default=None)


def _disks(admin: KafkaAdminClient) -> Sequence[Mapping[str, Any]] | None:
    try:
        told = admin.describe_log_dirs()
    except errors.KafkaError:
        return None
    found = [{"broker": one["broker"], **folder} for one in told for folder in one["log_dirs"]]
    return found or None


# -- topics ------------------------------------------------------------------------------------------------------------


def check_topics(seen: Visit) -> Check:
    """Missing, with another partition count or policy, without a leader; what an operator chose otherwise is told."""
    found = [finding for state in seen.states for finding in _topic(state, seen.brokers)]
    return checked("topics", f"{len(seen.states)} topics of plaint", found)


def unusable(state: TopicState) -> Iterator[Finding]:
    """What keeps a topic from being read or written at all."""
    if state.found == "missing":
        mend = "`plaint topics --create` makes it, or a stage that starts; `plaint topics --print` tells a platform team how"
        yield fail(state.name, "is missing", mend)
    elif state.found == "hidden":
        yield fail(state.name, "this user may not see it", "`plaint topics --print` has the rights that it needs")
    if state.leaderless:
        parts = ", ".join(map(str, state.leaderless))
        mend = "a broker is down, or its disk is full or broken: look at the brokers' logs"
        yield fail(state.name, f"nobody leads partition {parts}: it can be neither read nor written", mend)


def _topic(state: TopicState, brokers: int) -> Iterator[Finding]:
    yield from unusable(state)
    if state.lagging and not state.leaderless:
        parts = ", ".join(map(str, state.lagging))
        yield warn(state.name, f"replicas of partition {parts} are out of sync", "look whether all brokers run")
    for one in state.differences:
        kind = fail if one.is_fault else warn
        yield kind(state.name, f"{one.key} is {one.has}, plaint would set {one.wants}", one.mend)
    largest = state.number("max.message.bytes")
    if largest is not None and largest < MAX_BATCH_BYTES:
        what = (
            f"max.message.bytes is {largest}: a stage that writes more at once, up to {MAX_BATCH_BYTES}, ends with 70"
        )
        mend = f"kafka-configs.sh --alter --topic {state.name} --add-config max.message.bytes={KAFKAS_LARGEST}"
        yield fail(state.name, what, mend)
    if brokers > 1 and state.found == "there":
        yield from _replication(state, brokers)


def _replication(state: TopicState, brokers: int) -> Iterator[Finding]:
    """What the end or the restart of one broker of several would do to a topic."""
    in_sync = state.number("min.insync.replicas")
    alter = f"kafka-configs.sh --alter --topic {state.name} --add-config min.insync.replicas="
    if state.replicas == 1:
        mend = (
            "kafka-reassign-partitions.sh adds replicas; for topics that are made later set kafka.replication_factor, or "
            "default.replication.factor on the brokers"
        )
        yield warn(state.name, f"has one replica on {brokers} brokers: it is gone with its broker", mend)
    elif in_sync is None:
        return
    elif in_sync >= state.replicas:
        what = (
            f"min.insync.replicas is {in_sync} with {state.replicas} replicas: while one broker that has it restarts, nobody "
            "can write to it"
        )
        more = "kafka-reassign-partitions.sh adds a replica; or " if brokers > state.replicas == in_sync else ""
        yield warn(state.name, what, f"{more}{alter}{state.replicas - 1}")
    elif in_sync == 1 and state.replicas > 2:
        what = (
            f"min.insync.replicas is 1 with {state.replicas} replicas: a record that only one broker has is acknowledged, and "
            "lost if that one dies"
        )
        yield warn(state.name, what, f"{alter}2")


# -- rights ------------------------------------------------------------------------------------------------------------


def check_rights(seen: Visit, destinations: Sequence[str], kafka: KafkaSettings, only: Collection[str]) -> Check:
    """What each role needs and this user lacks, by what the brokers say that it may do: nothing is written to find out.

    ``only`` are the roles to look at, all if there are none.
    """
    user = kafka.principal() or "User:ANONYMOUS"
    wanted = {role: rights for role, rights in roles(destinations).items() if not only or role in only}
    if all(state.operations is None for state in seen.states if state.found == "there") and not _hidden(seen):
        return skipped("rights", "the broker does not tell what a user may do")
    lacks: dict[Right, list[str]] = {}
    for role, rights in wanted.items():
        for right in rights:
            if missing := _missing(right, seen):
                lack = right.model_copy(update={"operations": missing})
                lacks.setdefault(lack, []).append(role)
    found = [_lack(right, names, user, kafka.brokers[0]) for right, names in lacks.items()]
    one_for_all = "; with a user for each, --stage names one" if found and not only else ""
    mapped = "; ssl.principal.mapping.rules of the brokers may name it otherwise" if kafka.user_key == CERTFILE else ""
    return checked("rights", f"{user} as {', '.join(wanted)}{one_for_all}{mapped}", found)


def _hidden(seen: Visit) -> bool:
    return any(state.found == "hidden" for state in seen.states) or any(one.refused for one in seen.groups.values())


def _missing(right: Right, seen: Visit) -> tuple[Any, ...]:
    """Operations that the broker does not allow; none where it does not say."""
    allowed: frozenset[str] | None
    wanted = right.operations
    if right.kind == "topic":
        state = next(one for one in seen.states if one.name == right.name)
        allowed = frozenset() if state.found == "hidden" else state.operations
    elif right.kind == "group":
        wanted = tuple(one for one in wanted if one != "DescribeConfigs")
        group = seen.groups[right.name]
        allowed = frozenset() if group.refused else group.operations
    else:
        allowed = seen.cluster
    return () if allowed is None else tuple(one for one in wanted if one not in allowed)


def _lack(right: Right, names: Sequence[str], user: str, bootstrap: str) -> Finding:
    where = "the cluster" if right.kind == "cluster" else right.name
    only_looks = set(right.operations) <= {"DescribeConfigs"}
    without = f": without it {right.optional}" if right.optional else ""
    what = f"{user} lacks {' and '.join(right.operations)} on {where}, for {', '.join(names)}{without}"
    kind = warn if right.optional or only_looks else fail
    return kind(where, what, allow(bootstrap, user, right))


# -- groups ------------------------------------------------------------------------------------------------------------


def check_groups(seen: Visit) -> Check:
    """Whether a stage that was away finds where it was: its offsets must outlive what lies in its topic."""
    lost = [
        fail(group.name, f"can't be looked at: {group.trouble}", COORDINATOR)
        for group in seen.groups.values()
        if group.trouble
    ]
    if lost:
        return checked("groups", "the brokers that keep the groups", lost)
    if seen.offsets_kept_s is None:
        return skipped("groups", "the broker does not tell how long it keeps the offsets of groups")
    kept = seen.offsets_kept_s
    longer = [(state.name, ms / 1000) for state in seen.states if (ms := _aged(state)) is not None and ms / 1000 > kept]
    found = []
    if longer:
        name, wanted = max(longer, key=lambda one: one[1])
        what = (
            f"offsets of a stage that was away for {span(kept)} are forgotten, but {name} keeps records for {span(wanted)}: "
            "it would read them all again"
        )
        minutes = int(wanted // 60)
        found.append(warn("offsets.retention.minutes", what, f"set offsets.retention.minutes={minutes} on the brokers"))
    return checked("groups", f"offsets are kept for {span(kept)} after a group's last member left", found)


def _aged(state: TopicState) -> int | None:
    """How long a topic that a group reads keeps records, in ms."""
    read = state.name in (topics.POSTS, topics.TRIAGED) or state.name.startswith(topics.tickets(""))
    return state.number("retention.ms") if read and "delete" in state.config.get("cleanup.policy", "") else None


# -- the brokers' disks ------------------------------------------------------------------------------------------------


def check_disks(seen: Visit) -> Check:
    """How much room the brokers have left where they keep their logs."""
    name = "broker-disks"
    if seen.disks is None:
        return skipped(name, "the brokers don't tell, or this user may not ask (Describe on the cluster)")
    found = [finding for disk in seen.disks for finding in _disk(disk)]
    free = [_free(disk) for disk in seen.disks if _free(disk) is not None]
    looked = f"{len(seen.disks)} log directories" + (f", least free {min(free):.0%}" if free else "")
    return checked(name, looked, found)


def _free(disk: Mapping[str, Any]) -> Any:
    total, usable = disk.get("total_bytes") or -1, disk.get("usable_bytes", -1)
    return usable / total if total > 0 and usable >= 0 else None


def _disk(disk: Mapping[str, Any]) -> Iterator[Finding]:
    where, share = f"broker {disk['broker']}", _free(disk)
    kind = errors.for_code(disk.get("error_code", 0))
    mend = f"free space there or make it larger{_largest(disk)}; a broker whose disk is full stops taking records"
    if kind not in (errors.NoError, errors.ClusterAuthorizationFailedError):
        what = f"its log directory {disk.get('log_dir', '')} can't be used: {kind.__name__}"
        yield fail(where, what, "its disk failed or is full: its log says which; after mending it restart the broker")
    if share is not None and share < DISK_WARN:
        left = f"{disk['usable_bytes'] / MB:,.0f} MB ({share:.1%}) are free in {disk['log_dir']}"
        yield (fail if share < DISK_FAIL else warn)(where, left, mend)


def _largest(disk: Mapping[str, Any]) -> str:
    sizes = {one["name"]: sum(part["partition_size"] for part in one["partitions"]) for one in disk.get("topics", [])}
    if not sizes or not max(sizes.values()):
        return ""
    name = max(sizes, key=lambda one: sizes[one])
    return f", or shorten retention.ms of its largest topic ({name}, {sizes[name] / MB:,.0f} MB)"

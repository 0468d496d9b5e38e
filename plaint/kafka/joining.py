"""Whether a stage may read what it works on: where it may not, Faust says nothing and waits for its place in its group for
ever, or ends without a word on the right that is missing.
"""

from collections.abc import Mapping, Sequence

from kafka.errors import KafkaError

from plaint.kafka.admin import BrokerAway, open_admin
from plaint.kafka.grants import allow
from plaint.kafka.groups import group_states
from plaint.kafka.rights import Right, roles
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topic_states import topic_states
from schemas.faults import Fault, FaultsFound
from schemas.topics import Topic

LIMIT_S = 10.0
READ = "Read"


class JoinRefused(FaultsFound):
    """The brokers don't let this user read a topic of a stage, or be in its group."""


def require_reads(kafka: KafkaSettings, stage: str, destinations: Sequence[str]) -> None:
    """Raises JoinRefused where the brokers say that the user that they know lacks the right; where they don't say, it may."""
    wanted = [right for right in roles(destinations)[stage] if READ in right.operations]
    user = kafka.principal()
    if not wanted or user is None:
        return
    try:
        allowed = _allowed(kafka, wanted)
    except (BrokerAway, KafkaError):
        return
    if faults := [_fault(kafka, user, right) for right in wanted if READ not in allowed.get(right.name, {READ})]:
        raise JoinRefused(faults)


def _allowed(kafka: KafkaSettings, wanted: Sequence[Right]) -> Mapping[str, frozenset[str]]:
    """What this user may do with each, of those of which the brokers say it. Raises BrokerAway or KafkaError."""
    by_kind = {kind: [right.name for right in wanted if right.kind == kind] for kind in ("topic", "group")}
    with open_admin(kafka, LIMIT_S) as admin:
        groups = group_states(admin, by_kind["group"]).values()
        states = topic_states(admin, kafka, [Topic(name) for name in by_kind["topic"]])
    told = {group.name: frozenset[str]() if group.refused else group.operations for group in groups}
    told |= {state.name: state.operations or None for state in states}  # who sees a topic may at least describe it
    return {name: operations for name, operations in told.items() if operations is not None}


def _fault(kafka: KafkaSettings, user: str, right: Right) -> Fault:
    where = f"the group {right.name}" if right.kind == "group" else right.name
    return Fault(kafka.user_key, f"{user} lacks {READ} on {where}", allow(kafka.brokers[0], user, right))

"""Whether a stage may be in its group: where it may not, Faust says nothing and waits for its place for ever."""

from collections.abc import Sequence

from kafka.errors import KafkaError

from plaint.kafka.admin import BrokerAway, open_admin
from plaint.kafka.grants import allow
from plaint.kafka.groups import GroupState, group_states
from plaint.kafka.rights import Right, roles
from plaint.kafka.settings import KafkaSettings
from schemas.faults import Fault, FaultsFound

LIMIT_S = 10.0
READ = "Read"


class JoinRefused(FaultsFound):
    """The brokers don't let this user be in the group of a stage."""


def require_group(kafka: KafkaSettings, stage: str, destinations: Sequence[str]) -> None:
    """Raises JoinRefused where the brokers say that the user that they know lacks the right; where they don't say, it may."""
    wanted = [right for right in roles(destinations)[stage] if right.kind == "group"]
    user = kafka.principal()
    if not wanted or user is None:
        return
    try:
        with open_admin(kafka, LIMIT_S) as admin:
            states = group_states(admin, [right.name for right in wanted])
    except (BrokerAway, KafkaError):
        return
    if faults := [_fault(kafka, user, right) for right in wanted if _may_not_join(states[right.name])]:
        raise JoinRefused(faults)


def _may_not_join(group: GroupState) -> bool:
    return bool(group.refused) or (group.operations is not None and READ not in group.operations)


def _fault(kafka: KafkaSettings, user: str, right: Right) -> Fault:
    what = f"{user} lacks {READ} on the group {right.name}"
    return Fault(kafka.user_key, what, allow(kafka.brokers[0], user, right))

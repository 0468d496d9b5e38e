"""Whether a stage may be in its group: where it may not, Faust says nothing and waits for its place for ever."""

from collections.abc import Sequence

from kafka.errors import KafkaError

from plaint.kafka.admin import open_admin
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
    """Raises JoinRefused where the brokers say that the user who logs in lacks the right, BrokerAway if none answers."""
    wanted = [right for right in roles(destinations)[stage] if right.kind == "group"]
    if not wanted or not kafka.sasl_username:
        return
    with open_admin(kafka, LIMIT_S) as admin:
        try:
            states = group_states(admin, [right.name for right in wanted])
        except KafkaError:  # they don't tell
            return
    if faults := [_fault(kafka, right) for right in wanted if _may_not_join(states[right.name])]:
        raise JoinRefused(faults)


def _may_not_join(group: GroupState) -> bool:
    return bool(group.refused) or (group.operations is not None and READ not in group.operations)


def _fault(kafka: KafkaSettings, right: Right) -> Fault:
    user = f"User:{kafka.sasl_username}"
    return Fault(
        "kafka.sasl_username", f"{user} lacks {READ} on the group {right.name}", allow(kafka.brokers[0], user, right)
    )

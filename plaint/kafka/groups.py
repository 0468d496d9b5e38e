"""Consumer groups as their coordinators describe them."""

import time
from collections.abc import Iterable
from typing import Any

from kafka import errors
from kafka.admin import KafkaAdminClient
from kafka.protocol.admin import DescribeGroupsRequest
from pydantic import BaseModel, ConfigDict

TRIES, WAIT_S = 8, 0.25
PASSING = (
    errors.CoordinatorNotAvailableError,
    errors.CoordinatorLoadInProgressError,
    errors.NotCoordinatorError,
)
_BITS = {3: "Read", 6: "Delete", 8: "Describe"}
"""Operations on groups, by the bit that stands for them (ACLOperation)."""
_SIGN = 31
"""The bit that is set where a broker does not tell rights: the least number of 32 bits."""


class GroupState(BaseModel):
    """One group. ``state`` is Kafka's: Stable, Empty, Dead, PreparingRebalance, CompletingRebalance.

    ``refused`` names the right that is missing to look at it, ``trouble`` why it can't be looked at now. ``committed`` is
    where it goes on, by topic and partition.
    ``operations`` is what this user may do with it, None where the broker does not say.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    state: str = ""
    members: int = 0
    committed: dict[str, dict[int, int]] = {}
    operations: frozenset[str] | None = None
    refused: str = ""
    trouble: str = ""


def group_states(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, GroupState]:
    """Each group; one that can't be looked at is told as such. Raises kafka.errors.KafkaError for what else fails.

    A new cluster makes its topic of groups when it is first asked for one: that is waited for, for two seconds in all.
    """
    patience = Patience(TRIES)
    return {name: _waited(admin, name, patience) for name in names}


def committed_offsets(admin: KafkaAdminClient, name: str) -> dict[str, dict[int, int]]:
    """Where a group goes on, by topic and partition; empty where it never acknowledged. Raises KafkaError."""
    found: dict[str, dict[int, int]] = {}
    for where, offset in admin.list_group_offsets({name: None})[name].items():
        if offset.offset >= 0:
            found.setdefault(where.topic, {})[where.partition] = offset.offset
    return found


class Patience:
    """A number of waits that is shared by several questions."""

    def __init__(self, waits: int) -> None:
        self._left = waits

    def wait(self) -> bool:
        """Wait a little, if any wait is left."""
        self._left -= 1
        if self._left >= 0:
            time.sleep(WAIT_S)
        return self._left >= 0


def _waited(admin: KafkaAdminClient, name: str, patience: Patience) -> GroupState:
    while True:
        try:
            return _group(admin, name)
        except PASSING as error:
            if not patience.wait():
                return GroupState(name=name, trouble=type(error).__name__)
            admin._manager.cluster._coordinators.clear()  # else the client goes on asking the same broker


def _group(admin: KafkaAdminClient, name: str) -> GroupState:
    try:
        described = admin._manager.run(_described, admin, name)
        kind = errors.for_code(described.error_code)
        if kind is errors.GroupAuthorizationFailedError:
            return GroupState(name=name, refused=kind.__name__)
        if kind not in (errors.NoError, errors.GroupIdNotFoundError):
            raise kind(name)
        return GroupState(
            name=name,
            state=described.group_state or "Dead",
            members=len(described.members),
            committed=committed_offsets(admin, name),
            operations=_operations(described.authorized_operations),
        )
    except errors.GroupAuthorizationFailedError as error:
        return GroupState(name=name, refused=type(error).__name__)


async def _described(admin: KafkaAdminClient, name: str) -> Any:
    """The answer as it stands: the client's own method fails on operations that it does not know, such as Kafka 4's."""
    node = await admin._find_coordinator_id(name)
    request = DescribeGroupsRequest(groups=[name], include_authorized_operations=True)
    answer = await admin._manager.send(request, node_id=node)
    return answer.groups[0]


def _operations(bits: set[int] | None) -> frozenset[str] | None:
    if not bits or _SIGN in bits:
        return None
    return frozenset(name for bit, name in _BITS.items() if bit in bits)

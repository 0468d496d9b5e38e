"""Lets aiokafka, and Faust on top of it, say that another process goes by the same name in its group.

A static member whose name another process takes is thrown out, joins again at once, and throws that one out: the two go on so
for ever, and neither gets to work. aiokafka 0.14 hears only that the broker does not know it, as after a silence of a session.
A member that was counted in less than a session ago has not been silent, so a namesake took its place.
"""

import logging
import time
from typing import Any

from aiokafka.consumer import consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import NoError, UnknownMemberIdError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

log = logging.getLogger(__name__)

OF_MEMBERS = (HeartbeatRequest, SyncGroupRequest, OffsetCommitRequest)
"""Requests that are answered to members only."""
SAY_S = 60.0
"""It is said again after so long."""


def tell_of_namesakes() -> None:
    """From now on a static member says where another one has its name; for all consumers that this process makes."""
    consumer.GroupCoordinator = _Coordinator


class _Coordinator(GroupCoordinator):  # type: ignore[misc]
    _counted_at = _said_at = float("-inf")

    async def _send_req(self, request: Any) -> Any:
        asked_at = time.monotonic()
        answer = await super()._send_req(request)
        if self._group_instance_id is not None and isinstance(request, OF_MEMBERS):
            self._hear(_codes(answer), asked_at)
        return answer

    def _hear(self, codes: set[int], asked_at: float) -> None:
        if codes == {NoError.errno}:
            self._counted_at = asked_at
        elif UnknownMemberIdError.errno in codes and asked_at - self._counted_at < self._session_timeout_ms / 1000:
            self._say(asked_at)

    def _say(self, now: float) -> None:
        if now - self._said_at >= SAY_S:
            self._said_at = now
            log.error(
                "another process of group %s runs with PLAINT_INSTANCE=%s: each takes the other's place, and none gets to work",
                self.group_id,
                self._group_instance_id,
            )


def _codes(answer: Any) -> set[int]:
    if hasattr(answer, "error_code"):
        return {answer.error_code}
    return {code for _, partitions in answer.topics for _, code in partitions}

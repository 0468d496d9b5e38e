"""Lets aiokafka, and Faust on top of it, say that another process goes by the same name in its group.

A static member whose name another process takes is thrown out, joins again at once, and throws that one out: the two go on so
for ever, and neither gets to work. aiokafka 0.14 hears only that the broker does not know it, as after a silence of a session.
A member that was counted in less than a session ago has not been silent, so a namesake took its place. One that was not counted
in yet, since both came at once, is told that it is fenced, which aiokafka calls an unknown error.
"""

import logging
import time
from typing import Any

from aiokafka.consumer import consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import NoError, UnknownMemberIdError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest

log = logging.getLogger(__name__)

OF_MEMBERS = (HeartbeatRequest, JoinGroupRequest, SyncGroupRequest, OffsetCommitRequest)
"""Requests whose answer says whether this is a member."""
FENCED = 82
"""FENCED_INSTANCE_ID: a later member has the name."""
SAY_S = 60.0
"""It is said again after so long."""


def tell_of_namesakes() -> None:
    """From now on a static member says where another one has its name; for all consumers that this process makes."""
    consumer.GroupCoordinator = _Coordinator


class _Coordinator(GroupCoordinator):  # type: ignore[misc]
    _counted_at = _said_at = float("-inf")

    async def _send_req(self, request: Any) -> Any:
        member, asked_at = self.member_id, time.monotonic()
        answer = await super()._send_req(request)
        if self._group_instance_id is not None and isinstance(request, OF_MEMBERS):
            self._hear(_codes(answer), member, asked_at)
        return answer

    def _hear(self, codes: set[int], member: str, asked_at: float) -> None:
        """``member`` is the id under which it was asked, empty before it has one: nobody is known without."""
        now = time.monotonic()  # an answer may be as late as a session is long
        was_silent = now - self._counted_at >= self._session_timeout_ms / 1000
        if codes == {NoError.errno}:
            self._counted_at = asked_at
        elif FENCED in codes or (member and UnknownMemberIdError.errno in codes and not was_silent):
            self._say(now)

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

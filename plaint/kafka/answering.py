"""Lets aiokafka, and Faust on top of it, give up a broker that says nothing: it hangs, or its machine lost its power.

Nothing is refused then, and aiokafka 0.14 waits a whole ``request_timeout_ms`` for each answer and for each new connection, in
which it makes no other one. That time has to be as long here as a group takes to gather, or as a batch may wait to be written:
a cluster that had other leaders after ten seconds was not asked for them for minutes. So the two are told apart, and the times
are those of Java's client.
"""

import asyncio
from typing import Any

from aiokafka import conn
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.group import JoinGroupRequest

CONNECT_S = 10.0
ANSWER_S = 30.0


def give_up_the_silent() -> None:
    """From now on a broker has CONNECT_S to take a connection and ANSWER_S for an answer, or less where a client asks for less;
    for all clients of aiokafka that this process makes.
    """
    conn.AIOKafkaConnection = _Connection


class _Connection(AIOKafkaConnection):  # type: ignore[misc]
    _request_timeout: float

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._longest_s = self._request_timeout

    async def connect(self) -> Any:
        try:
            async with asyncio.timeout(min(CONNECT_S, self._longest_s)):
                return await super().connect()
        except TimeoutError:
            raise KafkaConnectionError(f"no answer within {CONNECT_S:.0f} s") from None

    def send(self, request: Any, expect_response: bool = True) -> Any:
        # A join is answered once all members of the group have joined.
        joins = isinstance(request, JoinGroupRequest)
        self._request_timeout = self._longest_s if joins else min(ANSWER_S, self._longest_s)
        return super().send(request, expect_response)

"""Lets consumers of aiokafka be stopped while no broker answers.

A fetch of aiokafka 0.14 that failed rests before the next one. Stopped meanwhile it ends as cancelled, unlike one that waits
for its answer, and takes along whoever stops the consumer: what they had to do after that is left undone.
"""

import asyncio
from typing import Any

from aiokafka.consumer import consumer
from aiokafka.consumer.fetcher import Fetcher


def stop_while_away() -> None:
    """From now on a fetch that rests ends quietly; for all consumers that this process makes."""
    consumer.Fetcher = _Fetcher


class _Fetcher(Fetcher):  # type: ignore[misc]
    async def _proc_fetch_request(self, *request: Any) -> bool:
        try:
            needs_wakeup: bool = await super()._proc_fetch_request(*request)
        except asyncio.CancelledError:
            return False  # as it says itself where that comes while it waits
        return needs_wakeup

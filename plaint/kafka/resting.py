"""Lets aiokafka, and Faust on top of it, rest while no broker answers.

A producer of aiokafka 0.14 that holds a batch whose partition has no leader asks for the cluster's metadata until it has
one. Where the connection is refused, as it is once a broker was stopped in order, each try fails at once and the next one
follows at once: thousands of them a second, two lines of log each, and a core kept busy.
"""

import asyncio
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import consumer
from aiokafka.producer import producer

REST_S = 1.0
"""Between two questions that nobody answers; so much later it may be noticed that a broker is back."""


def rest_while_away() -> None:
    """From now on whoever finds no broker that tells the metadata rests before asking again; for all producers and consumers
    that this process makes.
    """
    producer.AIOKafkaClient = consumer.AIOKafkaClient = _RestingClient


class _RestingClient(AIOKafkaClient):  # type: ignore[misc]
    async def _metadata_update(self, cluster_metadata: Any, topics: Any) -> bool:
        updated: bool = await super()._metadata_update(cluster_metadata, topics)
        if not updated:
            await asyncio.sleep(REST_S)
        return updated

"""Lets aiokafka, and Faust on top of it, rest while no broker answers, or while a partition has no leader.

A producer of aiokafka 0.14 that holds a batch whose partition has no leader asks for the cluster's metadata until it has
one, and so does a consumer of such a partition. Where the connection is refused, as it is once a broker was stopped in order,
each try fails at once and the next one follows at once: thousands of them a second, two lines of log each, and a core kept
busy. Where other brokers live they answer each, as fast as they can.
"""

import asyncio
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer import consumer
from aiokafka.producer import producer

REST_S = 1.0
"""Between two questions that nobody answers; so much later it may be noticed that a broker is back."""
LEADERLESS_REST_S = 0.2
"""Between two questions while a partition has no leader."""
NOBODY = -1


def rest_while_away() -> None:
    """From now on whoever finds no broker that tells the metadata, or a partition without a leader in it, rests before asking
    again; for all producers and consumers that this process makes.
    """
    producer.AIOKafkaClient = consumer.AIOKafkaClient = _RestingClient


class _RestingClient(AIOKafkaClient):  # type: ignore[misc]
    async def _metadata_update(self, cluster_metadata: Any, topics: Any) -> bool:
        updated: bool = await super()._metadata_update(cluster_metadata, topics)
        if not updated:
            await asyncio.sleep(REST_S)
        elif any(_lacks_leader(cluster_metadata, topic) for topic in topics or cluster_metadata.topics()):
            await asyncio.sleep(LEADERLESS_REST_S)
        return updated


def _lacks_leader(cluster: ClusterMetadata, topic: str) -> bool:
    """Whether a partition of ``topic`` has none, or nobody may know: it is gone, or it may no longer be seen."""
    numbers = cluster.partitions_for_topic(topic)
    return not numbers or any(cluster.leader_for_partition(TopicPartition(topic, one)) == NOBODY for one in numbers)

"""The consumer of one destination's tickets."""

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from plaint.kafka.consumer import new_consumer
from plaint.kafka.namesake import tell_of_namesakes
from plaint.kafka.settings import KafkaSettings
from schemas import topics


def tickets_consumer(kafka: KafkaSettings, name: str, instance: str | None) -> AIOKafkaConsumer:
    """Reads what its group has not acknowledged, from the earliest on; nothing is acknowledged by itself.

    Sticky, since the memory of a partition is kept: who had it before takes it up again at once.
    """
    tell_of_namesakes()
    return new_consumer(
        kafka,
        client_id=f"plaint-deliver-{name}",
        group_id=topics.group(topics.DELIVER + name),
        group_instance_id=instance,
        session_timeout_ms=int(kafka.session_timeout_s * 1000),
        heartbeat_interval_ms=int(kafka.heartbeat_s * 1000),
        rebalance_timeout_ms=int(kafka.rebalance_timeout_s * 1000),
        request_timeout_ms=int(kafka.rebalance_timeout_s * 1000) + 10_000,  # a join is answered when all have joined
        partition_assignment_strategy=(StickyPartitionAssignor,),
    )

"""Leaves the backlog in Kafka while too many tickets are unsettled."""

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from route.delivery.lane import Lane

REFILL = 0.8
"""Share of the window below which paused partitions are read again."""


class Window:
    """Pauses partitions of the tickets topic and lets them go on; polling never stops, as the group demands.

    Tickets whose bodies were left in the log take no room in it: a destination that refuses some for hours must not hold
    up the others. How many there may be of both is bounded by the backlog.
    """

    def __init__(self, size: int, backlog: int, consumer: AIOKafkaConsumer) -> None:
        self._size = size
        self._backlog = backlog
        self._consumer = consumer
        self.is_full = False

    def regulate(self, lanes: Mapping[TopicPartition, Lane]) -> None:
        """Look how many tickets these partitions hold; they must be assigned."""
        held = sum(lane.fold.held for lane in lanes.values()) / self._size
        known = sum(len(lane.fold.open) for lane in lanes.values()) / self._backlog
        if not self.is_full and max(held, known) >= 1:
            self.is_full = True
            self._consumer.pause(*lanes)
        elif self.is_full and max(held, known) < REFILL:
            self.is_full = False
            self._consumer.resume(*lanes)

"""For how long this process certainly owns its partitions."""

from collections.abc import Callable

from plaint.kafka.settings import KafkaSettings

MARGIN_S = 0.5
LOG_WRITE_S = 5.0
"""What a write of the log may take on a sound broker, so that a request and its outcome fit into a rebalance."""


class Lease:
    """An accepted offset commit proves that the group counted this process in when the commit began.

    Nobody else gets its partitions until a session timeout has passed without a sign of life, or a rebalance has waited
    for it in vain. So a process that was stopped for longer than that finds its lease run out when it wakes, before it
    can send anything. ``now`` must be a clock that only goes forward, suspension included.
    """

    def __init__(self, kafka: KafkaSettings, now: Callable[[], float]) -> None:
        self._length_s = min(kafka.session_timeout_s, kafka.rebalance_timeout_s) - kafka.heartbeat_s - MARGIN_S
        if self._length_s <= 0:
            raise ValueError("kafka.session_timeout_s is too short for kafka.heartbeat_s")
        self._now = now
        self._until = 0.0

    @property
    def renew_every_s(self) -> float:
        """How often to commit."""
        return min(2.0, self._length_s / 4)

    def is_valid(self) -> bool:
        """Nobody else owns our partitions."""
        return self._now() < self._until

    def renewed(self, begun: float) -> None:
        """A commit that began at ``begun`` was accepted."""
        self._until = max(self._until, begun + self._length_s)

    def lost(self) -> None:
        """A commit was refused: the group goes on without us."""
        self._until = 0.0

"""The watchdog of ingest: notices that records wait for Kafka's acknowledgement, or a thread for itself, and nothing moves.

ingest has no input of which it could be told how much waits: a source may be silent and a door open for days, and that is no
stall. What counts is what has come in: a record that was handed to the producer and has no outcome, a source's thread that
holds a post, and the threads that have to go round whatever happens. Restarting helps against none of a broker's silence, and
would lose what was read from a pipe, so a worker that waits for a broker that answers nobody is unhealthy, but goes on.
"""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from plaint.kafka.admin import BrokerAway, open_admin
from plaint.kafka.settings import KafkaSettings
from plaint.monitoring.settings import MonitoringSettings
from plaint.monitoring.stall import Guard, Key
from schemas.faults import FaultsFound

SHORTEST_PROBE_S, LONGEST_PROBE_S = 2.0, 10.0


class Publishing(Protocol):
    """What the watchdog has to know of a worker that publishes. It asks from its own thread, and nothing may hold it up."""

    def unacknowledged(self) -> Mapping[str, int]:
        """What waits for Kafka, in words, with a number that changes as it is acknowledged; only what waits."""
        ...

    def threads(self) -> Mapping[str, int]:
        """The threads that have to move now, in words, with a number that changes as they do."""
        ...

    def excuse(self) -> str:
        """Why it may stand still, such as ``it is stopping``; empty if it may not."""
        ...


def probe(kafka: KafkaSettings, timeout_s: float) -> None:
    """Return if a broker answers on a connection of its own. Raises BrokerAway or OSError."""
    with open_admin(kafka, timeout_s):
        pass


class PublishingWatchdog(Guard):
    """Looks at a worker that publishes; the broker is asked only once something stands still."""

    def __init__(
        self,
        kafka: KafkaSettings,
        watched: Publishing,
        settings: MonitoringSettings,
        end: Callable[[str], object] | None = None,
        now: Callable[[], float] = time.monotonic,
        probe: Callable[[KafkaSettings, float], None] = probe,
    ) -> None:
        super().__init__(settings, end, now)
        self._kafka = kafka
        self._watched = watched
        self._probe = probe
        self._probe_s = min(max(self.stall_s, SHORTEST_PROBE_S), LONGEST_PROBE_S)
        self._away_at = float("-inf")

    async def look(self) -> None:
        """Look once, and do what follows."""
        passed = self.pass_time()
        if self._watched.excuse():
            self.is_excused(passed)
            return
        records, threads = self._watched.unacknowledged(), self._watched.threads()
        waiting: dict[Key, int] = {key: number for part in (records, threads) for key, number in part.items()}
        self.clock.see(waiting, passed)
        standing = [(key, seconds) for key, _, seconds in self.clock.standing(passed) if seconds >= self.stall_s]
        if not standing:
            self.broker_away = ""
            self.is_well()
            return
        what, seconds = standing[0]
        waits = f"{what} hangs" if what in threads else f"{what} wait for Kafka's acknowledgement"
        self.is_stalled(f"stalled: {waits} and nothing moved for {seconds:.0f} s")
        if any(key in records for key, _ in standing):
            self._ask_broker(passed)
        # A broker that comes back finds those who waited for it as they were: their time begins then.
        answered_s, limit = passed - self._away_at, 2 * self.stall_s
        if any(seconds >= limit and (key in threads or answered_s >= limit) for key, seconds in standing):
            self.end_it()

    def _ask_broker(self, passed: float) -> None:
        try:
            self._probe(self._kafka, self._probe_s)
        except (BrokerAway, FaultsFound, ValueError, OSError) as error:
            self.broker_away = f"no answer: {type(error).__name__}"
            self._away_at = passed
        else:
            self.broker_away = ""

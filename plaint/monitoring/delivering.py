"""What deliver tells: the requests to its destination as they end, and what its worker knows."""

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from plaint.monitoring import metrics
from plaint.monitoring.batches import Place, lags, read_outcomes
from plaint.monitoring.histogram import Histogram
from plaint.monitoring.readings import Readings
from plaint.monitoring.state import LastError
from route.delivery.breaker import Breaker
from route.delivery.counters import Counters
from route.delivery.limits import Limits
from route.delivery.switch import Disabled
from route.destinations.base import Destination, Finds, MaySend, NeverAgain, NotNow, Outcome, Parcel, Taken, Withheld
from schemas import topics

_RECEIVED_AT = re.compile(rb'"received_at"\s*:\s*"([^"]*)"')
"""In the ticket's JSON as it stands: exact, since within a text each quote is escaped and no other object has such a key."""

Ask = Callable[[Parcel, MaySend], Any]


class DeliveryMeter:
    """Counts what requests to one destination end with. ``now`` gives seconds since 1970, ``steady`` goes only forward."""

    def __init__(
        self,
        now: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.steady = steady
        self.attempts: Counter[str] = Counter()
        self.seconds = Histogram(metrics.WORK_SECONDS)
        self.to_ticket = Histogram(metrics.POST_SECONDS)
        self.last_progress: float | None = None
        self.last_error: LastError | None = None
        self._now = now

    def ended(self, parcel: Parcel, outcome: Outcome, begun: float) -> None:
        """A request that began at ``begun`` of ``steady`` has ended so."""
        self.seconds.add(self.steady() - begun)
        now = self.last_progress = self._now()
        if isinstance(outcome, Taken):
            self.attempts["taken"] += 1
            if parcel.op != "withdraw" and (received := received_at(parcel.body)) is not None:
                self.to_ticket.add(now - received)
            return
        self.attempts["refused" if isinstance(outcome, NeverAgain) else "not_now"] += 1
        # Its answer may quote the post.
        said = f"the destination answered {outcome.status}" if outcome.status else f"the destination: {outcome.detail}"
        self.last_error = LastError(at=datetime.fromtimestamp(now, UTC), what=said)

    def fault(self) -> None:
        """A request ended in an error of plaint's own."""
        self.attempts["fault"] += 1


def received_at(body: bytes) -> float | None:
    """When the post of this ticket was received, in seconds since 1970, if its JSON says so."""
    found = _RECEIVED_AT.search(body)
    try:
        return datetime.fromisoformat(found[1].decode()).timestamp() if found else None
    except ValueError:
        return None


def metered(destination: Destination, meter: DeliveryMeter) -> Destination:
    """``destination``, every request to it counted."""
    if isinstance(destination, Finds):
        return _MeteredFinds(destination, meter)
    return _Metered(destination, meter)


class _Metered:
    """A destination around which the meter goes."""

    def __init__(self, destination: Destination, meter: DeliveryMeter) -> None:
        self.idempotency = destination.idempotency
        self.destination = destination
        self._meter = meter

    @property
    def mark(self) -> str:
        return self.destination.mark

    def refresh(self) -> bool:
        return self.destination.refresh()

    async def create(self, parcel: Parcel, may_send: MaySend) -> Outcome:
        return await self._count(self.destination.create, parcel, may_send)

    async def update(self, parcel: Parcel, may_send: MaySend) -> Outcome:
        return await self._count(self.destination.update, parcel, may_send)

    async def withdraw(self, parcel: Parcel, may_send: MaySend) -> Outcome:
        return await self._count(self.destination.withdraw, parcel, may_send)

    async def close(self) -> None:
        await self.destination.close()

    async def _count(self, ask: Ask, parcel: Parcel, may_send: MaySend) -> Outcome:
        begun = self._meter.steady()
        try:
            outcome: Outcome = await ask(parcel, may_send)
        except Withheld:  # nothing was sent
            raise
        except Exception:
            self._meter.fault()
            raise
        self._meter.ended(parcel, outcome, begun)
        return outcome


class _MeteredFinds(_Metered):
    """One that can be asked for a ticket besides; that is no attempt."""

    async def find(self, key: str) -> Taken | NotNow | None:
        assert isinstance(self.destination, Finds)
        return await self.destination.find(key)


class Worker(Protocol):
    """What is asked of the deliver worker: ``plaint.workers.delivering.worker.DeliverWorker``. Safe from another thread."""

    counters: Counters
    breaker: Breaker
    limits: Limits

    @property
    def disabled(self) -> Disabled | None: ...
    @property
    def is_window_full(self) -> bool: ...
    @property
    def is_member(self) -> bool: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    def places(self) -> Mapping[int, Place]: ...
    def open_since(self) -> list[float]: ...


class DeliverSight:
    """Tells of a deliver worker, and to its watchdog."""

    def __init__(
        self, destination: str, worker: Worker, meter: DeliveryMeter, ends: Callable[[], Mapping[int, int]]
    ) -> None:
        self.group = topics.group(topics.DELIVER + destination)
        self.topic = topics.tickets(destination)
        self._worker = worker
        self._meter = meter
        self._ends = ends
        self._turned_at: datetime | None = None
        worker.breaker.turned = self._turned

    def _turned(self) -> None:
        self._turned_at = datetime.now(UTC)

    def acknowledged(self) -> dict[int, int | None]:
        """See Watched."""
        return {number: place.acknowledged for number, place in self._worker.places().items()}

    def in_group(self) -> bool:
        """See Watched."""
        return self._worker.is_member

    def excuse(self) -> str:
        """See Watched. A window that is full empties as the destination allows."""
        if self._worker.breaker.is_open:
            return "the destination is down"
        if self._worker.disabled is not None:
            return "the destination is disabled"
        return "enough tickets are open" if self._worker.is_window_full else ""

    def read(self, into: Readings) -> None:
        """See Sight."""
        worker, meter, counters = self._worker, self._meter, self._worker.counters
        dead = counters.dead + counters.invalid_by
        read_outcomes(into, counters.done, counters.dropped, dead)
        into.put_all(metrics.ATTEMPTS, meter.attempts)
        into.put(metrics.REQUEST, meter.seconds)
        into.put(metrics.TO_TICKET, meter.to_ticket)
        into.put(metrics.PROBES, counters.probes)
        into.put_all(metrics.INCIDENTS, {kind: getattr(counters, kind) for kind in metrics.INCIDENTS.labels["kind"]})
        into.put(metrics.LIMITED, counters.limited, "minute")
        into.put(metrics.LIMITED, counters.author_capped, "author")
        into.put(metrics.DUE, worker.waiting)
        since = worker.open_since()
        into.put(metrics.OPEN, len(since))
        into.put(metrics.OLDEST, self._age(since) or 0.0)
        into.put(metrics.IN_FLIGHT, worker.in_flight)
        into.put(metrics.WINDOW_FULL, worker.is_window_full)
        into.put(metrics.BREAKER_OPEN, worker.breaker.is_open)
        into.put(metrics.BREAKER_OPENED, counters.breaker_opened)
        into.put(metrics.DISABLED, worker.disabled is not None)
        into.put(metrics.PROGRESS, meter.last_progress or 0)
        into.put_all(metrics.LAG, {str(number): lag for number, lag in lags(worker.places(), self._ends()).items()})

    def state(self) -> dict[str, Any]:
        """See Sight."""
        worker = self._worker
        places, since, disabled = worker.places(), worker.open_since(), worker.disabled
        return {
            "partitions": tuple(sorted(places)),
            "lags": lags(places, self._ends()),
            "last_progress_at": self._meter.last_progress,
            "open_tickets": len(since),
            "oldest_undelivered_s": self._age(since),
            "window_full": worker.is_window_full,
            "breaker": {"state": "open" if worker.breaker.is_open else "closed", "since": self._turned_at},
            "limits": {
                "max_per_minute": worker.limits.per_minute,
                "max_per_author_per_hour": worker.limits.per_author,
            },
            "last_error": self._meter.last_error,
            "disabled": {"why": disabled.reason, "since": disabled.since} if disabled else None,
        }

    @staticmethod
    def _age(since: list[float]) -> float | None:
        """Of the ticket that waits longest; None if each waits for its author's turn."""
        age = time.time() - min(since, default=math.inf)
        return age if age > 0 else None

"""One try of one ticket: from the word in the log that it begins to what its outcome means."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from route.delivery.breaker import Breaker
from route.delivery.clock import Clock
from route.delivery.counters import Counters
from route.delivery.fold import Item
from route.delivery.lane import Lane
from route.delivery.ledger import Step
from route.delivery.retry import RetrySchedule
from route.delivery.switch import Switch
from route.destinations.base import (
    Destination,
    Finds,
    Idempotency,
    NeverAgain,
    NotNow,
    Outcome,
    Parcel,
    Taken,
    Withheld,
)
from schemas.reasons import DeadReason

log = logging.getLogger(__name__)

LEASE_RETRY_S = 0.05


@dataclass(frozen=True, slots=True)
class Policy:
    """How often to try, and what to do where the destination can't say whether it has a ticket."""

    tries: int
    schedule: RetrySchedule
    park_unknown: bool
    """Leave a ticket of unknown outcome to a person instead of sending it again (class ``none``)."""


@dataclass(frozen=True, slots=True)
class Dead:
    """A ticket that will never be delivered, for its dead letter."""

    partition: int
    item: Item
    body: bytes
    reason: DeadReason
    detail: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class _Parked:
    """Whether the destination has the ticket is unknown and stays so."""


@dataclass(frozen=True, slots=True)
class _Broken:
    """The destination's code raised: a fault of ours, not of the destination."""

    detail: str


_Anything = Outcome | _Parked | _Broken


class Courier:
    """Carries tickets to one destination.

    ``lease`` says whether this process certainly still owns its partitions. ``bury`` returns once the dead letter is
    written, or not at all.
    """

    def __init__(
        self,
        destination: Destination,
        policy: Policy,
        breaker: Breaker,
        clock: Clock,
        counters: Counters,
        lease: Callable[[], bool],
        bury: Callable[[Dead], Awaitable[None]],
        switch: Switch,
    ) -> None:
        self._destination = destination
        self._policy = policy
        self._breaker = breaker
        self._clock = clock
        self._counters = counters
        self._lease = lease
        self._bury = bury
        self._switch = switch

    async def carry(self, lane: Lane, item: Item, probing: bool) -> None:
        """Try ``item`` once and write down what came of it, unless that is for the next owner to say."""
        body = await lane.load(item)
        outcome: _Anything | None = await self._ask_first(item) if item.is_uncertain else None
        if outcome is None:
            outcome = await self._send(lane, item, body, probing)
        if outcome is None or not await self._still_ours(lane):
            self._counters.abandoned += 1
            return
        await lane.apply(await self._conclude(lane, item, body, outcome))

    # -- the request ---------------------------------------------------------------------------------------------

    async def _ask_first(self, item: Item) -> Outcome | _Parked | None:
        """An earlier request may have made a ticket: what is known by the destination's class. None: send it again."""
        kind = self._destination.idempotency
        if kind is Idempotency.NONE and self._policy.park_unknown:
            return _Parked()
        if kind is not Idempotency.FIND:
            return None
        assert isinstance(self._destination, Finds), "the class says so"
        try:
            return await self._destination.find(item.key)
        except Exception as error:
            log.exception("looking for ticket %s failed", item.key)
            return NotNow(f"looking for it failed: {type(error).__name__}")

    async def _send(self, lane: Lane, item: Item, body: bytes, probing: bool) -> Outcome | _Broken | None:
        await lane.write_sending(item, lane.ledger.sending(item, self._clock.wall()))
        parcel = Parcel(item.key, item.op, item.revision, item.attempt, body, item.generation)
        while await self._still_ours(lane):
            self._counters.requests += 1
            self._counters.probes += probing
            try:
                return await self._request(parcel, lambda: not lane.is_deposed and self._lease())
            except Withheld:
                self._counters.requests -= 1
                self._counters.probes -= probing
                self._counters.withheld += 1
            except Exception as error:
                log.exception("a fault in the destination, ticket %s", item.key)
                return _Broken(f"{type(error).__name__}: {error}")
        return None

    async def _request(self, parcel: Parcel, may_send: Callable[[], bool]) -> Outcome:
        if parcel.op == "create":
            return await self._destination.create(parcel, may_send)
        if parcel.op == "update":
            return await self._destination.update(parcel, may_send)
        return await self._destination.withdraw(parcel, may_send)

    async def _still_ours(self, lane: Lane) -> bool:
        """Whether this process owns the partition; waits while that is uncertain."""
        while lane.is_deposed or not self._lease():
            if not lane.is_live:
                return False
            await self._clock.sleep(LEASE_RETRY_S)
        return True

    # -- its outcome ---------------------------------------------------------------------------------------------

    async def _conclude(self, lane: Lane, item: Item, body: bytes, outcome: _Anything) -> Iterable[Step]:
        match outcome:
            case Taken(status, remote_id, remote_url):
                self._alive()
                self._switch.taken()
                return lane.ledger.done(item, self._clock.wall(), status, remote_id, remote_url)
            case NotNow() | NeverAgain() if self._turned_off(lane, item, outcome):
                return self._again(lane, item, maybe_taken=False, free=True, status=outcome.status)
            case NotNow():
                return await self._failed(lane, item, body, outcome)
            case NeverAgain(detail, status):
                self._alive()
                dead = Dead(lane.partition, item, body, DeadReason.REFUSED, detail, status)
            case _Parked():
                detail = "an earlier request had no outcome, and the destination can't be asked"
                dead = Dead(lane.partition, item, body, DeadReason.UNKNOWN_OUTCOME, detail)
            case _Broken(detail):
                if item.attempt < self._policy.tries:
                    return self._again(lane, item, maybe_taken=True)
                dead = Dead(lane.partition, item, body, DeadReason.STAGE_ERROR, detail)
        return await self._dead(lane, dead, maybe_taken=isinstance(outcome, _Broken))

    def _turned_off(self, lane: Lane, item: Item, answer: NotNow | NeverAgain) -> bool:
        """Whether the destination is disabled and this answer one of those that do it: the ticket has to wait."""
        final = isinstance(answer, NeverAgain)
        was_on = self._switch.disabled is None
        now, at = self._clock.steady(), self._clock.wall()
        off = self._switch.refused(lane.partition, item.key, answer.status, final, now, at)
        if off and was_on:
            self._counters.disabled += 1
            log.warning("the answer that disables the destination: %s", answer.detail)
        return off

    async def _failed(self, lane: Lane, item: Item, body: bytes, failure: NotNow) -> Iterable[Step]:
        if self._breaker.failed(item.key, self._clock.steady(), failure.retry_after_s):
            self._counters.breaker_opened += 1
            log.warning("the destination is taken to be down: %s", failure.detail)
        if self._breaker.is_open:  # that is no fault of this ticket
            return self._again(lane, item, failure.maybe_taken, free=True, status=failure.status)
        if item.attempt >= self._policy.tries:
            detail = f"{item.attempt} tries; the last: {failure.detail}"
            dead = Dead(lane.partition, item, body, DeadReason.RETRIES_EXHAUSTED, detail, failure.status)
            return await self._dead(lane, dead, failure.maybe_taken)
        return self._again(lane, item, failure.maybe_taken, failure.retry_after_s, status=failure.status)

    def _again(
        self,
        lane: Lane,
        item: Item,
        maybe_taken: bool,
        at_least_s: float = 0.0,
        free: bool = False,
        status: int | None = None,
    ) -> Iterable[Step]:
        now = self._clock.wall()
        wait = 0.0 if free else max(self._policy.schedule.wait_s(item.attempt), at_least_s)
        return lane.ledger.retry(item, now, now + wait, maybe_taken, free, status)

    async def _dead(self, lane: Lane, dead: Dead, maybe_taken: bool) -> Iterable[Step]:
        """``maybe_taken``: the last request may have made a ticket, so that what follows must not make a second one."""
        await self._bury(dead)
        return lane.ledger.dead(dead.item, self._clock.wall(), dead.reason, dead.status, maybe_taken)

    def _alive(self) -> None:
        if self._breaker.is_open:
            log.warning("the destination is back")
        self._breaker.succeeded()

"""From the tickets topic into the ledger: every record becomes a ticket to deliver, a counted drop or a dead letter."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from route.delivery.clock import Clock
from route.delivery.counters import Counters
from route.delivery.lane import Lane
from route.delivery.ledger import Step
from schemas import topics
from schemas.deadletter import DeadLetter
from schemas.reasons import DeadReason
from schemas.record import MAX_RECORD_BYTES, RecordDropped, RecordInvalid
from schemas.ticket import Ticket

STAGE = "deliver"


class InRecord(NamedTuple):
    """One record of the tickets topic."""

    offset: int
    key: bytes | None
    value: bytes | None


class Intake:
    """Takes the tickets of one destination. ``bury`` returns once the dead letters are written, or not at all."""

    def __init__(
        self,
        destination: str,
        clock: Clock,
        counters: Counters,
        bury: Callable[[Sequence[DeadLetter], int], Awaitable[None]],
    ) -> None:
        self._destination = destination
        self._topic = topics.tickets(destination)
        self._clock = clock
        self._counters = counters
        self._bury = bury

    async def take(self, lane: Lane, records: Sequence[InRecord]) -> None:
        """Return once what follows from all of ``records`` is written down; their marks are done then."""
        steps: list[Step] = []
        letters: list[DeadLetter] = []
        invalid: list[Step] = []
        now = self._clock.wall()
        for record in records:
            self._counters.read += 1
            mark = lane.offsets.read(record.offset)
            try:
                step = lane.ledger.take(self._ticket(record), mark, now)
            except RecordInvalid as fault:
                self._counters.invalid += 1
                self._counters.invalid_by[fault.reason] += 1
                letters.append(self._letter(lane.partition, record, fault))
                invalid.append(Step(None, mark))
                continue
            if step is not None:
                steps.append(step)
        await lane.apply(steps)  # queued before anything else happens: the memory says so already
        if letters:
            await self._bury(letters, lane.partition)
            await lane.apply(invalid)

    def _ticket(self, record: InRecord) -> Ticket:
        if record.value is not None and len(record.value) > MAX_RECORD_BYTES:
            raise RecordInvalid(DeadReason.TOO_LARGE, f"{len(record.value)} bytes are over {MAX_RECORD_BYTES}")
        try:
            ticket = Ticket.from_bytes(record.value)
        except RecordDropped as drop:  # a ticket has no event that could be unknown
            raise RecordInvalid(DeadReason.INVALID_RECORD, str(drop)) from None
        if ticket.destination != self._destination:
            raise RecordInvalid(DeadReason.INVALID_RECORD, f"destination: is not {self._destination}")
        return ticket

    def _letter(self, partition: int, record: InRecord, fault: RecordInvalid) -> DeadLetter:
        place = topics.place(self._topic, partition, record.offset)
        return DeadLetter.of(fault.reason, STAGE, place, fault.detail, record.value, record.key)

"""What the inbox holds: tickets, the receipts of every webhook id it took, and the counts of both.

Nothing is ever forgotten but text, so that at the end of a long run everything can be counted by id. 100,000 tickets
cost about 65 MB.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from schemas.ticket import Op


class Outcome(StrEnum):
    """What a webhook did to its ticket."""

    CREATED = "created"
    UPDATED = "updated"
    WITHDRAWN = "withdrawn"
    STALE = "stale"
    """Its revision is not above the one held: taken, and ignored."""
    SECOND = "second"
    """A create under another id for a ticket that is there: a helpdesk that drops only repeated ids has two now."""


@dataclass(slots=True, eq=False)
class Receipt:
    """One webhook id that was taken. ``requests`` counts all under it, ``answers`` those that were given a 2xx.

    Times are seconds since the epoch; ``first_at`` is that of the first request, which may have failed.
    """

    webhook_id: str
    ticket: "HeldTicket"
    op: Op
    revision: int
    outcome: Outcome
    first_at: float
    taken_at: float
    requests: int
    answers: int = 1
    repeated_at: tuple[float, ...] = ()


@dataclass(slots=True, eq=False)
class HeldTicket:
    """A ticket as the inbox has it; ``updated_at`` is when the revision that counts was taken.

    ``body`` is its newest message; None once withdrawn or no longer kept."""

    number: int
    key: str
    queue: str
    arrived_at: float
    updated_at: float
    revision: int = -1
    created: bool = False
    withdrawn: bool = False
    body: bytes | None = None
    receipts: tuple[Receipt, ...] = ()

    @property
    def requests(self) -> int:
        """Requests for this ticket under all its webhook ids."""
        return sum(receipt.requests for receipt in self.receipts)


@dataclass(slots=True)
class QueueCounts:
    """Counts of one queue. ``requests`` are those with a right signature, ``taken`` the webhook ids."""

    tickets: int = 0
    withdrawn: int = 0
    requests: int = 0
    taken: int = 0
    creates: int = 0
    second_tickets: int = 0
    stale: int = 0
    repeats_answered: int = 0
    repeats_unanswered: int = 0


@dataclass(slots=True)
class Queue:
    """The tickets of one queue, oldest first, and by number those of them whose text is held."""

    counts: QueueCounts = field(default_factory=QueueCounts)
    tickets: list[HeldTicket] = field(default_factory=list)
    kept: OrderedDict[int, HeldTicket] = field(default_factory=OrderedDict)


MAX_REPEATS_SHOWN = 20
Event = dict[str, str | int | float]


class Store:
    """Takes webhooks by id and tickets by key and revision. ``record`` is told everything that a restart must know."""

    def __init__(self, keep: int, queues: tuple[str, ...] = ()) -> None:
        self.keep = keep
        self.queues: dict[str, Queue] = {name: Queue() for name in queues}
        self.tickets: dict[str, HeldTicket] = {}
        self.receipts: dict[str, Receipt] = {}
        self.record: Callable[[Event], None] = lambda event: None
        self._untaken: dict[str, tuple[float, int]] = {}

    def begin(self, queue: str, webhook_id: str, at: float) -> None:
        """Count a request, whatever becomes of it."""
        self.record({"event": "request", "queue": queue, "id": webhook_id, "at": at})
        self._queue(queue).counts.requests += 1
        receipt = self.receipts.get(webhook_id)
        if receipt is not None:
            receipt.requests += 1
            return
        first, requests = self._untaken.get(webhook_id, (at, 0))
        self._untaken[webhook_id] = first, requests + 1

    def take(
        self, queue: str, webhook_id: str, key: str, op: Op, revision: int, at: float, body: bytes | None = None
    ) -> Receipt:
        """Take the webhook of a request that has begun, or find that it was taken before: the receipt says which ticket.

        A create or update of a higher revision replaces the ticket's body by ``body``, a withdraw erases it.
        """
        event: Event = {"event": "take", "queue": queue, "id": webhook_id, "at": at}
        self.record({**event, "key": key, "op": op, "revision": revision})
        counts = self._queue(queue).counts
        receipt = self.receipts.get(webhook_id)
        if receipt is not None:
            counts.repeats_answered += receipt.answers > 0
            counts.repeats_unanswered += receipt.answers == 0
            receipt.repeated_at = (*receipt.repeated_at, at)[-MAX_REPEATS_SHOWN:]
            receipt.answers += 1
            return receipt
        first, requests = self._untaken.pop(webhook_id, (at, 1))
        ticket = self._ticket(queue, key, at)
        outcome = _outcome(ticket, op, revision)
        receipt = Receipt(webhook_id, ticket, op, revision, outcome, first, at, requests)
        self.receipts[webhook_id] = receipt
        ticket.receipts = (*ticket.receipts, receipt)
        self._apply(ticket, receipt, body)
        counts.taken += 1
        counts.creates += op == "create"
        counts.second_tickets += outcome is Outcome.SECOND
        counts.stale += outcome is Outcome.STALE
        return receipt

    def not_answered(self, receipt: Receipt) -> None:
        """The request that has just been taken gets no 2xx after all."""
        self.record({"event": "not_answered", "id": receipt.webhook_id})
        receipt.answers -= 1

    def newest(self, queue: str | None, before: int | None) -> Iterator[HeldTicket]:
        """Tickets of ``queue`` (of all without it), newest first, those with a number below ``before`` if it is given."""
        tickets = list(self.tickets.values()) if queue is None else self._tickets_of(queue)
        end = len(tickets) if before is None else bisect_left(tickets, before, key=lambda ticket: ticket.number)
        return (tickets[index] for index in range(end - 1, -1, -1))

    def _tickets_of(self, queue: str) -> list[HeldTicket]:
        found = self.queues.get(queue)
        return [] if found is None else found.tickets

    def _queue(self, name: str) -> Queue:
        queue = self.queues.get(name)
        if queue is None:
            queue = self.queues[name] = Queue()
        return queue

    def _ticket(self, queue: str, key: str, at: float) -> HeldTicket:
        ticket = self.tickets.get(key)
        if ticket is None:
            ticket = self.tickets[key] = HeldTicket(len(self.tickets) + 1, key, queue, at, at)
            self._queue(queue).tickets.append(ticket)
            self._queue(queue).counts.tickets += 1
        return ticket

    def _apply(self, ticket: HeldTicket, receipt: Receipt, body: bytes | None) -> None:
        ticket.created = ticket.created or receipt.op == "create"
        if receipt.revision <= ticket.revision:
            return
        queue = self._queue(ticket.queue)
        withdrawn = receipt.op == "withdraw"
        queue.counts.withdrawn += withdrawn - ticket.withdrawn
        ticket.revision, ticket.withdrawn, ticket.updated_at = receipt.revision, withdrawn, receipt.taken_at
        ticket.body = None if withdrawn else body
        queue.kept.pop(ticket.number, None)
        if ticket.body is not None:
            queue.kept[ticket.number] = ticket
        if len(queue.kept) > self.keep:
            queue.kept.popitem(last=False)[1].body = None


def _outcome(ticket: HeldTicket, op: Op, revision: int) -> Outcome:
    """A create after a withdraw of a lower revision opens the ticket again and is no second one."""
    fresh = revision > ticket.revision
    if op == "create":
        if ticket.created and not (ticket.withdrawn and fresh):
            return Outcome.SECOND
        return Outcome.CREATED if fresh else Outcome.STALE
    if not fresh:
        return Outcome.STALE
    return Outcome.UPDATED if op == "update" else Outcome.WITHDRAWN

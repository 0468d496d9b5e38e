"""The state machine of one partition: which revision of which ticket is to be sent, and what that means for the log.

``accepted`` → ``sending`` → ``done`` | ``dead``. Every method changes the memory at once and returns the record that says
so; nothing that comes of it (acknowledging, sending) may happen before that record is written.
"""

from collections.abc import Iterator
from typing import NamedTuple

from route.delivery.counters import Counters
from route.delivery.entry import RANKS, LogRecord, final_record, open_record
from route.delivery.fold import Fold, Item, Waiting
from route.delivery.offsets import Mark
from route.delivery.settled import Known, Version
from schemas.reasons import DeadReason, DropReason
from schemas.record import RecordDropped, RecordInvalid
from schemas.ticket import Op, Ticket


class Step(NamedTuple):
    """What follows from something that happened.

    ``record`` is to be written (None: nothing is); then ``mark`` is done and ``item`` may be sent when it is due.
    """

    record: LogRecord | None
    mark: Mark | None = None
    item: Item | None = None


class Ledger:
    """One owner's view of a partition. ``fold`` must have been replayed up to the owner record ``epoch``."""

    def __init__(self, fold: Fold, epoch: int, counters: Counters) -> None:
        self._fold = fold
        self._epoch = epoch
        self._counters = counters

    def begin(self, now: float, timeout_s: float) -> list[Item]:
        """The open tickets that the log holds, those of a former owner included.

        A request that was under way then is unknown: it may still arrive for ``timeout_s``, so its ticket waits.
        """
        for item in [item for item in self._fold.open.values() if not _is_ticket(item)]:
            self._fold.remove(item.key)
            self._counters.unreadable += 1
        for item in self._fold.open.values():
            item.flying, item.waiting = False, None  # of an earlier time with this partition; the ticket is read again
            if item.state == "sending":
                self._counters.unknown += 1
                item.state, item.due = "accepted", now + timeout_s
                item.created = item.created or item.op == "create"
        return list(self._fold.open.values())

    # -- a ticket comes in ---------------------------------------------------------------------------------------

    def take(self, ticket: Ticket, mark: Mark, now: float) -> Step | None:
        """A ticket was read; None if its turn comes only with the outcome of the request under way."""
        item = self._fold.open.get(ticket.key)
        if item is None:
            return self._take_settled(ticket, mark, now)
        newest = _version(item.waiting.ticket) if item.waiting else item.version
        if _version(ticket) <= newest:
            return self._drop_old(ticket.revision, newest[0], mark)
        if not item.flying:
            return self._replace(item, ticket, mark, now)
        overtaken, item.waiting = item.waiting, Waiting(ticket, mark)
        if overtaken is None:
            return None
        self._drop(DropReason.COLLAPSED)
        return Step(None, overtaken.mark)

    def _take_settled(self, ticket: Ticket, mark: Mark, now: float) -> Step:
        known = self._fold.settled.get(ticket.key)
        if known is not None and known.settles(_version(ticket)):
            return self._drop_old(ticket.revision, known.revision, mark)
        created = known is not None and known.created
        if ticket.op == "withdraw" and not created:
            self._drop(DropReason.NOTHING_TO_WITHDRAW)
            # A key never heard of is not remembered: a deleted post is withdrawn everywhere, whoever had it.
            return Step(None, mark) if known is None else self._close(ticket, DropReason.NOTHING_TO_WITHDRAW, mark, now)
        return self._accept(ticket, created, mark, now)

    def _replace(self, item: Item, ticket: Ticket, mark: Mark, now: float) -> Step:
        """A newer revision or generation takes the place of one whose turn has not come, or that failed so far."""
        self._fold.remove(item.key)
        self._drop(DropReason.COLLAPSED)
        if ticket.op == "withdraw" and not item.created:
            self._drop(DropReason.COLLAPSED)
            return self._close(ticket, DropReason.COLLAPSED, mark, now)
        return self._accept(ticket, item.created, mark, now)

    def _accept(self, ticket: Ticket, created: bool, mark: Mark, now: float) -> Step:
        op: Op = "withdraw" if ticket.op == "withdraw" else "update" if created else "create"
        if op != ticket.op:
            ticket = ticket.model_copy(update={"op": op})
        item = Item(ticket.key, ticket.revision, op, 0, now, created, "accepted", ticket.to_bytes())
        item.generation = ticket.generation
        item.rank = RANKS[ticket.priority]
        item.since = ticket.received_at.timestamp() if ticket.received_at else now
        self._fold.put(item)
        return Step(self._open_record(item, now), mark, item)

    def _close(self, ticket: Ticket, reason: DropReason, mark: Mark, now: float) -> Step:
        self._fold.settled.put(ticket.key, Known(ticket.revision, created=False, generation=ticket.generation))
        record = final_record(
            ticket.key,
            "done",
            epoch=self._epoch,
            revision=ticket.revision,
            op=ticket.op,
            created=False,
            at=now,
            reason=reason,
            generation=ticket.generation,
        )
        return Step(record, mark)

    def _drop_old(self, revision: int, newest: int, mark: Mark) -> Step:
        self._drop(DropReason.REPEATED if revision == newest else DropReason.STALE_REVISION)
        return Step(None, mark)

    def _drop(self, reason: DropReason) -> None:
        self._counters.dropped[reason] += 1

    # -- a request -----------------------------------------------------------------------------------------------

    def sending(self, item: Item, now: float) -> LogRecord:
        """A try of ``item`` begins: it was taken to fly, and its body is in memory."""
        item.attempt += 1
        item.state = "sending"
        return self._open_record(item, now)

    def done(
        self, item: Item, now: float, status: int | None = None, remote_id: str = "", remote_url: str = ""
    ) -> Iterator[Step]:
        """The destination took ``item``."""
        created = item.op != "withdraw"
        self._settle(item, Known(item.revision, created, generation=item.generation))
        self._counters.done += 1
        yield Step(
            final_record(
                item.key,
                "done",
                epoch=self._epoch,
                revision=item.revision,
                op=item.op,
                created=created,
                at=now,
                attempt=item.attempt,
                status=status,
                remote_id=remote_id,
                remote_url=remote_url,
                generation=item.generation,
            )
        )
        yield from self._waiting(item, now)

    def dead(
        self, item: Item, now: float, reason: DeadReason, status: int | None = None, maybe_taken: bool = False
    ) -> Iterator[Step]:
        """``item`` will never be delivered; its dead letter is written."""
        item.created = item.created or (maybe_taken and item.op == "create")
        self._settle(item, Known(item.revision, item.created, dead=True, generation=item.generation))
        self._counters.dead[reason] += 1
        yield Step(
            final_record(
                item.key,
                "dead",
                epoch=self._epoch,
                revision=item.revision,
                op=item.op,
                created=item.created,
                at=now,
                attempt=item.attempt,
                reason=reason,
                status=status,
                generation=item.generation,
            )
        )
        yield from self._waiting(item, now)

    def retry(
        self, item: Item, now: float, due: float, maybe_taken: bool, free: bool, status: int | None = None
    ) -> Iterator[Step]:
        """``item`` goes again at ``due``, or makes room for the newer revision that waits for it.

        ``free`` takes the try back; ``status`` is what it was answered, for whoever asks why the ticket waits.
        """
        item.flying = False
        item.attempt -= free and item.state == "sending"
        item.created = item.created or (maybe_taken and item.op == "create")
        item.state, item.due = "accepted", due
        if not self._fold.is_open(item):  # settled by a former owner's late record
            yield from self._waiting(item, now)
        elif item.waiting is not None:
            yield self._replace(item, item.waiting.ticket, item.waiting.mark, now)
        else:
            yield Step(self._open_record(item, now, status), item=item)

    def _settle(self, item: Item, known: Known) -> None:
        item.flying = False
        if self._fold.is_open(item):
            self._fold.remove(item.key)
        self._fold.settled.put(item.key, known)

    def _waiting(self, item: Item, now: float) -> Iterator[Step]:
        if item.waiting is not None:
            step = self.take(item.waiting.ticket, item.waiting.mark, now)
            if step is not None:
                yield step

    # -- the truth once more -------------------------------------------------------------------------------------

    def heal(self, key: str, now: float) -> LogRecord | None:
        """The record that overrules a stale one of ``key``; None if nothing is known of it.

        The body of an open ticket must be in memory (see ``needs_body``).
        """
        item, known = self._fold.open.get(key), self._fold.settled.get(key)
        if item is not None:
            return self._open_record(item, now)
        if known is None:
            return None
        return final_record(
            key,
            "dead" if known.dead else "done",
            epoch=self._epoch,
            revision=known.revision,
            op="create" if known.created else "withdraw",
            created=known.created,
            at=now,
            generation=known.generation,
        )

    def needs_body(self, key: str) -> Item | None:
        """The open ticket of ``key`` whose body must be read back before its record can be written again, if so."""
        item = self._fold.open.get(key)
        return item if item is not None and item.body is None else None

    def _open_record(self, item: Item, now: float, status: int | None = None) -> LogRecord:
        assert item.body is not None, "a record of an open ticket holds its body"
        return open_record(
            item.key,
            item.state,
            epoch=self._epoch,
            revision=item.revision,
            op=item.op,
            attempt=item.attempt,
            due=item.due,
            created=item.created,
            at=now,
            body=item.body,
            generation=item.generation,
            status=status,
        )


def _version(ticket: Ticket) -> Version:
    return ticket.revision, ticket.generation


def _is_ticket(item: Item) -> bool:
    """Whether the log holds a ticket that this version can read, and not what something else wrote there."""
    try:
        return item.body is None or Ticket.from_bytes(item.body).key == item.key
    except (RecordInvalid, RecordDropped):
        return False

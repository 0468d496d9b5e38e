"""The lives of a few tickets, whose keys are known, read from the tickets topics and the delivery logs."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from plaint.kafka.reading import Stored, TopicReader, Where
from plaint.lookup.explanation import Step, TicketAsked, TicketLife, TicketState
from plaint.lookup.holds import Holds, Waiting, waiting_author
from plaint.lookup.logbook import LogBook, step_of
from plaint.switches import SwitchBook
from schemas import topics
from schemas.delivery import Delivery
from schemas.record import RecordDropped, RecordInvalid
from schemas.ticket import Ticket, message_id, ticket_partition

_STATES: dict[str, TicketState] = {"accepted": "accepted", "sending": "sending", "done": "done", "dead": "dead"}


class LifeBook:
    """One ticket a destination; ``keys`` are theirs. Feed it the partitions of ``where``, each in order."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self.keys = dict(keys)
        self._tickets = {topics.tickets(name): name for name in keys}
        self._logs = {topics.deliveries(name): name for name in keys}
        self._books = {name: LogBook() for name in keys}
        self._asked: dict[str, list[TicketAsked]] = {name: [] for name in keys}
        self._steps: dict[str, list[Step]] = {name: [] for name in keys}
        self._posts: dict[str, str] = {}
        self._waiting: dict[str, Waiting] = {}
        self._switches = SwitchBook()

    @property
    def topics(self) -> list[str]:
        """All that may hold something of them."""
        return [*self._tickets, *self._logs]

    def where(self, there: Where) -> dict[str, list[int]]:
        """The partitions on which they lie, of the topics that are ``there``."""
        names = {**self._tickets, **self._logs}
        return {
            name: [ticket_partition(self.keys[names[name]], len(numbers))]
            for name, numbers in there.items()
            if name in names
        }

    def add(self, record: Stored) -> None:
        """Take in a record of one of these topics."""
        if record.topic in self._tickets:
            self._add_ticket(self._tickets[record.topic], record)
        elif record.topic in self._logs:
            self._add_step(self._logs[record.topic], record)

    def _add_ticket(self, destination: str, record: Stored) -> None:
        ticket = ticket_in(record) if record.key == self.keys[destination].encode() else None
        if ticket is None:
            return
        self._posts[destination] = ticket.post_id
        self._asked[destination].append(
            TicketAsked(
                place=record.place,
                at=record.at,
                op=ticket.op,
                revision=ticket.revision,
                generation=ticket.generation,
                rule=ticket.rule,
                why=ticket.why,
                priority=ticket.priority,
                team=ticket.team,
            )
        )

    def _add_step(self, destination: str, record: Stored) -> None:
        self._switches.feed(record)
        told = self._books[destination].feed(record)
        if told is None or told.entry.key != self.keys[destination]:
            return
        step = step_of(record, told.counts)
        if step is not None:
            self._steps[destination].append(step)
        entry = told.entry
        if entry.state == "accepted" and told.counts:
            author = waiting_author(entry.op, entry.body)
            self._waiting[destination] = Waiting(destination, entry.key, entry.rank, author)
        if ticket := logged_ticket(record):
            self._posts.setdefault(destination, ticket.post_id)

    def lives(self) -> tuple[TicketLife, ...]:
        """How each stands, as far as it was fed."""
        return tuple(map(self._life, self.keys))

    async def held_lives(self, reader: TopicReader, holds: Holds) -> tuple[TicketLife, ...]:
        """The same, each that is not done with what holds it back. Raises as TopicReader does."""
        off = holds.of_destinations(self._switches.states(self.keys))
        lives, now = self.lives(), datetime.now(UTC)
        due = [
            life for life in lives if life.state == "accepted" and life.next_try is not None and life.next_try <= now
        ]
        waiting = [self._waiting[life.destination] for life in due if life.destination not in off]
        limited = await holds.of_tickets(reader, waiting)
        return tuple(
            life.model_copy(update={"hold": off.get(life.destination) or limited.get(life.key)})
            if life.state != "done"
            else life
            for life in lives
        )

    def _life(self, destination: str) -> TicketLife:
        key, asked, steps = self.keys[destination], self._asked[destination], self._steps[destination]
        counting = [step for step in steps if step.counts]
        last = counting[-1] if counting else None
        version = max(((one.revision, one.generation) for one in asked), default=(0, 0))
        state: TicketState = "asked" if any(one.op != "withdraw" for one in asked) else "none"
        if last is not None and (last.revision, last.generation) >= version:
            state, version = _STATES[last.state], (last.revision, last.generation)
        sent, begun = _requests(steps)
        return TicketLife(
            destination=destination,
            key=key,
            post_id=self._posts.get(destination, ""),
            webhook_id=message_id(key, *version),
            state=state,
            asked=tuple(asked),
            steps=tuple(steps),
            requests=sent,
            requests_lost=max(0, begun - sent),
            next_try=last.due_at if last and state in ("accepted", "sending") else None,
            status=last.status if last else None,
            reason=last.reason if last else "",
            remote_id=last.remote_id if last else "",
            remote_url=last.remote_url if last else "",
        )


def _requests(steps: Iterable[Step]) -> tuple[int, int]:
    """How many requests the log tells of, and how many began as far as its counts say."""
    sent, begun = 0, dict[tuple[int, int], int]()
    for step in steps:
        version = step.revision, step.generation
        sent += step.state == "sending"
        begun[version] = max(step.attempt, begun.get(version, 0))
    return sent, sum(begun.values())


def ticket_in(record: Stored) -> Ticket | None:
    """The ticket in a record of a tickets topic, or None: then it has a dead letter."""
    try:
        return Ticket.from_bytes(record.value)
    except (RecordInvalid, RecordDropped):
        return None


def logged_ticket(record: Stored) -> Ticket | None:
    """The ticket in a record of a delivery log; one that is settled holds none."""
    try:
        return Delivery.from_bytes(record.value).ticket
    except (RecordInvalid, RecordDropped):
        return None

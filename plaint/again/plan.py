"""Sending things again: what is planned for each, and how it is written and marked."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aiokafka.errors import TopicAuthorizationFailedError

from plaint.kafka.publisher import NotWritten, OutRecord, Publisher
from plaint.kafka.settings import KafkaSettings
from plaint.lookup.letters import HeldLetter
from plaint.lookup.tickets import TicketRow
from schemas import topics
from schemas.deadletter import Replayed
from schemas.faults import Fault, FaultsFound, Unavailable
from schemas.ticket import Ticket, ticket_partition


class WriteRefused(FaultsFound):
    """The brokers don't let this user write to a topic."""


@dataclass(frozen=True)
class Plan:
    """What is to be done with one dead letter or ticket: ``record`` is to be written, or None, and ``why`` says why not."""

    name: str
    record: OutRecord | None
    why: str = ""
    letter: HeldLetter | None = None

    def would(self) -> "Done":
        """What is told of it if nothing is written: its place lacks the offset."""
        place = f"{self.record.topic}[{self.record.partition}]" if self.record else ""
        return Done(self.name, place, self.why)


@dataclass(frozen=True)
class Done:
    """What was done: ``place`` is where the record lies now, empty if none was written, and ``why`` says why not."""

    name: str
    place: str
    why: str = ""


def ticket_again(
    name: str, ticket: Ticket, known: TicketRow | None, partitions: int, letter: HeldLetter | None
) -> Plan:
    """The plan for a ticket, by how the delivery log says that it stands.

    A dead one goes in a new generation, an open one too, which makes it due now; what was delivered stays as it is.
    """
    if known is not None:
        if (ticket.revision, ticket.generation) > (known.revision, known.generation):
            known = None  # never taken on: it goes as it is
        elif ticket.revision < known.revision:
            why = (
                f"revision {known.revision} is {known.state}, this is {ticket.revision}: there is nothing to send again"
            )
            return Plan(name, None, why, letter)
        elif known.state == "done":
            status = f" ({known.status})" if known.status else ""
            return Plan(name, None, f"it was delivered{status}", letter)
    generation = known.generation + 1 if known is not None else ticket.generation
    again = ticket.model_copy(update={"generation": generation})
    number = ticket_partition(ticket.key, partitions)
    record = OutRecord(topics.tickets(ticket.destination), number, ticket.key.encode(), again.to_bytes())
    return Plan(name, record, "", letter)


def publisher_for(kafka: KafkaSettings) -> Publisher:
    """A publisher that needs no right but Write: what a lost answer makes it write twice is dropped as repeated."""
    return Publisher(kafka.model_copy(update={"idempotent_producer": False}))


async def send(publisher: Publisher, plans: Sequence[Plan]) -> list[Done]:
    """Write the records of ``plans`` and then a mark beside each letter. Raises WriteRefused, or Unavailable.

    One that was written and not marked, since the broker went away in between, is dropped as repeated if it goes again.
    """
    try:
        return await _sent(publisher, plans)
    except NotWritten as error:
        if not isinstance(error.__cause__, TopicAuthorizationFailedError):
            raise Unavailable(f"not all was sent: {error}; say it again, nothing is sent twice") from error
        topic = str(error).partition("[")[0]
        fault = Fault(publisher.user_key, f"may not write to {topic}", f"grant it Write on {topic}")
        raise WriteRefused([fault]) from error


async def _sent(publisher: Publisher, plans: Sequence[Plan]) -> list[Done]:
    places = await _written(publisher, [plan for plan in plans if plan.record is not None])
    now = datetime.now(UTC)
    marks = [
        _mark(plan.letter, places[plan.name], now) for plan in plans if plan.letter is not None and plan.name in places
    ]
    await publisher.publish(marks)
    return [Done(plan.name, places.get(plan.name, ""), plan.why) for plan in plans]


async def _written(publisher: Publisher, plans: Iterable[Plan]) -> dict[str, str]:
    by_partition: dict[tuple[str, int], list[Plan]] = defaultdict(list)
    for plan in plans:
        assert plan.record is not None, "those without one are left out"
        by_partition[plan.record.topic, plan.record.partition].append(plan)
    places = {}
    for (topic, number), found in by_partition.items():
        offsets = await publisher.append(topic, number, [plan.record for plan in found if plan.record is not None])
        for plan, offset in zip(found, offsets, strict=True):
            places[plan.name] = topics.place(topic, number, offset)
    return places


def _mark(held: HeldLetter, place: str, at: datetime) -> OutRecord:
    mark = Replayed(letter=held.id, place=place, at=at)
    return OutRecord(topics.DEAD_LETTERS, held.record.partition, held.letter.key or None, b"", mark.headers())

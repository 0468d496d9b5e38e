"""``plaint tickets retry``: an open ticket is due now, a dead one goes again."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from plaint.again.plan import Done, Plan, publisher_for, send, ticket_again
from plaint.kafka.reading import Progress, Stored, TopicReader
from plaint.kafka.settings import KafkaSettings
from plaint.lookup.letters import LetterBook, read_letters
from plaint.lookup.lives import logged_ticket, ticket_in
from plaint.lookup.tickets import TicketBook, TicketRow
from schemas import topics
from schemas.record import RecordDropped, RecordInvalid
from schemas.ticket import Ticket, ticket_partition


@dataclass
class _Bodies:
    """The whole tickets of these keys, by key and revision."""

    keys: Collection[str]
    found: dict[tuple[str, int], Ticket] = field(default_factory=dict)

    def add(self, ticket: Ticket | None) -> None:
        if ticket is not None and ticket.key in self.keys:
            self.found[ticket.key, ticket.revision] = ticket

    def add_record(self, record: Stored) -> None:
        if (record.key or b"").decode("utf-8", "replace") in self.keys:
            is_log = record.topic.startswith(topics.deliveries(""))
            self.add(logged_ticket(record) if is_log else ticket_in(record))


async def plan_retries(
    kafka: KafkaSettings, destinations: Sequence[str], keys: Mapping[str, str], progress: Progress | None = None
) -> list[Plan]:
    """A plan for each ticket; ``keys`` are their keys with what the person called them. Raises as TopicReader does.

    The text of a dead ticket is no longer in the log: it is taken from what route asked for or from its dead letter.
    """
    book, bodies = TicketBook(True, keys.keys()), _Bodies(keys.keys())
    async with TopicReader(kafka) as reader:
        logs = [topics.deliveries(name) for name in destinations]
        there = await reader.partitions([*logs, *map(topics.tickets, destinations)])
        where = {n: sorted({ticket_partition(key, len(numbers)) for key in keys}) for n, numbers in there.items()}
        async for record in reader.scan(where, progress=progress):
            if record.topic in logs:
                book.feed(record)
            bodies.add_record(record)
        rows = {row.key: row for row in book.rows()}
        if any((key, row.revision) not in bodies.found for key, row in rows.items() if row.state != "done"):
            await _from_letters(reader, bodies, progress)
    counts = {name: len(there.get(topics.tickets(name), ())) for name in destinations}
    return [_plan(key, name, rows.get(key), bodies, counts) for key, name in keys.items()]


async def _from_letters(reader: TopicReader, bodies: _Bodies, progress: Progress | None) -> None:
    wanted = {key.encode() for key in bodies.keys}
    book = LetterBook(lambda letter, _: letter.key in wanted, keep_values=True)
    await read_letters(reader, book, progress=progress)
    for held in book.letters.values():
        try:
            bodies.add(Ticket.from_bytes(held.letter.value))
        except (RecordInvalid, RecordDropped):
            continue


def _plan(key: str, name: str, row: TicketRow | None, bodies: _Bodies, counts: Mapping[str, int]) -> Plan:
    if row is None:
        return Plan(name, None, "no delivery log knows it: plaint tickets list --state open --state dead")
    if row.state == "done":
        return Plan(name, None, f"it was delivered{f' ({row.status})' if row.status else ''}")
    ticket = bodies.found.get((key, row.revision))
    if ticket is None:
        return Plan(name, None, "its text is gone: neither plaint.tickets nor plaint.deadletters holds it any more")
    count = counts.get(row.destination, 0)
    if not count:
        return Plan(name, None, f"{topics.tickets(row.destination)} does not exist, or this user may not see it")
    return ticket_again(name, ticket, row, count, None)


async def retry(kafka: KafkaSettings, plans: Sequence[Plan]) -> list[Done]:
    """Do what is planned. Raises as ``send`` does, or KafkaConnectionError if no broker answers."""
    async with publisher_for(kafka) as publisher:
        return await send(publisher, plans)

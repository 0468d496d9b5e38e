"""What the topics say of how it goes: open tickets out of the delivery logs, dead letters of late."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from plaint.kafka.reading import Start, TopicReader
from plaint.lookup.letters import LetterBook, read_letters
from plaint.lookup.logbook import LogBook
from schemas import topics
from schemas.deadletter import DeadLetter


class OpenTickets(BaseModel):
    """Tickets of one destination that were taken on and have not come to an end. ``oldest_at``: seconds since 1970."""

    model_config = ConfigDict(frozen=True)

    count: int
    oldest_at: float | None = None


class DeadTally(BaseModel):
    """Dead letters of one stage and reason since a time; ``newest`` is the detail of the last one."""

    model_config = ConfigDict(frozen=True)

    reason: str
    count: int
    newest: str


async def open_tickets(
    reader: TopicReader, destinations: Iterable[str], limit_s: float
) -> dict[str, OpenTickets] | None:
    """Of each destination, out of its whole delivery log; None if the logs are too long to be read in ``limit_s``."""
    names = {topics.deliveries(name): name for name in destinations}
    books: dict[tuple[str, int], LogBook] = {}
    try:
        async with asyncio.timeout(limit_s):
            async for record in reader.scan(await reader.partitions(names)):
                books.setdefault((names[record.topic], record.partition), LogBook()).feed(record)
    except TimeoutError:
        return None
    ages: dict[str, list[float]] = {name: [] for name in names.values()}
    for (name, _), book in books.items():
        ages[name] += [item.since for item in book.fold.open.values()]
    return {name: OpenTickets(count=len(found), oldest_at=min(found, default=None)) for name, found in ages.items()}


async def dead_letters(
    reader: TopicReader, since: datetime, stages: Iterable[str], limit_s: float
) -> dict[str, list[DeadTally]]:
    """Dead letters written since then by stage, ``deliver-helpdesk`` for a destination's; what fits into ``limit_s``.

    Those that were sent again count no more.
    """
    book = LetterBook(lambda letter, record: True)
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await read_letters(reader, book, Start(since=since))
    counts: Counter[tuple[str, str]] = Counter()
    newest: dict[tuple[str, str], str] = {}
    known = set(stages)
    for held in book.letters.values():
        if not held.replays:
            key = _stage(held.letter, known), held.letter.reason.value
            counts[key] += 1
            newest[key] = held.letter.detail
    found: dict[str, list[DeadTally]] = {}
    for (stage, reason), count in counts.most_common():
        found.setdefault(stage, []).append(DeadTally(reason=reason, count=count, newest=newest[stage, reason]))
    return found


def _stage(letter: DeadLetter, known: set[str]) -> str:
    """The stage of a letter; that of a destination is in the topic where it stood."""
    name = topics.DELIVER + topics.destination_of(letter.place.partition("[")[0])
    return name if name in known else letter.stage

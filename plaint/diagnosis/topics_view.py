"""What the topics say of how it goes: open tickets out of the delivery logs, dead letters of late."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

import orjson
from pydantic import BaseModel, ConfigDict

from plaint.kafka.reading import Start, TopicReader
from plaint.tools.letters import LetterBook, read_letters
from route.delivery.entry import OWNER, is_key, read_entry
from route.delivery.fold import Fold
from schemas import topics
from schemas.deadletter import DeadLetter
from schemas.record import RecordInvalid

FOR_EVER = float("inf")


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
    folds: dict[tuple[str, int], Fold] = {}
    written: dict[str, float] = {}
    try:
        async with asyncio.timeout(limit_s):
            async for record in reader.scan(await reader.partitions(names)):
                fold = folds.setdefault((names[record.topic], record.partition), Fold())
                _take(fold, record.key or b"", record.value, record.offset)
                written.setdefault((record.key or b"").decode("utf-8", "replace"), record.timestamp)
    except TimeoutError:
        return None
    ages: dict[str, list[float]] = {name: [] for name in names.values()}
    for (name, _), fold in folds.items():
        ages[name] += [_received(item.body) or written[key] for key, item in fold.open.items()]
    return {name: OpenTickets(count=len(found), oldest_at=min(found, default=None)) for name, found in ages.items()}


def _take(fold: Fold, key: bytes, value: bytes | None, offset: int) -> None:
    if key == OWNER:
        fold.owned(offset)
    elif value is None and is_key(key):
        fold.forget(key.decode())
    else:
        try:
            fold.apply(read_entry(key, value or b"", offset), FOR_EVER)
        except RecordInvalid:
            return


def _received(body: bytes | None) -> float | None:
    """When the post of a ticket was received, if it says so."""
    try:
        return datetime.fromisoformat(orjson.loads(body or b"{}")["received_at"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return None


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
    topic = letter.place.partition("[")[0]
    for name in known:
        if topic in (topics.tickets(name.removeprefix("deliver-")), topics.deliveries(name.removeprefix("deliver-"))):
            return name
    return letter.stage

"""Tickets of destinations that were taken out of the settings: nobody delivers them any more.

A destination is removed in two steps: take it out of the routes, let its deliver process finish, take it out of the
settings. Where tickets are still open after the second step they are given up only by being named once more, in
``route.abandoned``.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from kafka.errors import KafkaError as AdminError
from pydantic import BaseModel, ConfigDict

from plaint.kafka.admin import BrokerAway, open_admin
from plaint.kafka.reaching import start_client
from plaint.kafka.reading import Stored, TopicReader
from plaint.kafka.settings import KafkaSettings
from plaint.lookup.logbook import LogBook
from plaint.settings import Settings
from route.delivery.fold import Fold
from route.delivery.settled import Version
from schemas import topics
from schemas.faults import Fault, Unavailable, shown
from schemas.record import RecordDropped, RecordInvalid
from schemas.ticket import Ticket

log = logging.getLogger(__name__)

CONNECT_S = 3.0


class Leftover(BaseModel):
    """A destination that has topics and stands in no settings; ``open`` tickets of it were never brought to an end."""

    model_config = ConfigDict(frozen=True)

    destination: str
    open: int


def strangers(names: Iterable[str], destinations: Collection[str]) -> list[str]:
    """Ids of the destinations that these topics are for, but for ``destinations``."""
    return sorted(set(map(topics.destination_of, names)) - {"", *destinations})


async def find_strangers(kafka: KafkaSettings, destinations: Collection[str]) -> list[str]:
    """Ids of the destinations that have topics but are none of ``destinations``. Raises Unavailable."""
    return strangers(await _names(kafka), destinations)


async def leftovers(kafka: KafkaSettings, destinations: Collection[str]) -> list[Leftover]:
    """Every destination that has topics but is none of ``destinations``, with what is open there.

    Raises Unavailable if the brokers are away, ReadRefused if rights are missing.
    """
    return [
        Leftover(destination=name, open=await _open(kafka, name)) for name in await find_strangers(kafka, destinations)
    ]


async def _names(kafka: KafkaSettings) -> Sequence[str]:
    admin = AIOKafkaAdminClient(**kafka.connection(), client_id="plaint-tools")
    try:
        await start_client(admin, kafka)
        found: list[str] = await admin.list_topics()
    except KafkaError as error:
        raise Unavailable(f"{', '.join(kafka.brokers)}: {error!r}") from error
    finally:
        await admin.close()
    return found


async def _open(kafka: KafkaSettings, destination: str) -> int:
    fold = _Fold()
    async with TopicReader(kafka) as reader:
        where = await reader.partitions([topics.tickets(destination), topics.deliveries(destination)])
        async for record in reader.scan(where):
            if record.topic == topics.tickets(destination):
                fold.add_ticket(record.value)
            else:
                fold.add_step(record)
    return fold.open()


class _Fold:
    """What was asked of a destination and what its log says of it."""

    def __init__(self) -> None:
        self._asked: dict[str, Version] = {}
        self._created: set[str] = set()
        self._books: defaultdict[int, LogBook] = defaultdict(LogBook)

    def add_ticket(self, value: bytes | None) -> None:
        """A record of plaint.tickets.<destination>."""
        try:
            ticket = Ticket.from_bytes(value)
        except (RecordInvalid, RecordDropped):
            return  # delivery makes a dead letter of it
        self._asked[ticket.key] = max((ticket.revision, ticket.generation), self._asked.get(ticket.key, (0, 0)))
        if ticket.op != "withdraw":
            self._created.add(ticket.key)

    def add_step(self, record: Stored) -> None:
        """A record of plaint.deliveries.<destination>; of one partition in their order."""
        self._books[record.partition].feed(record)

    def open(self) -> int:
        """Tickets whose newest revision has not come to its end. Withdrawing what never was a ticket is none."""
        folds = [book.fold for book in self._books.values()]
        under_way = {key for fold in folds for key in fold.open}  # its ticket may be gone from the other topic, by age
        asked = {key for key in self._created if not any(_has_ended(fold, key, self._asked[key]) for fold in folds)}
        return len(asked | under_way)


def _has_ended(fold: Fold, key: str, version: Version) -> bool:
    known = fold.settled.get(key)
    return known is not None and known.version >= version


def judge(found: Iterable[Leftover], settings: Settings) -> tuple[list[Fault], list[Fault]]:
    """Faults, destinations whose open tickets nobody delivers; and notes, what may be tidied up."""
    abandoned = set(settings.route.abandoned)
    both = sorted(abandoned & settings.destinations.keys())
    faults = [
        Fault("route.abandoned", f"{shown(name)} is a destination", "take it out here, or there") for name in both
    ]
    notes = []
    for one in found:
        tickets = "1 ticket of it is" if one.open == 1 else f"{one.open:,} tickets of it are"
        if one.open and one.destination not in abandoned:
            what = f"is not in the settings, but {tickets} not delivered"
            mend = (
                "put it back and take it out of the routes only, until they are; or give them up by adding it to "
                "route.abandoned"
            )
            faults.append(Fault(f"destinations.{one.destination}", what, mend))
        elif one.open:
            notes.append(Fault(f"destinations.{one.destination}", f"{tickets} given up", "nothing is to be done"))
        else:
            mend = f"delete {topics.tickets(one.destination)} and {topics.deliveries(one.destination)} if it won't come back"
            notes.append(
                Fault(f"destinations.{one.destination}", "is not in the settings, all of it is delivered", mend)
            )
    return faults, notes


def warn_of_strangers(kafka: KafkaSettings, destinations: Collection[str], abandoned: Collection[str]) -> None:
    """Log which destinations have topics but stand in no settings; in a thread, since nothing hangs on it."""

    def look() -> None:
        try:
            with open_admin(kafka, CONNECT_S) as admin:
                names = admin.list_topics()
        except (BrokerAway, AdminError):
            return  # others will tell
        for name in strangers(names, {*destinations, *abandoned}):
            log.warning(
                "destination %s has topics but is not in the settings: what is open there is not delivered. "
                "`plaint check-config --broker` counts it",
                name,
            )

    threading.Thread(target=look, name="strangers", daemon=True).start()

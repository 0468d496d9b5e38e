"""Turns destinations off and on again for all their deliver processes, and reads which are off."""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from aiokafka.errors import KafkaConnectionError

from plaint.kafka.publisher import NotWritten, OutRecord, Publisher
from plaint.kafka.reading import Stored, TopicReader
from plaint.kafka.settings import KafkaSettings
from route.delivery.switch import SWITCH_KEYS, Disabled, Enabled, InUse, Word, ends, read_switch, switch_record
from schemas import topics
from schemas.faults import Fault, FaultsFound, Unavailable
from schemas.record import RecordInvalid


class SwitchState(NamedTuple):
    """A destination and why it gets nothing, None if it gets its tickets; as its log says.

    ``refused``: why it would get nothing, had a worker not come with other settings. A process may still be there, or
    again, with those that were refused; it alone knows.
    """

    destination: str
    disabled: Disabled | None
    refused: Disabled | None = None


def why_disabled(disabled: Disabled) -> str:
    """The reason, with the status that said so where the reason doesn't name it."""
    said = disabled.status is not None and str(disabled.status) not in disabled.reason
    return f"{disabled.reason} (the destination answered {disabled.status})" if said else disabled.reason


class NoLog(FaultsFound):
    """The destination has no delivery log yet."""


async def switch_states(kafka: KafkaSettings, destinations: Sequence[str]) -> list[SwitchState]:
    """The state of each, as the newest record of its log's first partition says: the others say the same.

    A destination without a log is not disabled. Raises Unavailable or ReadRefused.
    """
    book = SwitchBook()
    async with TopicReader(kafka) as reader:
        logs = await reader.partitions(map(topics.deliveries, destinations))
        async for record in reader.scan({topic: numbers[:1] for topic, numbers in logs.items()}):
            book.feed(record)
    return book.states(destinations)


class SwitchBook:
    """What delivery logs say of the switches; feed it any of their partitions, each in order."""

    def __init__(self) -> None:
        self._said: dict[str, dict[int, SwitchState]] = {}

    def feed(self, record: Stored) -> None:
        """The next record of a partition."""
        if record.key not in SWITCH_KEYS:
            return
        name = topics.destination_of(record.topic)
        said = self._said.setdefault(name, {})
        before = said.get(record.partition, SwitchState(name, None))
        with suppress(RecordInvalid):  # the workers pass it over too
            said[record.partition] = _after(before, read_switch(record.value))

    def states(self, destinations: Iterable[str]) -> list[SwitchState]:
        """Of each of these. All partitions say the same, so that of each log the first one counts."""
        return [self._state(name) for name in dict.fromkeys(destinations)]

    def _state(self, name: str) -> SwitchState:
        said = self._said.get(name)
        return said[min(said)] if said else SwitchState(name, None)


def _after(before: SwitchState, word: Word) -> SwitchState:
    match word:
        case Disabled():
            return SwitchState(before.destination, word)
        case Enabled():
            return SwitchState(before.destination, None)
        case InUse() if before.disabled is not None and ends(word, before.disabled):
            return SwitchState(before.destination, None, before.disabled)
        case _:
            return before


async def turn(kafka: KafkaSettings, destination: str, off: str | None) -> None:
    """Turn a destination off for the reason ``off``, or on (None); running workers hear of it within a second.

    Raises NoLog if it has no delivery log, Unavailable, KafkaConnectionError or ReadRefused.
    """
    topic = topics.deliveries(destination)
    async with TopicReader(kafka) as reader:
        if topic not in await reader.partitions([topic]):  # writing to it might make it, with settings of the broker's
            mend = "start plaint, or run `plaint topics --create`"
            raise NoLog([Fault(destination, f"has no topic {topic} yet", mend)])
    async with Publisher(kafka) as publisher:
        now = time.time()
        try:
            await write_switch(publisher, destination, Enabled() if off is None else Disabled(off, now), now)
        except (NotWritten, KafkaConnectionError) as error:
            why = f"{topic} could not be written, so nothing is certain: {error}; run this again"
            raise Unavailable(why) from error


async def write_switch(publisher: Publisher, destination: str, word: Word, at: float) -> None:
    """Return once it stands in every partition of the log: a process reads those that it owns. Raises NotWritten."""
    topic = topics.deliveries(destination)
    record = switch_record(word, at)
    numbers = range(await publisher.partitions(topic))
    await publisher.publish(OutRecord(topic, number, record.key, record.value) for number in numbers)

"""Turns destinations off and on again for all their deliver processes, and reads which are off."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from aiokafka.errors import KafkaConnectionError

from plaint.failures import Unavailable
from plaint.kafka.publisher import Publisher, PublishFailed
from plaint.kafka.reading import TopicReader
from plaint.kafka.settings import KafkaSettings
from plaint.workers.delivering.switching import write_switch
from route.delivery.switch import SWITCH, Disabled, read_switch
from schemas import topics
from schemas.faults import Fault, FaultsFound
from schemas.record import RecordInvalid


class SwitchState(NamedTuple):
    """A destination and why it gets nothing, None if it gets its tickets."""

    destination: str
    disabled: Disabled | None


class NoLog(FaultsFound):
    """The destination has no delivery log yet."""


async def switch_states(kafka: KafkaSettings, destinations: Sequence[str]) -> list[SwitchState]:
    """The state of each, as the newest record of its log's first partition says: the others say the same.

    A destination without a log is not disabled. Raises Unavailable, KafkaConnectionError or ReadRefused.
    """
    found: dict[str, Disabled | None] = dict.fromkeys(destinations)
    names = {topics.deliveries(name): name for name in destinations}
    async with TopicReader(kafka) as reader:
        there = {topic: numbers[:1] for topic, numbers in (await reader.partitions(names)).items()}
        async for record in reader.scan(there):
            if record.key == SWITCH:
                try:
                    found[names[record.topic]] = read_switch(record.value)
                except RecordInvalid:
                    continue  # the workers pass it over too
    return [SwitchState(name, disabled) for name, disabled in found.items()]


async def turn(kafka: KafkaSettings, destination: str, off: str | None) -> None:
    """Turn a destination off for the reason ``off``, or on (None); running workers hear of it within a second.

    Raises NoLog if it has no delivery log, Unavailable, KafkaConnectionError or ReadRefused.
    """
    topic = topics.deliveries(destination)
    async with TopicReader(kafka) as reader:
        if topic not in await reader.partitions([topic]):  # writing to it might make it, with settings of the broker's
            mend = "start plaint, or run `plaint topics --create`"
            raise NoLog([Fault(destination, f"has no topic {topic} yet", mend)])
    publisher = Publisher(kafka)
    await publisher.start()
    now = time.time()
    try:
        await write_switch(publisher, destination, None if off is None else Disabled(off, now), now)
    except (PublishFailed, KafkaConnectionError) as error:
        raise Unavailable(f"{topic} could not be written, so nothing is certain: {error}; run this again") from error
    finally:
        await publisher.stop()

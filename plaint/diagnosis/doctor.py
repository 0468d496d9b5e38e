"""All checks of ``plaint doctor``: side by side, each in bounded time, told in one order."""

import asyncio
import time
from collections.abc import Collection, Iterator, Sequence

from aiokafka.errors import KafkaError as ReadFailed

from plaint.diagnosis import brokers, clock, destinations, machine, model, topics_check
from plaint.diagnosis.check import Check, Running, Task, checked, skipped
from plaint.diagnosis.destinations import Date
from plaint.diagnosis.finding import fail
from plaint.diagnosis.topics_check import Visit
from plaint.failures import Unavailable
from plaint.kafka.reading import Start, TopicReader
from plaint.kafka.settings import KafkaSettings
from plaint.preflight import check_setup
from plaint.settings import Settings
from plaint.up import INBOX_QUEUES
from route.rules import check_routes
from schemas import topics
from schemas.faults import FaultsFound

BROKERS_S, VISIT_S, MODEL_S, DESTINATION_S, NEWEST_S, QUICK_S = 30.0, 30.0, 60.0, 25.0, 8.0, 10.0
HUNG = "something that it asks does not answer: look at what it names, and run `plaint doctor` again"


def examine(
    settings: Settings, kafka: KafkaSettings | None, queues: Sequence[str], only: Collection[str], send_test: bool
) -> Iterator[Check]:
    """Every check as it is done. ``kafka`` None: there is none yet. ``queues`` are all destinations, an inbox's included.

    ``only`` names the roles whose rights are looked at, all without one. ``send_test``: a signed test event to each
    destination.
    """
    dates: list[Date] = []
    hooks = [Running(_destination(name, settings, dates, send_test)) for name in settings.destinations]
    labels = Running(Task("model", lambda: model.check(settings.classify), MODEL_S, "look what else runs here"))
    reach = Running(Task(brokers.NAME, lambda: _brokers(settings, kafka), BROKERS_S, HUNG))
    yield machine.check_versions()
    yield Running(Task("settings", lambda: _settings(settings), QUICK_S, HUNG)).result()
    yield machine.check_machine()
    yield Running(
        Task("disk", lambda: machine.check_disk(settings), QUICK_S, "a file system hangs: look at df")
    ).result()
    yield (reached := reach.result())
    is_there = kafka is not None and reached.state != "fail"
    newest: list[tuple[str, float]] = []
    yield from _on_kafka(kafka if is_there else None, queues, only, newest)
    yield labels.result()
    for hook in hooks:
        yield hook.result()
    yield clock.check(dates, newest[0] if newest else None, time.time())


def _destination(name: str, settings: Settings, dates: list[Date], send_test: bool) -> Task:
    return Task(
        f"destination {name}",
        lambda: destinations.check(name, settings.destinations[name], settings.kafka, dates, send_test),
        DESTINATION_S,
        HUNG,
    )


def _brokers(settings: Settings, kafka: KafkaSettings | None) -> Check:
    return brokers.check_embedded(settings.broker) if kafka is None else brokers.check(kafka)


def _settings(settings: Settings) -> Check:
    found = check_setup(settings, settings.sources)
    found += check_routes(settings.route.routes, list(settings.destinations) or INBOX_QUEUES)
    looked = "settings and routes, as check-config does"
    return checked("settings", looked, [fail(fault.place, fault.what, fault.mend) for fault in found])


def _on_kafka(
    kafka: KafkaSettings | None, queues: Sequence[str], only: Collection[str], newest: list[tuple[str, float]]
) -> Iterator[Check]:
    """What only the brokers know; the youngest record is put into ``newest`` for the clock."""
    names = ["topics", "rights", "groups", "broker disks"]
    if kafka is None:
        yield from (skipped(name, "needs the brokers") for name in names)
        return
    seen: list[Visit] = []
    task = Task("topics", lambda: _visited(kafka, queues, seen), VISIT_S, HUNG)
    yield Running(task).result()
    if not seen:
        yield from (skipped(name, "needs what the topics could not tell") for name in names[1:])
        return
    yield topics_check.check_rights(seen[0], queues, kafka, only)
    yield topics_check.check_groups(seen[0])
    yield topics_check.check_disks(seen[0])
    try:
        newest += asyncio.run(asyncio.wait_for(_newest(kafka), NEWEST_S))
    except (TimeoutError, ReadFailed, Unavailable, FaultsFound, OSError):
        return  # the clock has other witnesses, and the checks above have told what is wrong


def _visited(kafka: KafkaSettings, queues: Sequence[str], seen: list[Visit]) -> Check:
    seen.append(topics_check.visit(kafka, queues))
    return topics_check.check_topics(seen[0])


async def _newest(kafka: KafkaSettings) -> list[tuple[str, float]]:
    """The youngest record of the topics that all destinations share."""
    async with TopicReader(kafka) as reader:
        where = await reader.partitions([topics.POSTS, topics.TRIAGED])
        found = [(record.topic, record.timestamp) async for record in reader.scan(where, Start(newest=1))]
    return sorted(found, key=lambda one: one[1])[-1:]

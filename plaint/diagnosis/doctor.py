"""All checks of ``plaint doctor``: side by side, each in bounded time, told in one order."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from aiokafka.errors import KafkaError as ReadFailed

from plaint.diagnosis import brokers, clock, destinations, machine, model, topics_check
from plaint.diagnosis.check import Check, Running, Task, checked, skipped
from plaint.diagnosis.destinations import Date
from plaint.diagnosis.finding import failures
from plaint.diagnosis.topics_check import Visit
from plaint.kafka.reading import Start, TopicReader
from plaint.kafka.settings import KafkaSettings
from plaint.local.plan import stood_in
from plaint.preflight import check_setup
from plaint.settings import Settings
from route.rules import check_routes
from schemas import topics
from schemas.faults import FaultsFound, Unavailable

BROKERS_S, VISIT_S, MODEL_S, DESTINATION_S, NEWEST_S, QUICK_S = 30.0, 30.0, 60.0, 25.0, 8.0, 10.0
HUNG = "something that it asks does not answer: look at what it names, and run `plaint doctor` again"


CHECKS = {
    "versions": "what runs here",
    "settings": "settings, sources, secrets and routes",
    "machine": "cores and memory",
    "disk": "free space where plaint writes on this machine",
    "brokers": "name, port, TLS, login, and the addresses that brokers tell",
    "topics": "missing, other partition count or policy, without a leader",
    "rights": "what each stage needs and lacks",
    "groups": "how long the brokers remember where a stage was",
    "broker-disks": "free space where the brokers keep their logs",
    "model": "weights whole, loads, labels a known sentence, speed",
    "destinations": "name, port, TLS, certificate, private addresses, secret",
    "clock": "this machine's against destinations' and the newest record's",
}
"""Every check in the order in which it is told."""
_NEED_BROKERS = ("topics", "rights", "groups", "broker-disks", "clock")


@dataclass(frozen=True)
class Patient:
    """What is examined. ``kafka`` None: there is none yet. ``queues`` are all destinations, an inbox's included.

    ``roles`` are those whose rights are looked at, all if there are none. ``send_test``: a signed test event goes to each
    destination. ``only`` are the checks that are wanted, all if there are none.
    """

    settings: Settings
    kafka: KafkaSettings | None
    queues: Sequence[str]
    roles: Collection[str] = ()
    send_test: bool = False
    only: Collection[str] = ()

    def wants(self, *names: str) -> bool:
        """Whether one of these checks is wanted."""
        return not self.only or any(name in self.only for name in names)


def examine(patient: Patient) -> Iterator[Check]:
    """Every wanted check as it is done. What takes long is begun at once, side by side."""
    dates: list[Date] = []
    hooks = _hooks(patient, dates) if patient.wants("destinations", "clock") else []
    labels = Running(_model(patient.settings)) if patient.wants("model") else None
    reach = Running(_brokers(patient)) if patient.wants("brokers", *_NEED_BROKERS) else None
    yield from _here(patient)
    newest: list[tuple[str, float]] = []
    if reach is not None:
        yield from _on_kafka(patient, reach.result(), newest)
    if labels is not None:
        yield labels.result()
    answers = [hook.result() for hook in hooks]
    if patient.wants("destinations"):
        yield from answers
    if patient.wants("clock"):
        yield clock.check(dates, newest[0] if newest else None, time.time())


def _here(patient: Patient) -> Iterator[Check]:
    """What needs nobody else."""
    settings = patient.settings
    looks: dict[str, Callable[[], Check]] = {
        "versions": machine.check_versions,
        "settings": lambda: _settings(settings),
        "machine": machine.check_machine,
        "disk": lambda: machine.check_disk(settings),
    }
    for name, look in looks.items():
        if patient.wants(name):
            yield Running(Task(name, look, QUICK_S, "a file system hangs: look at df")).result()


def _hooks(patient: Patient, dates: list[Date]) -> list[Running]:
    settings = patient.settings
    return [
        Running(
            Task(
                f"destination {name}",
                partial(destinations.check, name, one, settings.kafka, dates, patient.send_test),
                DESTINATION_S,
                HUNG,
            )
        )
        for name, one in settings.destinations.items()
    ]


def _model(settings: Settings) -> Task:
    return Task("model", lambda: model.check(settings.classify), MODEL_S, "look what else runs on this machine")


def _brokers(patient: Patient) -> Task:
    kafka, embedded = patient.kafka, patient.settings.broker
    look = partial(brokers.check_embedded, embedded) if kafka is None else partial(brokers.check, kafka)
    return Task(brokers.NAME, look, BROKERS_S, HUNG)


def _settings(settings: Settings) -> Check:
    found = check_setup(settings, settings.sources)
    found += check_routes(settings.route.routes, [*settings.destinations, *stood_in(settings)])
    looked = "settings and routes, as check-config does"
    return checked("settings", looked, failures(found))


def _on_kafka(patient: Patient, reached: Check, newest: list[tuple[str, float]]) -> Iterator[Check]:
    """What only the brokers know; the youngest record is put into ``newest`` for the clock."""
    if patient.wants("brokers") or reached.state == "fail":
        yield reached
    kafka = patient.kafka
    if kafka is None or reached.state == "fail":
        yield from (skipped(name, "needs the brokers") for name in _NEED_BROKERS[:-1] if patient.wants(name))
        return
    if patient.wants(*_NEED_BROKERS[:-1]):
        yield from _told(patient, kafka)
    if patient.wants("clock"):
        # Without an answer the clock has other witnesses, and the checks above tell what is wrong.
        with suppress(TimeoutError, ReadFailed, Unavailable, FaultsFound, OSError):
            newest += asyncio.run(asyncio.wait_for(_newest(kafka), NEWEST_S))


def _told(patient: Patient, kafka: KafkaSettings) -> Iterator[Check]:
    seen: list[Visit] = []

    def look() -> Check:
        seen.append(topics_check.visit(kafka, patient.queues))
        return topics_check.check_topics(seen[0])

    first = Running(Task("topics", look, VISIT_S, HUNG)).result()
    if patient.wants("topics") or not seen:
        yield first
    if not seen:
        return
    if patient.wants("rights"):
        yield topics_check.check_rights(seen[0], patient.queues, kafka, patient.roles)
    if patient.wants("groups"):
        yield topics_check.check_groups(seen[0])
    if patient.wants("broker-disks"):
        yield topics_check.check_disks(seen[0])


async def _newest(kafka: KafkaSettings) -> list[tuple[str, float]]:
    """The youngest record of the topics that all destinations share."""
    async with TopicReader(kafka) as reader:
        where = await reader.partitions([topics.POSTS, topics.TRIAGED])
        found = [(record.topic, record.timestamp) async for record in reader.scan(where, Start(newest=1))]
    return sorted(found, key=lambda one: one[1])[-1:]

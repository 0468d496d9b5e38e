"""The whole way on one machine: a broker if none is named, an inbox where no destination is, every stage supervised."""

import asyncio
import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from ingest.settings import SourceSettings
from plaint.broker.process import Broker, free_port, is_free
from plaint.broker.start import start_broker
from plaint.census import Census
from plaint.inbox.settings import DEFAULT_PORT
from plaint.kafka.topics import ensure_topics
from plaint.settings import OWN_VARIABLES, PREFIX, Settings
from plaint.settle import Follower, Summary, receipts, settle, sum_up
from plaint.supervisor import Child, Supervisor, python_module
from route.destinations.settings import DestinationSettings
from route.rules import RouteTable

log = logging.getLogger(__name__)

INBOX_QUEUES = ("helpdesk", "service", "marketing")
"""The destinations of the shipped routes; the inbox stands in for those that the settings don't have."""


@dataclass(frozen=True)
class Plan:
    """What is to run. ``inbox`` is its address where it stands in for the destinations in ``queues``."""

    settings: Settings
    inbox: str
    queues: tuple[str, ...]

    @property
    def destinations(self) -> list[str]:
        """Every destination, the inbox's included."""
        return list(self.settings.destinations)


def plan(settings: Settings) -> Plan:
    """``settings`` with the inbox put in where destinations are missing."""
    wanted = INBOX_QUEUES if settings.route.routes is None or not settings.destinations else ()
    queues = tuple(name for name in wanted if name not in settings.destinations)
    if not queues:
        return Plan(settings, "", ())
    port = settings.inbox.port or (DEFAULT_PORT if is_free(DEFAULT_PORT) else free_port())
    address = f"http://{settings.inbox.host}:{port}"
    stand_ins = {
        name: DestinationSettings.model_validate(
            {"type": "webhook", "url": f"{address}/hooks/{name}", "secret": settings.inbox.secret.get_secret_value()}
        )
        for name in queues
    }
    changes = {
        "inbox": settings.inbox.model_copy(update={"port": port, "secret": settings.inbox.secret}),
        "destinations": {**stand_ins, **settings.destinations},
    }
    return Plan(settings.model_copy(update=changes), address, queues)


class Run:
    """One run of ``plaint up``, from the broker's start to the last child's end."""

    def __init__(
        self, settings: Settings, sources: list[SourceSettings], exit_when_done: bool, patience_s: float
    ) -> None:
        self._settings = settings.model_copy(update={"sources": tuple(sources)})
        self._exit_when_done = exit_when_done
        self._patience_s = patience_s
        self.summary: Summary | None = None

    def run(self, say: Callable[[str], None]) -> int:
        """Block until all is done or a signal comes; the exit code. ``say`` tells the person at the terminal."""
        with _broker(self._settings) as broker, tempfile.TemporaryDirectory(prefix="plaint-") as folder:
            settings = self._settings
            if broker is not None:
                say(broker.describe())
                settings = settings.model_copy(update={"kafka": broker.adapt(settings.kafka)})
            planned = plan(settings)
            ensure_topics(planned.settings.kafka, planned.destinations)
            return asyncio.run(self._supervise(planned, broker, Path(folder) / "read.json", say))

    async def _supervise(self, planned: Plan, broker: Broker | None, report: Path, say: Callable[[str], None]) -> int:
        table = RouteTable.load(planned.settings.route.routes, planned.destinations)
        census = Census(table, planned.destinations)
        fresh = broker is not None and not broker.keeps_data
        follower = Follower(planned.settings.kafka, census, planned.destinations, fresh)
        finite = bool(planned.settings.sources) and not any(source.loop for source in planned.settings.sources)
        if finite:
            await follower.begin()
        supervisor = Supervisor(children(planned, report))
        started = time.monotonic()
        running = asyncio.create_task(supervisor.run(broker.ended() if broker else None))
        if planned.inbox:
            say(f"inbox: {planned.inbox}")
        counting = None
        if finite:
            counting = asyncio.create_task(self._count(planned, supervisor, follower, census, report, started, say))
        try:
            code = await running
        finally:
            if counting is not None:
                counting.cancel()
                await asyncio.gather(counting, return_exceptions=True)
                await follower.end()
        return code

    async def _count(
        self,
        planned: Plan,
        supervisor: Supervisor,
        follower: Follower,
        census: Census,
        report: Path,
        started: float,
        say: Callable[[str], None],
    ) -> None:
        await supervisor.finished()
        missing = await settle(follower, census, self._patience_s)
        seconds = time.monotonic() - started
        for line in missing[:20]:
            log.error("lost: %s", line)
        taken = None
        if planned.inbox:
            found = await receipts(planned.inbox)
            taken = {name: [r for r in found if r["queue"] == name] for name in planned.queues}
        self.summary = sum_up(census, orjson.loads(report.read_bytes())["read"], missing, taken, seconds)
        if self._exit_when_done:
            supervisor.stop(1 if self.summary.lost else 0)
        else:
            say(self.summary.text())
            say("still up; Ctrl-C ends it")


def children(planned: Plan, report: Path) -> list[list[Child]]:
    """The processes in the order of the way, which is the order in which they are ended."""
    env = planned.settings.environment() | {"PLAINT_CONFIG": os.devnull}
    stdin = any(source.path == "-" for source in planned.settings.sources)

    def child(name: str, *arguments: str, once: bool = False, stdin: bool = False) -> Child:
        return Child(name, python_module("plaint", *arguments), env, once=once, stdin=stdin)

    groups = [
        [child("classify", "run", "classify")],
        [child("route", "run", "route")],
        [child(f"deliver-{name}", "run", "deliver", "--destination", name) for name in planned.destinations],
    ]
    if planned.settings.sources:
        groups.insert(0, [child("ingest", "run", "ingest", "--report", str(report), once=True, stdin=stdin)])
    if planned.inbox:
        groups.append([child("inbox", "inbox")])
    return groups


def forget_environment() -> None:
    """Take the settings out of this process's environment: children get what was made of them, whole."""
    for name in list(os.environ):
        if name.startswith(PREFIX) and name not in OWN_VARIABLES:
            del os.environ[name]


@contextlib.contextmanager
def _broker(settings: Settings) -> Iterator[Broker | None]:
    if settings.kafka.brokers:
        yield None
        return
    with start_broker(settings.broker) as broker:
        yield broker

"""The whole way on one machine: a broker if none is named, an inbox where no destination is, every stage supervised."""

import asyncio
import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from secrets import token_urlsafe

import orjson
from pydantic import SecretStr

from ingest.http.listening import HANDED_OVER, bind, url
from ingest.http.settings import DEFAULT_PORT as DEFAULT_DOOR_PORT
from ingest.settings import SourceSettings
from plaint.broker.process import Broker, free_port, is_free
from plaint.broker.start import start_broker
from plaint.failures import EXIT_FAILED, EXIT_INTERRUPTED
from plaint.inbox.settings import DEFAULT_PORT, QUEUES
from plaint.kafka.topics import ensure_topics
from plaint.local.census import Census
from plaint.local.ending import ended_like_ctrl_c
from plaint.local.running import Running, announced
from plaint.local.settle import Follower, Summary, receipts, settle, sum_up
from plaint.local.supervisor import Child, Supervisor, python_module
from plaint.local.uncleaned import keep_from_cleaning
from plaint.monitoring.gather import RunMonitor, child_settings
from plaint.reloading.hangup import Hangup
from plaint.reloading.hot_routes import RunRoutes
from plaint.reloading.run_model import RunModel
from plaint.settings import Settings
from plaint.settings_given import OWN_VARIABLES, PREFIX
from route.destinations.settings import DestinationSettings
from route.rules import RouteTable
from schemas.topics import DELIVER

log = logging.getLogger(__name__)

REPORT_CHECK_S = 0.2
PORT_TRIES = 3
"""A port that was free may be taken when it is asked for."""
INBOX_CONCURRENCY = 128
"""Requests under way at once to the inbox, which is not a stranger's server: the more there are, the more tickets share a
write of the delivery log (a quarter less CPU for deliver and broker than with a destination's 32)."""


@dataclass(frozen=True)
class Plan:
    """What is to run. ``inbox`` is its address where it stands in for the destinations in ``queues``.

    ``door`` is the address where posts can be sent, empty where there is none; a door that asks for a proof takes
    ``settings.door.token``. ``folder`` is the run's own, gone with it. ``sockets`` are the descriptors of those that listen
    already, by the child that they are for.
    """

    settings: Settings
    folder: Path
    inbox: str = ""
    queues: tuple[str, ...] = ()
    door: str = ""
    sockets: Mapping[str, int] = field(default_factory=dict)

    @property
    def destinations(self) -> list[str]:
        """Every destination, the inbox's included."""
        return list(self.settings.destinations)

    @property
    def report(self) -> Path:
        """Where the ingest worker writes what it has read."""
        return self.folder / "read.json"

    @property
    def is_finite(self) -> bool:
        """Whether all sources come to an end."""
        return bool(self.settings.sources) and not any(source.loop for source in self.settings.sources)

    def routed_by(self, file: Path) -> "Plan":
        """The same with this file of routes."""
        route = self.settings.route.model_copy(update={"routes": file})
        return replace(self, settings=self.settings.model_copy(update={"route": route}))

    def on(self, broker: Broker) -> "Plan":
        """The same on a broker that was started for it."""
        return replace(self, settings=self.settings.model_copy(update={"kafka": broker.adapt(self.settings.kafka)}))


def plan(settings: Settings, folder: Path, ends: bool = False) -> Plan:
    """``settings`` with the inbox put in where destinations are missing, and a door unless the run ``ends`` by itself."""
    return _with_door(_with_inbox(settings, folder), ends)


@contextlib.contextmanager
def listening(settings: Settings, folder: Path, ends: bool = False) -> Iterator[Plan]:
    """``plan``, and its inbox and door listen from now on: an address that is told is this run's, whoever starts beside it.

    What can't listen is left to its child, which says why.
    """
    for _ in range(PORT_TRIES):
        planned = plan(settings, folder, ends)
        places = {}
        if planned.inbox and planned.settings.inbox.port:
            places["inbox"] = (planned.settings.inbox.host, planned.settings.inbox.port)
        if planned.door and planned.settings.door.port:
            places["ingest"] = (planned.settings.door.host, planned.settings.door.port)
        with contextlib.ExitStack() as stack:
            sockets = {}
            for name, place in places.items():
                with contextlib.suppress(OSError):
                    sockets[name] = stack.enter_context(bind(*place)).fileno()
            if len(sockets) == len(places):
                yield replace(planned, sockets=sockets)
                return
    yield planned


def _with_door(planned: Plan, ends: bool) -> Plan:
    door = planned.settings.door
    if ends or door.open is False:
        changes: dict[str, object] = {"open": False}
    else:
        changes = {"open": True, "port": _port(door.port, DEFAULT_DOOR_PORT)}
        if door.is_guarded and door.token is None:  # for the form on the inbox's page
            changes["token"] = SecretStr(token_urlsafe(32))
    door = door.model_copy(update=changes)
    settings = planned.settings.model_copy(update={"door": door})
    return replace(planned, settings=settings, door=door.url if door.open else "")


def _port(wanted: int | None, usual: int) -> int:
    return wanted or (usual if wanted is None and is_free(usual) else free_port())


def stood_in(settings: Settings) -> tuple[str, ...]:
    """Destinations that the settings don't have, and for which the inbox of `plaint up` stands in."""
    wanted = QUEUES if settings.route.routes is None or not settings.destinations else ()
    return tuple(name for name in wanted if name not in settings.destinations)


def _with_inbox(settings: Settings, folder: Path) -> Plan:
    queues = stood_in(settings)
    if not queues:
        return Plan(settings, folder)
    inbox = settings.inbox
    port = _port(inbox.port, DEFAULT_PORT)
    address = url(inbox.host, port)
    stand_ins = {
        name: DestinationSettings.model_validate(
            {
                "url": f"{address}/hooks/{name}",
                "secret": inbox.secret.get_secret_value(),
                "allow_private": True,
                "concurrency": INBOX_CONCURRENCY,
            }
        )
        for name in queues
    }
    # With a journal an inbox that is restarted in this run knows what it took.
    shown = inbox.queues if "queues" in inbox.model_fields_set else queues
    kept = {"port": port, "secret": inbox.secret, "journal": inbox.journal or folder / "inbox.journal", "queues": shown}
    changes = {"inbox": inbox.model_copy(update=kept), "destinations": {**stand_ins, **settings.destinations}}
    return Plan(settings.model_copy(update=changes), folder, address, queues)


class Run:
    """One run of ``plaint up``, from the broker's start to the last child's end."""

    def __init__(
        self, settings: Settings, sources: list[SourceSettings], exit_when_done: bool, patience_s: float
    ) -> None:
        self._settings = settings.model_copy(update={"sources": tuple(sources)})
        self._exit_when_done = exit_when_done
        self._patience_s = patience_s
        self._hangup = Hangup()
        self._reload_wanted = False
        self.summary: Summary | None = None

    def run(self, say: Callable[[str], None], around: Callable[[Running], AbstractContextManager[None]]) -> int:
        """Block until all is done or a signal comes; the exit code. ``say`` tells the person at the terminal.

        ``around`` is entered once it can be found, and left when all has ended: the board, or nothing.
        Raises FileInvalid for the routes before anything starts, BrokerFailed, BrokerAway, TopicsWrong or FolderInvalid.
        """
        with (
            ended_like_ctrl_c(self._hung_up_early),
            tempfile.TemporaryDirectory(prefix="plaint-") as folder,
            contextlib.ExitStack() as stack,
        ):
            keep_from_cleaning(Path(folder))
            planned = stack.enter_context(listening(self._settings, Path(folder), ends=self._exit_when_done))
            routes = RunRoutes(planned.settings.route.routes, planned.destinations, planned.folder)
            planned = planned.routed_by(routes.copy)
            with _broker(self._settings) as broker:
                if broker is not None:
                    say(broker.describe())
                    planned = planned.on(broker)
                ensure_topics(planned.settings.kafka, planned.destinations)
                monitor = RunMonitor(planned.settings.monitoring, planned.folder, broker)
                with (
                    monitor.told() as monitoring,
                    announced(
                        planned.settings.kafka if broker is not None else None,
                        brokers=planned.settings.kafka.brokers,
                        inbox=planned.inbox,
                        door=planned.door,
                        monitoring=monitoring,
                        destinations=tuple(planned.destinations),
                    ) as running,
                    around(running),
                ):
                    if monitoring:
                        say(f"monitoring: {monitoring}/metrics")
                    code = asyncio.run(self._supervise(planned, broker, routes, monitor, say))
        unfinished = self._exit_when_done and self.summary is None
        return code or (EXIT_INTERRUPTED if unfinished else 0)

    def _hung_up_early(self) -> bool:
        """Note a SIGHUP that comes before there is anybody who could read routes and model again."""
        if self._hangup.means_end():
            return False
        self._reload_wanted = True
        return True

    async def _supervise(
        self,
        planned: Plan,
        broker: Broker | None,
        routes: RunRoutes,
        monitor: RunMonitor,
        say: Callable[[str], None],
    ) -> int:
        model = RunModel(planned.settings.classify)

        def reload() -> None:
            routes.want()
            model.want()

        def hung_up() -> bool:
            if self._hangup.means_end():
                return False
            reload()
            return True

        if self._reload_wanted:
            reload()
        supervisor = Supervisor(children(planned), hung_up=hung_up)
        monitor.looks = supervisor.looks
        if planned.inbox:
            say(f"inbox: {planned.inbox}")
        if planned.door:
            say(f'door: {planned.door}, for posts: plaint send "my router is dead"')
        async with contextlib.AsyncExitStack() as stack:
            count: Callable[[RouteTable], None] = _not_counted
            if planned.is_finite:
                census = Census(routes.table, planned.destinations)
                fresh = broker is not None and not broker.keeps_data
                remember = planned.settings.route.remember
                follower = Follower(planned.settings.kafka, census, planned.destinations, fresh, remember)
                await follower.begin()
                stack.push_async_callback(follower.end)
                counting = asyncio.create_task(self._count(planned, supervisor, follower, census, say))
                stack.push_async_callback(_cancelled, counting)
                counting.add_done_callback(lambda task: _stop_if_failed(supervisor, task))
                count = partial(_count_with, census, follower)
            for following in (
                routes.follow(partial(_pid, supervisor, "route"), count),
                model.follow(partial(_pid, supervisor, "classify")),
            ):
                stack.push_async_callback(_cancelled, asyncio.create_task(following))
            for told in (model, routes):
                stack.callback(told.retract)
                asyncio.get_running_loop().call_soon(told.announce)  # once the supervisor heeds signals
            return await supervisor.run(broker.ended() if broker else None)

    async def _count(
        self, planned: Plan, supervisor: Supervisor, follower: Follower, census: Census, say: Callable[[str], None]
    ) -> None:
        """Sum the run up once all is settled."""
        started = time.monotonic()
        await supervisor.finished()
        # With a door the worker outlives its sources.
        while not planned.report.exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(REPORT_CHECK_S)
        census.read = orjson.loads(planned.report.read_bytes())["read"]
        missing = await settle(follower, census, self._patience_s)
        seconds = time.monotonic() - started
        for line in missing[:20]:
            log.error("lost: %s", line)
        taken = None
        if planned.inbox:
            found = await receipts(planned.inbox, self._patience_s)
            taken = {name: [r for r in found if r["queue"] == name] for name in planned.queues}
        self.summary = sum_up(census, missing, taken, seconds)
        if self._exit_when_done:
            supervisor.stop(1 if self.summary.lost else 0)
        else:
            say(self.summary.text())
            say("still up; Ctrl-C ends it")


def _not_counted(_: RouteTable) -> None:
    """A run without end is not counted."""


def _count_with(census: Census, follower: Follower, table: RouteTable) -> None:
    census.add_table(table)
    follower.triages_again()


def _pid(supervisor: Supervisor, name: str) -> int | None:
    """The process id of a child while it runs."""
    return next((look.pid for look in supervisor.looks() if look.name == name), None)


def _stop_if_failed(supervisor: Supervisor, counting: "asyncio.Task[None]") -> None:
    """A run that can't be counted ends: nobody would ever learn what became of it."""
    if not counting.cancelled() and (error := counting.exception()) is not None:
        log.error("the run can't be counted", exc_info=error)
        supervisor.stop(EXIT_FAILED)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])


def children(planned: Plan) -> list[list[Child]]:
    """The processes in the order of the way, which is the order in which they are ended.

    Classify and route end together: what lies between them is in Kafka, and each takes its second or two.
    """
    env = planned.settings.environment() | {"PLAINT_CONFIG": os.devnull}
    stream = any(source.is_stream for source in planned.settings.sources)

    def child(name: str, *arguments: str, once: bool = False, stream: bool = False) -> Child:
        monitoring = child_settings(planned.settings.monitoring, planned.folder, name)
        own = env | {"PLAINT_MONITORING": monitoring.model_dump_json()}
        sockets = (planned.sockets[name],) if name in planned.sockets else ()
        if sockets:
            own[HANDED_OVER] = str(sockets[0])
        return Child(name, python_module("plaint", *arguments), own, once=once, stream=stream, sockets=sockets)

    groups = [
        [child("classify", "run", "classify"), child("route", "run", "route")],
        [child(DELIVER + name, "run", "deliver", "--destination", name) for name in planned.destinations],
    ]
    if planned.settings.sources or planned.door:
        once = not planned.door
        reading = child("ingest", "run", "ingest", "--report", str(planned.report), once=once, stream=stream)
        groups.insert(0, [reading])
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

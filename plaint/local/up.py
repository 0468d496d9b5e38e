"""The whole way on one machine: a broker if none is named, every stage supervised, and the run summed up at its end."""

import asyncio
import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import orjson

from ingest.settings import SourceSettings
from plaint.broker.process import Broker
from plaint.broker.start import start_broker
from plaint.cancelled import cancelled
from plaint.failures import EXIT_FAILED, EXIT_INTERRUPTED
from plaint.kafka.topics import ensure_topics
from plaint.local.census import Census
from plaint.local.ending import ended_like_ctrl_c
from plaint.local.plan import Plan, children, listening
from plaint.local.running import Running, announced
from plaint.local.settle import Follower, Summary, receipts, settle, sum_up
from plaint.local.supervisor import Supervisor
from plaint.local.uncleaned import keep_from_cleaning
from plaint.monitoring.gather import RunMonitor
from plaint.reloading.hangup import Hangup
from plaint.reloading.hot_routes import RunRoutes
from plaint.reloading.run_model import RunModel
from plaint.settings import Settings
from plaint.settings_given import OWN_VARIABLES, PREFIX
from route.rules import RouteTable

log = logging.getLogger(__name__)

REPORT_CHECK_S = 0.2


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
        Raises CannotListen, or FileInvalid for the routes, before anything starts, BrokerFailed, BrokerAway, TopicsWrong or
        FolderInvalid.
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
                stack.push_async_callback(cancelled, counting)
                counting.add_done_callback(lambda task: _stop_if_failed(supervisor, task))
                count = partial(_count_with, census, follower)
            for following in (
                routes.follow(partial(_pid, supervisor, "route"), count),
                model.follow(partial(_pid, supervisor, "classify")),
            ):
                stack.push_async_callback(cancelled, asyncio.create_task(following))
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

"""The routes of a running process, read again on demand: a bad file is refused with all its faults, the good one stays.

Each content of the file has a version, by which the log, ``plaint reload`` and the state name it.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from plaint.kafka.admin import BrokerAway
from plaint.kafka.rights import stage_topics
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from plaint.monitoring.state import RoutesState
from plaint.reloading.routes_in_use import RoutesInUse
from plaint.reloading.telling import Telling
from route.rules import SHIPPED, RouteTable
from route.yamlfile import FileInvalid, read_bytes
from schemas.faults import FaultsFound

log = logging.getLogger(__name__)

TOPICS_S = 30.0
HAND_OVER_S = 60.0
RESTART = "destinations are settings, which are read at the start only: one that is new there needs a restart"


class WorkerRoutes:
    """The routes of a route worker. ``use`` is told of each table that is to be used from now on, from another thread."""

    def __init__(self, kafka: KafkaSettings, file: Path | None, destinations: Sequence[str]) -> None:
        """Read them. Raises FileInvalid with every fault of the file."""
        self._kafka = kafka
        self._file = file or SHIPPED
        self._destinations = tuple(destinations)
        self.table = RouteTable.load(file, self._destinations)
        self._told = RoutesInUse.here("route", self._file, self.table.version, self._destinations)
        log.info("routes: %s, version %s", self._file, self.table.version)

    def announce(self) -> None:
        """Let ``plaint reload`` find this process."""
        self._told.announce()

    def retract(self) -> None:
        """This process routes no more."""
        self._told.retract()

    def state(self) -> RoutesState:
        """For those who ask this process how it is."""
        return RoutesState(version=self._told.version, since=self._told.since, refused=self._told.faults)

    def reload(self, use: Callable[[RouteTable], None]) -> bool:
        """Read the file again, and use it if it has no fault; whether that went well. Blocks.

        The topics that it writes to are seen to before the router uses them.
        """
        faults: Sequence[object] = ()
        try:
            table = RouteTable.load(self._file, self._destinations)
            if table.version != self.table.version:
                mine = stage_topics("route", self._destinations)
                ensure_topics(self._kafka, self._destinations, timeout_s=TOPICS_S, only=mine)
                use(table)
        except FaultsFound as error:
            faults = error.faults
        except (BrokerAway, OSError, ValueError) as error:
            # Of a file that Kafka's settings name, its password or certificate, come the last two.
            faults = [error]
        if faults:
            tell_refused(self._file, self.table.version, list(map(str, faults)))
        else:
            tell_taken(self._file, self.table.version, table.version)
            self.table = table
        self._told = answered(self._told, self.table.version, list(map(str, faults)))
        self._told.announce()
        return not faults


class RunRoutes(Telling[RoutesInUse]):
    """The routes of ``plaint up``. Its children use a copy of the file that was checked: one that has to be started again
    gets what the others have, whatever stands in the file by then.
    """

    def __init__(self, file: Path | None, destinations: Sequence[str], folder: Path) -> None:
        """Read and copy them; ``folder`` is the run's own. Raises FileInvalid with every fault of the file."""
        self._file = file or SHIPPED
        self._destinations = tuple(destinations)
        self._draft = folder / "routes.new" / self._file.name
        self.copy = folder / "routes" / self._file.name
        for place in (self._draft, self.copy):
            place.parent.mkdir()
        self._raw, self.table = self._read()
        self.copy.write_bytes(self._raw)
        super().__init__(RoutesInUse.here("up", self._file, self.table.version, self._destinations))

    async def follow(self, worker: Callable[[], int | None], count: Callable[[RouteTable], None]) -> None:
        """Read them again whenever it is wanted, until cancelled.

        ``worker`` tells the process id of the route worker, ``count`` is told of each new table before it is used.
        """
        while True:
            await self._next_wish()
            await self._again(worker, count)

    async def _again(self, worker: Callable[[], int | None], count: Callable[[RouteTable], None]) -> None:
        faults: Sequence[str] = ()
        try:
            raw, table = await asyncio.to_thread(self._read)
            if table.version != self.table.version:
                count(table)
                faults = await self._hand_over(raw, table.version, worker)
        except FileInvalid as error:
            faults = list(map(str, error.faults))
        except OSError as error:
            faults = [f"the copy for the route worker can't be written: {error}"]
        if faults:
            tell_refused(self._file, self.table.version, faults)
        else:
            tell_taken(self._file, self.table.version, table.version)
            self._raw, self.table = raw, table
        self._told = answered(self._told, self.table.version, faults)
        self._told.announce()

    def _read(self) -> tuple[bytes, RouteTable]:
        raw = read_bytes(self._file)
        self._draft.write_bytes(raw)  # under the name of the file, which its faults tell
        return raw, RouteTable.load(self._draft, self._destinations)

    async def _hand_over(self, raw: bytes, version: str, worker: Callable[[], int | None]) -> Sequence[str]:
        """Give the route worker what was checked; what it says against it. One that is just starting takes it as it is."""
        self._draft.replace(self.copy)
        said = await self._answer(worker, HAND_OVER_S, lambda now: now.version == version)
        if said is not None and said.version == version:
            return ()
        self.copy.write_bytes(self._raw)
        if said is not None:
            return said.faults
        return [f"the route worker did not take them up within {HAND_OVER_S:g} s; its log may say why"]


def answered(told: RoutesInUse, version: str, faults: Sequence[str]) -> RoutesInUse:
    """What a process tells after one more try."""
    fresh = RoutesInUse.here(told.role, told.file, version, told.destinations)
    since = told.since if version == told.version else fresh.since
    return fresh.model_copy(update={"tries": told.tries + 1, "faults": tuple(faults), "since": since})


def tell_refused(file: Path, version: str, faults: Sequence[str]) -> None:
    """Log why the file is not used."""
    for fault in faults:
        log.error("routes: %s", fault)
    if any("undefined destination" in fault for fault in faults):
        log.error("routes: %s", RESTART)
    log.error("routes: %s was refused, version %s stays in use", file, version)


def tell_taken(file: Path, before: str, now: str) -> None:
    """Log which version is used from now on."""
    if before == now:
        log.info("routes: %s is unchanged, version %s", file, now)
    else:
        log.info("routes: %s, version %s from now on, was %s", file, now, before)

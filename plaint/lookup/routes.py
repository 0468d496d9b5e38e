"""The routes by which posts go here."""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from plaint.local.running import find_running
from plaint.reloading.routes_in_use import RoutesInUse
from plaint.settings import Settings
from route.rules import RouteTable
from route.yamlfile import FileInvalid


def table_at_hand(settings: Settings, destinations: Collection[str]) -> RouteTable | None:
    """The routes that the settings name, or the shipped ones; None if they have faults, which are check-config's to tell.

    Where the settings name no brokers, and so the Kafka looked at is that of the ``plaint up`` that runs here, its routes.
    """
    try:
        return RouteTable.load(_file_of_running(settings) or settings.route.routes, destinations)
    except FileInvalid:
        return None


class FreshTable:
    """The routes of a file, loaded again when the file was replaced; one that has faults leaves the former in use."""

    def __init__(self, file: Path | None, destinations: Collection[str]) -> None:
        """None means the shipped routes. Raises FileInvalid."""
        self._file = file
        self._destinations = destinations
        self._mark = self._marked()
        self._table = RouteTable.load(file, destinations)

    def __call__(self) -> RouteTable:
        """The routes as they are now."""
        mark = self._marked()
        if mark != self._mark:
            self._mark = mark
            with suppress(FileInvalid):  # whoever replaced it was told
                self._table = RouteTable.load(self._file, self._destinations)
        return self._table

    def _marked(self) -> tuple[int, int]:
        with suppress(OSError):
            if self._file is not None:
                found = self._file.stat()
                return found.st_mtime_ns, found.st_ino
        return 0, 0


def _file_of_running(settings: Settings) -> Path | None:
    running = None if settings.kafka.brokers else find_running()
    used = RoutesInUse.of(running.pid) if running is not None else None
    return used.file if used is not None else None

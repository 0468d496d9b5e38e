"""Which routes the processes of this user on this machine route by: one small file each beside those of ``plaint up``.

Written by ``plaint up`` and by each route worker, whenever they have read the routes; read by ``plaint reload``, which
waits in it for the answer to its signal.
"""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plaint.running import runtime_folder, started_at, write_note

log = logging.getLogger(__name__)


class RoutesInUse(BaseModel):
    """The routes of one process. ``faults`` are those of the last try to read them again, if it was refused.

    ``tries`` counts the times that they were read again, with or without success. ``version`` is that of the routes in
    use, in use ``since`` then; ``destinations`` are those that they may name.
    """

    model_config = ConfigDict(frozen=True)

    pid: int
    process_started: float
    role: Literal["up", "route"]
    file: Path
    version: str
    destinations: tuple[str, ...]
    since: datetime = Field(default_factory=lambda: datetime.now(UTC))
    tries: int = 0
    faults: tuple[str, ...] = ()

    @classmethod
    def here(
        cls, role: Literal["up", "route"], file: Path, version: str, destinations: tuple[str, ...]
    ) -> "RoutesInUse":
        """Of this process, which has just read them."""
        pid = os.getpid()
        return cls(
            pid=pid,
            process_started=started_at(pid) or 0.0,
            role=role,
            file=file.resolve(),
            version=version,
            destinations=destinations,
        )

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        return self.process_started == started_at(self.pid)

    def announce(self) -> None:
        """Let others read it. A folder that can't be written is no reason to stop: it is logged."""
        try:
            write_note(_name(self.pid), self)
        except OSError as error:
            log.warning("`plaint reload` won't find this process, set PLAINT_RUNTIME_DIR: %s", error)

    def retract(self) -> None:
        """Take the file away."""
        _file(self.pid).unlink(missing_ok=True)


def routes_of(pid: int) -> RoutesInUse | None:
    """The routes of one process; None if it says nothing, or is not the one that said it."""
    try:
        file = _file(pid)
        found = RoutesInUse.model_validate_json(file.read_bytes()) if file.stat().st_uid == os.getuid() else None
    except (OSError, ValidationError):
        return None
    return found if found is not None and found.is_alive else None


def all_routes_in_use() -> list[RoutesInUse]:
    """Those of every living process of this user. Files of those that were killed are removed."""
    found = []
    for file in runtime_folder().glob("routes-*.json"):
        pid = file.stem.removeprefix("routes-")
        known = routes_of(int(pid)) if pid.isdecimal() else None
        if known is not None:
            found.append(known)
        elif pid.isdecimal() and file.stat().st_uid == os.getuid() and started_at(int(pid)) is None:
            file.unlink(missing_ok=True)
    return sorted(found, key=lambda known: known.since)


def _name(pid: int) -> str:
    return f"routes-{pid}.json"


def _file(pid: int) -> Path:
    return runtime_folder() / _name(pid)

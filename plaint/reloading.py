"""Has running processes read their routes again, and waits for what they make of it: the work of ``plaint reload``."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel

from plaint.failures import Unavailable
from plaint.hot_routes import RESTART
from plaint.routes_in_use import RoutesInUse, all_routes_in_use, routes_of
from plaint.running import find_running
from plaint.settings import Settings
from route.rules import check_routes

ANSWER_S = 120.0
CHECK_S = 0.05


class Reloaded(BaseModel):
    """What became of one process: the version that it used and the one that it uses, and why it refused the file."""

    pid: int
    role: str
    file: str
    before: str
    version: str
    faults: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """In one line, for a person."""
        who = "plaint up" if self.role == "up" else "plaint run route"
        if self.faults:
            return f"{who} (process {self.pid}): {self.file} was refused, version {self.version} stays in use"
        if self.before == self.version:
            return f"{who} (process {self.pid}): {self.file} is unchanged, version {self.version}"
        return f"{who} (process {self.pid}): {self.file}, version {self.version} from now on, was {self.before}"


def targets() -> list[RoutesInUse]:
    """Who is to read its routes again: the ``plaint up`` that runs here, else every ``plaint run route``.

    Raises Unavailable if nobody runs.
    """
    running = find_running()
    if running is not None:
        known = routes_of(running.pid)
        if known is None:
            raise Unavailable(f"`plaint up` (process {running.pid}) is just starting or ending; try again")
        return [known]
    found = [known for known in all_routes_in_use() if known.role == "route"]
    if not found:
        raise Unavailable(
            "no `plaint up` and no `plaint run route` of this user runs here; "
            "elsewhere send SIGHUP to the processes of `plaint run route`"
        )
    return found


def faults_before(found: Sequence[RoutesInUse]) -> list[str]:
    """What is wrong with the files that these processes would read."""
    files = {(known.file, known.destinations) for known in found}
    return list(dict.fromkeys(str(fault) for file, names in sorted(files) for fault in check_routes(file, names)))


def restarts_needed(settings: Settings, found: Sequence[RoutesInUse]) -> Iterator[str]:
    """What these settings say that a running process can't know, since settings are read at the start only."""
    for known in found:
        new = [name for name in settings.destinations if name not in known.destinations]
        if new:
            yield f"destinations.{', '.join(new)}: process {known.pid} does not know it; {RESTART}"
        named = settings.route.routes
        if named is not None and named.resolve() != known.file:
            yield f"route.routes: is {named}, but process {known.pid} reads {known.file}; this needs a restart"


def reload(
    known: RoutesInUse,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Reloaded:
    """Tell the process and wait for its answer. Raises Unavailable if it ends, or does not answer in time."""
    try:
        os.kill(known.pid, signal.SIGHUP)
    except (ProcessLookupError, PermissionError) as error:
        raise Unavailable(f"process {known.pid} can't be told: {error.strerror}") from None
    deadline = clock() + ANSWER_S
    while clock() < deadline:
        now = routes_of(known.pid)
        if now is None:
            raise Unavailable(f"process {known.pid} ended before it read its routes again")
        if now.tries > known.tries:
            return Reloaded(
                pid=known.pid,
                role=known.role,
                file=_near(known.file),
                before=known.version,
                version=now.version,
                faults=now.faults,
            )
        sleep(CHECK_S)
    raise Unavailable(f"process {known.pid} did not answer within {ANSWER_S:g} s; its log may say why")


def _near(file: Path) -> str:
    """As short as it can be named from here."""
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)

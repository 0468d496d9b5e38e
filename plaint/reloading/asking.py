"""Has running processes read their routes again and load the model that is chosen now, and waits for what they make of it:
the work of ``plaint reload``.
"""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from plaint.local.running import find_running
from plaint.reloading.hot_routes import RESTART
from plaint.reloading.model_in_use import ModelInUse
from plaint.reloading.routes_in_use import RoutesInUse
from plaint.settings import Settings
from route.rules import check_routes
from schemas.faults import Unavailable

CHECK_S = 0.05

Known = RoutesInUse | ModelInUse


class Reloaded(BaseModel):
    """What became of the routes, or the model, of one process: the version that it used and the one that it uses.

    ``file`` is that of the routes, or the folder of the model; ``faults`` are why it was refused.
    """

    pid: int
    role: str
    what: Literal["routes", "model"]
    file: str
    before: str
    version: str
    changed: bool
    faults: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """In one line, for a person."""
        who = f"plaint {'up' if self.role == 'up' else f'run {self.role}'} (process {self.pid})"
        return f"{who}: {self._routes() if self.what == 'routes' else self._model()}"

    def _routes(self) -> str:
        if self.faults:
            return f"{self.file} was refused, version {self.version} stays in use"
        if not self.changed:
            return f"{self.file} is unchanged, version {self.version}"
        return f"{self.file}, version {self.version} from now on, was {self.before}"

    def _model(self) -> str:
        if self.faults:
            return f"the model that is chosen was refused, {self.version or 'the former'} stays in use"
        if not self.changed:
            return f"model {self.version} is unchanged"
        return f"model {self.version} ({self.file}) from now on, was {self.before}"


def targets() -> list[Known]:
    """Who is to reload what: the ``plaint up`` that runs here, else every ``plaint run route`` and ``plaint run classify``.

    Raises Unavailable if nobody runs.
    """
    running = find_running()
    if running is not None:
        routes, model = RoutesInUse.of(running.pid), ModelInUse.of(running.pid)
        if routes is None:
            raise Unavailable(f"`plaint up` (process {running.pid}) is just starting or ending; try again")
        return [routes, model] if model is not None else [routes]
    found: list[Known] = [known for known in RoutesInUse.all() if known.role == "route"]
    found += [known for known in ModelInUse.all() if known.role == "classify"]
    if not found:
        raise Unavailable(
            "no `plaint up`, no `plaint run route` and no `plaint run classify` of this user runs here; "
            "elsewhere send SIGHUP to these processes"
        )
    return found


def faults_before(found: Sequence[Known]) -> list[str]:
    """What is wrong with the files of routes that these processes would read."""
    files = {(known.file, known.destinations) for known in found if isinstance(known, RoutesInUse)}
    return list(dict.fromkeys(str(fault) for file, names in sorted(files) for fault in check_routes(file, names)))


def restarts_needed(settings: Settings, found: Sequence[Known]) -> Iterator[str]:
    """What these settings say that a running process can't know, since settings are read at the start only."""
    for known in found:
        if isinstance(known, RoutesInUse):
            yield from _for_routes(settings, known)
        else:
            yield from _for_model(settings, known)


def _for_routes(settings: Settings, known: RoutesInUse) -> Iterator[str]:
    new = [name for name in settings.destinations if name not in known.destinations]
    if new:
        yield f"destinations.{', '.join(new)}: process {known.pid} does not know it; {RESTART}"
    named = settings.route.routes
    if named is not None and named.resolve() != known.file.resolve():
        yield f"route.routes: is {named}, but process {known.pid} reads {known.file}; this needs a restart"


def _for_model(settings: Settings, known: ModelInUse) -> Iterator[str]:
    choice = settings.classify.model
    if choice is not None and choice.text != known.named:
        named = f"uses {known.named}" if known.named else "uses what `plaint models use` chose"
        yield f"classify.model: is {choice.text}, but process {known.pid} {named}; this needs a restart"


def reload(found: Sequence[Known]) -> Iterator[Reloaded]:
    """Tell one process after the other, and wait for its answers.

    Raises Unavailable if one ends, or does not answer in time.
    """
    for pid, of_process in groupby(sorted(found, key=lambda known: known.pid), key=lambda known: known.pid):
        try:
            os.kill(pid, signal.SIGHUP)
        except (ProcessLookupError, PermissionError) as error:
            raise Unavailable(f"process {pid} can't be told: {error.strerror}") from None
        for known in of_process:
            yield _answer(known)


def _answer(known: Known) -> Reloaded:
    deadline = time.monotonic() + known.answers_within_s
    while time.monotonic() < deadline:
        now = type(known).of(known.pid)
        if now is None:
            raise Unavailable(f"process {known.pid} ended before it had read its {known.kind} again")
        if now.tries > known.tries:
            return _of_routes(known, now) if isinstance(now, RoutesInUse) else _of_model(now)
        time.sleep(CHECK_S)
    what = f"process {known.pid} did not answer within {known.answers_within_s:g} s"
    raise Unavailable(f"{what}; its log may say why")


def _of_routes(known: Known, now: RoutesInUse) -> Reloaded:
    return Reloaded(
        pid=now.pid,
        role=now.role,
        what="routes",
        file=_near(now.file),
        before=known.version,
        version=now.version,
        changed=now.version != known.version,
        faults=now.faults,
    )


def _of_model(now: ModelInUse) -> Reloaded:
    return Reloaded(
        pid=now.pid,
        role=now.role,
        what="model",
        file=now.place,
        before=now.before,
        version=now.version,
        changed=now.changed,
        faults=now.faults,
    )


def _near(file: Path) -> str:
    """As short as it can be named from here."""
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)

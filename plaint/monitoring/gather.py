"""``plaint up`` at one address: its own numbers and those of all its processes, which tell theirs on ports of their own."""

import http.client
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from plaint.broker.process import Broker
from plaint.local.supervisor import Look
from plaint.monitoring import metrics
from plaint.monitoring.errors import ErrorMemory
from plaint.monitoring.listener import Answer, Listener, open_socket, text
from plaint.monitoring.monitor import VERSION, process_families
from plaint.monitoring.readings import Readings
from plaint.monitoring.settings import DEFAULT_PORT, MonitoringSettings
from plaint.monitoring.state import BrokerState, ChildState, RunState, StageState
from schemas.faults import Unavailable

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
STARTING = "is starting"
ANSWER_S = 2.0
"""How long a child may take to answer: one that is stopped never does."""


@dataclass(frozen=True)
class _Heard:
    """What a child answered, or why it did not."""

    look: Look
    body: bytes | None
    silent: str = ""


class RunMonitor:
    """Tells of a whole run. ``looks`` gives the children as the supervisor sees them; it may change while it runs.

    A child writes its address to the file that ``address_file`` names.
    """

    def __init__(
        self, settings: MonitoringSettings, folder: Path, broker: Broker | None, answer_s: float = ANSWER_S
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._broker = broker
        self._answer_s = answer_s
        self._errors = ErrorMemory()
        self._started_at = datetime.now(UTC)
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="gather")
        self.looks: Callable[[], Sequence[Look]] = lambda: ()

    @contextmanager
    def told(self) -> Iterator[str]:
        """Answer until the block ends; the address, empty if nothing is to be told.

        Raises Unavailable if it can't listen, AddressFileInvalid.
        """
        if not self._settings.enabled:
            yield ""
            return
        listener = Listener(
            self._bind(), {"/healthz": self._healthz, "/readyz": self._readyz, "/state": self._state}, self.families
        )
        logging.getLogger().addHandler(self._errors)
        listener.start()
        try:
            self._settings.note(listener.address)
            yield listener.address
        finally:
            listener.stop()
            logging.getLogger().removeHandler(self._errors)
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _bind(self) -> Any:
        if self._settings.port is not None:
            return open_socket(self._settings.host, self._settings.port)
        try:
            return open_socket(self._settings.host, DEFAULT_PORT)
        except Unavailable:
            return open_socket(self._settings.host, 0)

    # -- what is told --------------------------------------------------------------------------------------------

    def families(self) -> Iterable[Any]:
        """The metrics of all, those of one name together."""
        heard = self._ask("/metrics", OPENMETRICS)
        own = Readings(metrics.UP)
        own.put(metrics.BUILD, 1, VERSION)
        own.put(metrics.ERRORS, self._errors.count)
        if self._broker is not None:
            own.put(metrics.BROKER_UP, self._broker.returncode is None)
        told: list[Any] = []
        for one in heard:
            found = _parsed(one.body)
            told += found
            own.put(metrics.RESTARTS, one.look.restarts, one.look.name)
            own.put(metrics.CHILD_UP, bool(found) or one.look.done, one.look.name)
        return merged([*own.families(), *process_families(own.common), *told])

    def state(self) -> RunState:
        """All that is known now."""
        found = tuple(map(_child_state, self._ask("/state", "application/json")))
        broker = self._broker_state()
        lacking = [f"{child.name}: {why}" for child in found for why in _lacking(child)]
        sick = [f"{child.name}: {why}" for child in found if (why := _sick(child))]
        if broker is not None and not broker.alive:
            sick.insert(0, "the broker has ended")
        return RunState(
            pid=os.getpid(),
            version=VERSION,
            started_at=self._started_at,
            at=datetime.now(UTC),
            ready=not lacking and not sick,
            healthy=not sick,
            faults=tuple(dict.fromkeys([*sick, *lacking])),
            broker=broker,
            children=found,
        )

    def _broker_state(self) -> BrokerState | None:
        broker = self._broker
        if broker is None:
            return None
        return BrokerState(name=broker.name, address=broker.bootstrap, pid=broker.pid, alive=broker.returncode is None)

    def _healthz(self) -> Answer:
        state = self.state()
        return text("200 OK", ["alive"]) if state.healthy else text("503 Service Unavailable", state.faults)

    def _readyz(self) -> Answer:
        state = self.state()
        return text("200 OK", ["ready"]) if state.ready else text("503 Service Unavailable", state.faults)

    def _state(self) -> Answer:
        return Answer("200 OK", "application/json", self.state().model_dump_json().encode())

    # -- asking the children -------------------------------------------------------------------------------------

    def _ask(self, path: str, kind: str) -> list[_Heard]:
        """What every child says to this, all asked at once."""
        return list(self._pool.map(lambda look: self._ask_one(look, path, kind), self.looks()))

    def _ask_one(self, look: Look, path: str, kind: str) -> _Heard:
        if look.done:
            return _Heard(look, None, "has ended, all is done")
        if look.pid is None:
            ended = f", it ended with code {look.last_exit}" if look.last_exit is not None else ""
            return _Heard(look, None, f"is not running{ended}")
        try:
            address = _address_file(self._folder, look.name).read_text()
            return _Heard(look, fetch(address, path, kind, self._answer_s))
        except FileNotFoundError:
            return _Heard(look, None, STARTING)
        except TimeoutError:
            return _Heard(look, None, f"does not answer within {self._answer_s:g} s: it is stopped, or has no CPU")
        except (OSError, http.client.HTTPException) as error:
            return _Heard(look, None, f"{STARTING}, or does not answer: {type(error).__name__}")


def child_settings(settings: MonitoringSettings, folder: Path, child: str) -> MonitoringSettings:
    """What a child of ``plaint up`` is told: to answer on a free port of loopback, and where to write which."""
    file = _address_file(folder, child)
    return settings.model_copy(update={"host": "127.0.0.1", "port": 0, "address_file": file})


def _address_file(folder: Path, child: str) -> Path:
    return folder / f"{child}.address"


def fetch(address: str, path: str, kind: str, timeout_s: float) -> bytes:
    """The body of 200. Raises OSError (TimeoutError among them) or http.client.HTTPException."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Accept": kind})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            raise http.client.HTTPException(f"{answer.status}")
        return body
    finally:
        connection.close()


def merged(families: Iterable[Any]) -> list[Any]:
    """One family a name; the samples of each differ by their labels."""
    found: dict[str, Any] = {}
    for family in families:
        if family.name in found:
            found[family.name].samples += family.samples
        else:
            found[family.name] = family
    return list(found.values())


def _parsed(body: bytes | None) -> list[Any]:
    """The families of a process that told them in OpenMetrics; none if it told something else."""
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    try:
        return list(text_string_to_metric_families((body or b"").decode())) if body else []  # type: ignore[no-untyped-call]
    except ValueError:
        return []


def _child_state(heard: _Heard) -> ChildState:
    state, silent = None, heard.silent
    if heard.body is not None:
        try:
            state = StageState.model_validate_json(heard.body)
        except ValidationError:
            silent = "answers something else than its state"
    look = heard.look
    return ChildState(
        name=look.name,
        pid=look.pid,
        restarts=look.restarts,
        done=look.done,
        last_exit=look.last_exit,
        silent=silent,
        state=state,
    )


def _lacking(child: ChildState) -> tuple[str, ...]:
    if child.done:
        return ()
    return child.state.missing if child.state is not None else (child.silent,)


def _sick(child: ChildState) -> str:
    """Why this child makes the whole unhealthy; one that is starting does not."""
    if child.state is not None:
        return child.state.unhealthy_why
    return child.silent if child.pid is not None and not child.silent.startswith(STARTING) else ""

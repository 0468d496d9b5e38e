"""The whole of plaint as processes on one Kafka: workers that may be killed and stopped, the receiver, the wire between.

Imports nothing of plaint's: everything goes through the command line, the environment, Kafka and HTTP.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.kafka_process import REPOSITORY, die_with_parent, free_ports
from tests.system.evidence import Evidence, Reader
from tests.system.receiver import Receiver
from tests.system.wiretap import Wiretap

SECRET = "whsec_" + "c3lzdGVtIHRlc3RzIHNpZ24gd2l0aCB0aGlzIGtleSE="
DESTINATIONS = ("helpdesk", "service")
Routes = Mapping[str, Sequence[str]]
"""Destinations of each intent."""
ROUTES = {
    "complaint": ("helpdesk",),
    "question": ("service",),
    "praise": ("helpdesk", "service"),
    "marketing": ("service",),
    "other": (),
}
"""What the stack's routes file says and what its tickets are checked against."""
SESSION_S = 6.0
TIMEOUT_S = 2.0
CONCURRENCY = 16
PROBE_S = 1.0
TINY_MODELS = sorted((REPOSITORY / "tests" / "models").glob("tiny-*"))
HEAVY = {"model": None, "batch": 128}
"""The shipped model on batches that take about a second: longer than from an acknowledgement to its commit, so that a kill
finds out who acknowledges before the results are written."""


@dataclass(frozen=True)
class Incident:
    """Something that happened to a process. ``what``: started, killed, stopped, continued, or ``exit CODE`` by itself."""

    at: float
    name: str
    what: str


class Plaint:
    """One process of plaint, which can be started again in place of one that ended."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.incidents: list[Incident] = []
        self.log = folder / f"{name}.log"
        self._command = [sys.executable, "-P", "-m", "plaint", *arguments]
        own = {key: value for key, value in os.environ.items() if not key.startswith("PLAINT_")}
        self._environment = {**own, "PYTHONPATH": str(REPOSITORY), **environment}
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it is there, stopped or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it. It dies with the thread that calls this."""
        assert not self.running
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        self._note("started")

    def signal(self, number: signal.Signals, what: str) -> None:
        """Send it a signal, noted as ``what``."""
        assert self._process is not None
        self._note(what)
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL, "killed")
        self.wait(30)

    def wait(self, timeout_s: float) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def end(self, grace_s: float = 30) -> None:
        """SIGTERM, and SIGKILL after the grace."""
        if not self.running:
            return
        self.signal(signal.SIGCONT, "continued")
        self.signal(signal.SIGTERM, "told to end")
        try:
            self.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def exited(self) -> bool:
        """Whether it has ended by itself since it was last asked; noted then."""
        if self._process is None or self._process.poll() is None:
            return False
        if self.incidents[-1].what == "started" or self.incidents[-1].what == "continued":
            self._note(f"exit {self._process.returncode}")
            return True
        return False

    def _note(self, what: str) -> None:
        self.incidents.append(Incident(time.time(), self.name, what))


class Stack:
    """``workers`` of each stage, the receiver, and who starts again what has ended, as an orchestrator would.

    A worker is named STAGE-N (``classify-0``, ``helpdesk-1``). ``static`` makes them static members of their groups.
    Workers start at once, or once ``begin`` is called if ``begins`` is false.
    """

    def __init__(
        self,
        folder: Path,
        bootstrap: str,
        *,
        workers: int = 2,
        static: bool = True,
        begins: bool = True,
        destination: Mapping[str, Any] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.routes = folder / "routes.yaml"
        self.bootstrap = bootstrap
        self.receiver = Receiver(free_ports(1)[0])
        self.wiretap = Wiretap(self.receiver.port)
        self.restart_after_s = 1.0
        self._destination = {"timeout_s": TIMEOUT_S, "first_wait_s": 0.2, "max_wait_s": 2, "concurrency": CONCURRENCY}
        self._destination |= {"breaker_probe_s": PROBE_S, **(destination or {})}
        self._settings = self._common(dict(settings or {}))
        self.static = static
        self._count = workers
        self._reader: Reader | None = None
        self.inbox = Plaint("inbox", ["inbox"], self._inbox_environment(), folder)
        self.workers: dict[str, Plaint] = {}
        self._ended_at: dict[str, float] = {}
        self._closing = threading.Event()
        self._receiver_wanted = threading.Event()
        self._receiver_wanted.set()
        self._workers_wanted = threading.Event()
        if begins:
            self.begin()
        self._keeper = threading.Thread(target=self._keep, name="keeper")

    # -- life ----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.wiretap.__enter__()
        for stage in ("classify", "route", *DESTINATIONS):
            for number in range(self._count):
                self._add(stage, f"{stage}-{number}")
        self._keeper.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closing.set()
        self._keeper.join()
        self.hang_up()
        self.wiretap.__exit__(kind, error, at)

    def _add(self, stage: str, name: str) -> None:
        environment = self.environment(name)
        arguments = ["run", "deliver", "--destination", stage] if stage in DESTINATIONS else ["run", stage]
        if self.static:
            environment["PLAINT_INSTANCE"] = name
        self.workers[name] = Plaint(name, arguments, environment, self.folder)

    def _keep(self) -> None:
        """Starts everything, and again what has ended ``restart_after_s`` ago; ends everything at last."""
        while not self._closing.wait(0.1):
            if self._receiver_wanted.is_set():
                self._receiver_wanted.clear()
                self.inbox.start()
            for name, worker in self.workers.items() if self._workers_wanted.is_set() else ():
                worker.exited()
                if worker.running:
                    self._ended_at.pop(name, None)
                elif not worker.incidents or self._rested(name):
                    worker.start()
        for worker in self.workers.values():
            worker.end(0)
        self.inbox.end(5)

    def _rested(self, name: str) -> bool:
        now = time.monotonic()
        return now - self._ended_at.setdefault(name, now) >= self.restart_after_s

    # -- what a test does ----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Have the workers start."""
        self._workers_wanted.set()

    def feed(self, posts: Path, rate: float | None = None) -> Plaint:
        """Publish a file of posts with ``plaint run ingest``, evenly at ``rate`` a second; the process, under way."""
        options = f",rate={rate}" if rate else ""
        arguments = ["run", "ingest", "--source", f"file:{posts}{options}"]
        ingest = Plaint(f"ingest-{posts.stem}", arguments, self._settings, self.folder)
        ingest.start()
        return ingest

    def restart_receiver(self, timeout_s: float = 60) -> None:
        """Start the receiver again after it was killed, and wait until it answers; it knows what it took before."""
        assert not self.inbox.running
        self._receiver_wanted.set()
        self.receiver.wait(timeout_s)

    def environment(self, name: str) -> dict[str, str]:
        """The settings of a process whose requests are to be known by ``name``."""
        return {**self._settings, "PLAINT_DESTINATIONS": self._destinations(self.wiretap.door(name))}

    def write_routes(self, routes: Routes) -> None:
        """Put these in the place of those there are; a route worker reads them when it starts and on SIGHUP."""
        written = self.routes.with_suffix(".new")
        written.write_text(json.dumps({"rules": _rules(routes)}))  # JSON is YAML
        written.replace(self.routes)

    def read(self, for_s: float = 2.0) -> Evidence:
        """What the topics say by now."""
        if self._reader is None:
            self._reader = Reader(self.bootstrap, DESTINATIONS)
        return self._reader.read(for_s)

    def hang_up(self) -> None:
        """Close the test's own connection to Kafka, before that goes away; the topics are read again from the beginning."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def incidents(self, what: str = "", since: float = 0.0) -> list[Incident]:
        """What happened to the workers, in order."""
        found = [i for worker in self.workers.values() for i in list(worker.incidents)]
        return sorted((i for i in found if i.at >= since and i.what.startswith(what)), key=lambda i: i.at)

    # -- settings ------------------------------------------------------------------------------------------------

    def _common(self, settings: dict[str, Mapping[str, Any]]) -> dict[str, str]:
        kafka = {
            "brokers": [self.bootstrap],
            "session_timeout_s": SESSION_S,
            "heartbeat_s": 1,
            "rebalance_timeout_s": 20,
            "partitions": 4,
        }
        self.write_routes(ROUTES)
        model = {"model": str(TINY_MODELS[0])} if TINY_MODELS else {}
        found = {
            "PLAINT_KAFKA": kafka | dict(settings.pop("kafka", {})),
            "PLAINT_CLASSIFY": {**model, "threads": 1, "batch": 64, **settings.pop("classify", {})},
            "PLAINT_ROUTE": {"routes": str(self.routes)},
        }
        found |= {f"PLAINT_{name.upper()}": dict(value) for name, value in settings.items()}
        written = {name: json.dumps(value) for name, value in found.items()}
        return written | {"PLAINT_DESTINATIONS": self._destinations(self.receiver.port)}

    def _destinations(self, port: int) -> str:
        common = {"type": "webhook", "secret": SECRET, **self._destination}
        return json.dumps({name: {**common, "url": f"http://127.0.0.1:{port}/hooks/{name}"} for name in DESTINATIONS})

    def _inbox_environment(self) -> dict[str, str]:
        journal = str(self.folder / "inbox.journal")
        inbox = {"port": self.receiver.port, "secret": SECRET, "faults": {}, "journal": journal, "keep": 10}
        return {"PLAINT_INBOX": json.dumps(inbox)}


def _rules(routes: Routes) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = [
        {"name": intent, "why": "A system test.", "match": {"intent": intent}, "destinations": list(destinations)}
        for intent, destinations in routes.items()
    ]
    return [*rules, {"name": "rest", "why": "Must take none.", "destinations": list(DESTINATIONS)}]

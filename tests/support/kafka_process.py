"""A real Apache Kafka (KRaft, loopback) for tests that stop it, kill it and start it again on the same data.

Imports nothing of plaint, so that black-box tests may use it. Needs Java 17 or newer and a Kafka release, found in
``PLAINT_KAFKA_HOME`` or ``../shared/kafka`` beside the repository.
"""

import ctypes
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

REPOSITORY = Path(__file__).parents[2]
CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
PORTS, PARTS = 2_000, 10
"""How many ports one of pytest's workers goes round in, and how many workers have ports of their own."""
_FIRST_PORT = 12_000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PARTS * PORTS
_TURNS = itertools.count(random.randrange(PORTS))


def kafka_home() -> Path:
    """The release that tests run on; may not exist."""
    return Path(os.environ.get("PLAINT_KAFKA_HOME") or REPOSITORY.parent / "shared" / "kafka")


def why_no_kafka() -> str | None:
    """What is missing for a real Kafka here, or None."""
    if shutil.which("java") is None:
        return "no Java: tests on a real Apache Kafka need Java 17 or newer"
    if not any((kafka_home() / "libs").glob("kafka_*.jar")):
        return f"no Kafka release in {kafka_home()}: set PLAINT_KAFKA_HOME to one (a folder with libs/*.jar)"
    return None


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, all different.

    The system itself hands out only those above, and each of pytest's workers goes round in a part of its own: nobody is
    given one of these before it is used, or while its server is away.
    """
    found: list[int] = []
    while len(found) < count:
        port = _FIRST_PORT + next(_TURNS) % PORTS
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


def answers(bootstrap: str, timeout_s: float) -> bool:
    """Whether a broker answers a metadata request."""
    host, port = bootstrap.split(":")
    with socket.socket() as probe:
        if probe.connect_ex((host, int(port))) != 0:
            return False
    try:
        client = KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=int(timeout_s * 1000))
    except KafkaError:
        return False
    client.close()
    return True


def kafka_cluster(folder: Path, count: int, properties: Mapping[str, str] | None = None) -> "list[KafkaProcess]":
    """A cluster of so many brokers, none of them started; the first is the controller and has to be started first.

    It takes a broker that says nothing to be gone after 3 s.
    """
    common = {
        "offsets.topic.replication.factor": str(count),
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        **(properties or {}),
    }
    nodes: list[KafkaProcess] = []
    for number in range(1, count + 1):
        own = {**common, "node.id": str(number)}
        first = nodes[0] if nodes else None
        nodes.append(KafkaProcess(folder / f"broker{number}", own, heap="384m", joins=first))
    return nodes


def die_with_parent() -> None:
    """For ``preexec_fn``: the child is killed when the thread that started it ends (Linux)."""
    if sys.platform == "linux":
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class KafkaProcess:
    """One broker on a port of its own; ``bootstrap`` stays the same for its life, whatever is done to it.

    ``properties`` are further server properties; ``protocols`` are spoken on further ports: ``more["SASL_SSL"]`` is such
    an address. Data and log stand under ``folder``. ``prefix`` are words before each command, such as nsenter's.
    ``joins`` is the node whose cluster this one is another broker of; that one alone is the controller.
    """

    def __init__(
        self,
        folder: Path,
        properties: Mapping[str, str] | None = None,
        protocols: Sequence[str] = (),
        heap: str = "512m",
        prefix: Sequence[str] = (),
        joins: "KafkaProcess | None" = None,
    ) -> None:
        self.folder = folder
        self.port, own_port = free_ports(2)
        self._controls = joins is None
        self._controller_port: int = own_port if joins is None else joins._controller_port
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.more = {
            name: f"127.0.0.1:{port}" for name, port in zip(protocols, free_ports(len(protocols)), strict=True)
        }
        self._properties = dict(properties or {})
        self._heap = heap
        self._prefix = list(prefix)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout_s: float = 150) -> Self:
        """Start it, formatted if it never ran, and wait until it answers."""
        self._configure()
        if not (self.folder / "data" / "meta.properties").exists():
            format_it = [
                "kafka.tools.StorageTool",
                "format",
                "-t",
                CLUSTER_ID,
                "-c",
                str(self.folder / "server.properties"),
            ]
            subprocess.run(self._java(*format_it), check=True, capture_output=True, timeout=timeout_s)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self.folder / "server.properties")),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        deadline = time.monotonic() + timeout_s
        while not answers(self.bootstrap, 5):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                said = (self.folder / "log").read_text(errors="replace")[-3000:]
                raise RuntimeError(f"Kafka did not start:\n{said}")
            time.sleep(0.05)
        return self

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def exited(self) -> bool:
        """Whether it has ended, by itself or not."""
        return self._process is not None and self._process.poll() is not None

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and wait for the end. ``start`` brings it back on the same data and port."""
        self._end(signal.SIGKILL)

    def stop(self, grace_s: float = 30) -> None:
        """SIGTERM, and SIGKILL after the grace period."""
        self._end(signal.SIGTERM, grace_s)

    def restart(self, timeout_s: float = 150) -> None:
        """Kill it and start it again on the same data."""
        self.kill()
        self.start(timeout_s)

    def __enter__(self) -> Self:
        return self.start() if self._process is None else self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _end(self, how: signal.Signals, grace_s: float = 30) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self.resume()
        self._process.send_signal(how)
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _java(self, *arguments: str) -> list[str]:
        options = [f"-Xmx{self._heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        options.append(f"-Dlog4j2.configurationFile={self.folder / 'log4j2.xml'}")
        return [*self._prefix, "java", *options, "-cp", str(kafka_home() / "libs" / "*"), *arguments]

    def _configure(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        addresses = {"PLAINTEXT": self.bootstrap, **self.more}
        spoken = ",".join(f"{name}://{address}" for name, address in addresses.items())
        controls = f",CONTROLLER://127.0.0.1:{self._controller_port}" if self._controls else ""
        properties = {
            "process.roles": "broker,controller" if self._controls else "broker",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": f"{spoken}{controls}",
            "advertised.listeners": spoken,
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,"
            + ",".join(f"{name}:{name}" for name in ("PLAINTEXT", *self.more)),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
        } | self._properties
        lines = "".join(f"{key}={value}\n" for key, value in properties.items())
        (self.folder / "server.properties").write_text(lines)
        (self.folder / "log4j2.xml").write_text(
            '<Configuration><Appenders><Console name="c"><PatternLayout pattern="%d{ISO8601} %p %c{1}: %m%n"/>'
            '</Console></Appenders><Loggers><Root level="WARN"><AppenderRef ref="c"/></Root></Loggers></Configuration>\n'
        )

"""A broker as a process: started on loopback, waited for by asking it, ended cleanly, never orphaned."""

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from plaint.kafka.admin import BrokerAway, open_admin
from plaint.kafka.settings import KafkaSettings
from plaint.local.leash import leashed
from schemas.faults import Unavailable

LOG_TAIL_BYTES = 4000


class BrokerFailed(Unavailable):
    """The broker could not be started, or not in time. The message says why and what mends it."""


class BrokerDied(BrokerFailed):
    """It ended by itself while it started: its port may have been taken."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now. Somebody may take it before it is used: see ``wait_ready``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of 127.0.0.1. It does not bind, so it is never in the way of a starting server."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def child_environment() -> dict[str, str]:
    """This process's environment without what would steer the broker or give it our secrets."""
    foreign = ("PLAINT_", "KAFKA_", "OTEL_", "SCHEMA_REGISTRY")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {"NO_COLOR": "1"}


@dataclass
class Broker:
    """A running broker. Use it as a context manager, or call ``stop``."""

    name: str
    bootstrap: str
    cluster_id: str
    description: str
    keeps_data: bool
    overrides: Mapping[str, Any]
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    grace_s: float
    held: list[IO[Any]] = field(default_factory=list)

    def describe(self) -> str:
        """One line for the person at the terminal."""
        return f"{self.name} on {self.bootstrap}: {self.description}"

    def adapt(self, kafka: KafkaSettings) -> KafkaSettings:
        """These settings, pointed at this broker and with what it cannot do switched off."""
        values = kafka.model_dump() | {
            "brokers": (self.bootstrap,),
            "replication_factor": 1,
            "security_protocol": "PLAINTEXT",
            **self.overrides,
        }
        return KafkaSettings.model_validate(values)

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; the exit code, or minus the signal that ended it."""
        return self.process.poll()

    async def ended(self) -> int:
        """Wait until it is no longer running; its exit code."""
        while (code := self.returncode) is None:  # noqa: ASYNC110 - a polled process sets no event
            await asyncio.sleep(0.2)
        return code

    def tail(self) -> str:
        """The last lines that it wrote."""
        # Not seek and read: the position in the file is the broker's as well.
        size = os.fstat(self.log.fileno()).st_size
        return (
            os.pread(self.log.fileno(), LOG_TAIL_BYTES, max(0, size - LOG_TAIL_BYTES)).decode(errors="replace").strip()
        )

    def stop(self) -> int:
        """SIGTERM, SIGKILL after the grace period; its exit code. A second call does nothing."""
        try:
            self.process.terminate()
            code = self.process.wait(self.grace_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        for held in (self.log, *self.held):
            held.close()
        return code

    def __enter__(self) -> "Broker":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_ready(self, timeout_s: float) -> None:
        """Return once it answers a metadata request with its own cluster id; it is stopped if it doesn't.

        The id tells it from another broker that took the port first. Raises BrokerFailed, BrokerDied if it ended.
        """
        try:
            ready = self._wait(time.monotonic() + timeout_s)
        except BaseException:  # Ctrl-C while waiting: nobody holds it yet
            self.stop()
            raise
        if ready:
            return
        code, said = self.returncode, self.tail()
        self.stop()
        wrote = f"It wrote:\n{said or '(nothing)'}"
        if code is None:
            raise BrokerFailed(f"{self.name} did not answer within {timeout_s:g} s. {wrote}")
        raise BrokerDied(f"{self.name} ended with code {code} while it started. {wrote}")

    def _wait(self, deadline: float) -> bool:
        port = int(self.bootstrap.rpartition(":")[2])
        while (left := deadline - time.monotonic()) > 0 and self.returncode is None:
            if not is_free(port) and self._answers(min(2.0, max(0.1, left))):
                return True
            time.sleep(0.02)
        return False

    def _answers(self, timeout_s: float) -> bool:
        try:
            with open_admin(KafkaSettings(brokers=(self.bootstrap,)), timeout_s) as admin:
                return bool(admin.describe_cluster()["cluster_id"] == self.cluster_id)
        except BrokerAway:
            return False


def spawn(
    argv: list[str], log: IO[bytes], *, cwd: Path | None = None, keep: tuple[int, ...] = ()
) -> subprocess.Popen[bytes]:
    """Start a broker in a session of its own, so that a terminal's Ctrl-C is not for it. Main thread only.

    ``keep`` are descriptors that the child holds open as well, such as the lock on its data. The log is closed if it fails.
    """
    try:
        return subprocess.Popen(
            leashed(argv),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=cwd,
            env=child_environment(),
            start_new_session=True,
            pass_fds=keep,
        )
    except BaseException:
        log.close()
        raise

"""A downloaded Apache Kafka release as a single node (KRaft) on loopback. Its data stays: it can serve one machine for good."""

import base64
import fcntl
import json
import os
import re
import shutil
import subprocess
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from plaint.broker.process import Broker, BrokerFailed, child_environment, free_port, is_free, spawn
from plaint.broker.settings import BrokerSettings
from schemas.faults import Fault, FaultsFound

JAVA_NEEDED = 17
GRACE_S = 30.0
LOCK_WAIT_S = 2.0
THIRTY_DAYS_MIN = 30 * 24 * 60


class ReleaseUnusable(FaultsFound):
    """There is no Java or no release that a local Kafka could be started with."""


@dataclass(frozen=True)
class Node:
    """What a node keeps over restarts: clients that know its address find it again."""

    cluster_id: str
    port: int
    controller_port: int


def start(settings: BrokerSettings) -> Broker:
    """Format on the first start, start, wait until it answers. Raises ReleaseUnusable or BrokerFailed."""
    java = find_java()
    jars = release_jars(settings.kafka_home)
    home = settings.data_dir / "kafka"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)  # posts are in it
        lock = _lock(home)
    except OSError as error:
        raise BrokerFailed(f"broker.data_dir {settings.data_dir} can't be written: {error.strerror}") from error
    try:
        node = _node(home)
        _write_config(home, node)
        # Little memory and a quick start rather than the last bit of speed: this broker serves one machine.
        command = [java, f"-Xmx{settings.heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        command += [f"-Dlog4j2.configurationFile={home / 'log4j2.xml'}", "-cp", jars]
        _format(command, home, node, settings.start_timeout_s)
        broker = _launch(command, home, node, lock)
    except BaseException:
        lock.close()
        raise
    broker.wait_ready(settings.start_timeout_s)
    return broker


def find_java() -> str:
    """The java to run, from JAVA_HOME or the path. Raises ReleaseUnusable if there is none or it is too old."""
    home = os.environ.get("JAVA_HOME", "")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    needed = f"a local Kafka needs Java {JAVA_NEEDED} or newer"
    if java is None:
        where = f"JAVA_HOME={home}" if home else "the path"
        raise _unusable("java", f"is not in {where}: {needed}", "install it, or set JAVA_HOME")
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise _unusable("java", f"{java} -version does not work: {error}", "mend it, or set JAVA_HOME") from error
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_NEEDED:
        what = said.partition("\n")[0] or "of no version"
        raise _unusable("java", f"{java} is {what}: {needed}", "install it, or set JAVA_HOME")
    return java


def release_jars(kafka_home: Path | None) -> str:
    """The class path of the release. Raises ReleaseUnusable if the folder is not a Kafka release."""
    if kafka_home is None:
        mend = "name the folder of a Kafka release, with libs/ in it, here or in PLAINT_KAFKA_HOME"
        raise _unusable("broker.kafka_home", "is not set", mend)
    libs = kafka_home.absolute() / "libs"
    if not any(libs.glob("kafka-server-*.jar")) and not any(libs.glob("kafka_*.jar")):
        mend = "unpack a release from kafka.apache.org and name its folder, here or in PLAINT_KAFKA_HOME"
        raise _unusable("broker.kafka_home", f"there are no Kafka jars in {libs}", mend)
    return str(libs / "*")


def release_faults(settings: BrokerSettings) -> list[Fault]:
    """What keeps the local Kafka from starting as far as that can be seen without starting it."""
    found: list[Fault] = []
    for look in (find_java, lambda: release_jars(settings.kafka_home)):
        try:
            look()
        except ReleaseUnusable as error:
            found += error.faults
    return found


def _unusable(place: str, what: str, mend: str) -> ReleaseUnusable:
    return ReleaseUnusable([Fault(place, what, mend)])


def _lock(home: Path) -> IO[str]:
    """Hold the folder. The broker inherits the lock, so it is free only when both are gone.

    A broker whose plaint was killed a moment ago needs a moment to be gone itself.
    """
    lock = (home / "lock").open("a+")
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            lock.close()
            raise BrokerFailed(
                f"{home} is in use by another plaint: stop it, or give this one another broker.data_dir"
            ) from None
        return lock


def _node(home: Path) -> Node:
    """The node as it was, with new ports only if somebody else took the old ones."""
    file = home / "node.json"
    known = Node(**json.loads(file.read_text())) if file.exists() else Node(_new_cluster_id(), 0, 0)
    ports = [port if port and is_free(port) else free_port() for port in (known.port, known.controller_port)]
    node = Node(known.cluster_id, *ports)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(node)))
    fresh.replace(file)
    return node


def _new_cluster_id() -> str:
    """16 random bytes in URL-safe base64 without padding, as Kafka writes its ids; no leading dash, it is an argument."""
    while (made := base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()).startswith("-"):
        pass
    return made


def _write_config(home: Path, node: Node) -> None:
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{node.controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{node.port},CONTROLLER://127.0.0.1:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{node.port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(home / "data"),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        # A group that was away longer than this starts at the earliest record again.
        "offsets.retention.minutes": str(THIRTY_DAYS_MIN),
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
    }
    (home / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    (home / "log4j2.xml").write_text(
        '<Configuration><Appenders><Console name="c"><PatternLayout pattern="%d{ISO8601} %p %c{1}: %m%n"/></Console>'
        '</Appenders><Loggers><Root level="WARN"><AppenderRef ref="c"/></Root></Loggers></Configuration>\n'
    )


def _format(command: list[str], home: Path, node: Node, timeout_s: float) -> None:
    if (home / "data" / "meta.properties").exists():
        return
    argv = [*command, "kafka.tools.StorageTool", "format", "--ignore-formatted"]
    argv += ["-t", node.cluster_id, "-c", str(home / "server.properties")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, env=child_environment(), check=False)
    if done.returncode != 0:
        raise BrokerFailed(f"Kafka could not format {home / 'data'}:\n{(done.stdout + done.stderr).strip()[-2000:]}")


def _launch(command: list[str], home: Path, node: Node, lock: IO[str]) -> Broker:
    log_file = home / "kafka.log"
    if log_file.exists():
        log_file.replace(home / "kafka.log.1")
    log = log_file.open("w+b")
    argv = [*command, "kafka.Kafka", str(home / "server.properties")]
    return Broker(
        name="local Kafka",
        bootstrap=f"127.0.0.1:{node.port}",
        cluster_id=node.cluster_id,
        description=f"data kept in {home}",
        keeps_data=True,
        overrides={},
        process=spawn(argv, log, cwd=home, keep=(lock.fileno(),)),
        log=log,
        grace_s=GRACE_S,
        held=[lock],
    )

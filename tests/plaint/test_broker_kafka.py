"""A local Kafka release: its data and its address stay, one plaint at a time, and what is missing is said."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer
from pydantic import ValidationError

from plaint.broker.kafka_release import ReleaseUnusable, find_java
from plaint.broker.process import BrokerFailed
from plaint.broker.settings import BrokerSettings
from plaint.broker.start import start_broker
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from schemas.topics import POSTS
from tests.support.kafka_process import kafka_home, why_no_kafka

REPOSITORY = Path(__file__).parents[2]
needs_kafka = pytest.mark.skipif(why_no_kafka() is not None, reason=f"NOT TESTED ON APACHE KAFKA: {why_no_kafka()}")


def settings(data_dir: Path, home: Path | None = None) -> BrokerSettings:
    return BrokerSettings(embedded="kafka", kafka_home=home or kafka_home(), data_dir=data_dir)


def write(bootstrap: str, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    producer.send(POSTS, value, key=value, partition=0).get(10)
    producer.close()


def read(bootstrap: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        POSTS, bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=10_000
    )
    values = [next(consumer).value for _ in range(count)]
    consumer.close()
    return values


@pytest.mark.kafka
@needs_kafka
@pytest.mark.long
def test_data_and_address_stay_over_restarts_and_kills_and_two_do_not_share_them(tmp_path: Path) -> None:
    with start_broker(settings(tmp_path)) as broker:
        ensure_topics(broker.adapt(KafkaSettings()), ["helpdesk"])
        write(broker.bootstrap, b"first")
        assert (tmp_path / "kafka").stat().st_mode & 0o777 == 0o700
        listening = {c.laddr.ip for c in psutil.Process(broker.pid).net_connections() if c.status == psutil.CONN_LISTEN}
        assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
        with pytest.raises(BrokerFailed, match=r"in use by another plaint: stop it, or .* another broker\.data_dir"):
            start_broker(settings(tmp_path))
        psutil.Process(broker.pid).kill()
        broker.process.wait()
    with start_broker(settings(tmp_path)) as again:
        assert again.bootstrap == broker.bootstrap
        assert f"data kept in {tmp_path}" in again.describe()
        assert again.adapt(KafkaSettings()).idempotent_producer
        write(again.bootstrap, b"second")
        assert read(again.bootstrap, 2) == [b"first", b"second"]


@pytest.mark.kafka
@needs_kafka
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with a killed parent")
@pytest.mark.long
def test_a_killed_plaint_can_be_started_again_at_once_even_if_its_port_was_taken(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from plaint.broker.settings import *; from plaint.broker.start import *\n"
        "b = start_broker(BrokerSettings(embedded='kafka', kafka_home=Path(sys.argv[1]), data_dir=Path(sys.argv[2])))\n"
        "print(b.pid, flush=True); time.sleep(99)"
    )
    argv = [sys.executable, "-c", program, str(kafka_home()), str(tmp_path)]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE) as plaint:
        assert plaint.stdout is not None
        pid = int(plaint.stdout.readline())
        plaint.kill()
    port = json.loads((tmp_path / "kafka" / "node.json").read_text())["port"]
    psutil.Process(pid).wait(10) if psutil.pid_exists(pid) else None
    with socket.create_server(("127.0.0.1", port)), start_broker(settings(tmp_path)) as again:
        assert again.bootstrap != f"127.0.0.1:{port}"
        ensure_topics(again.adapt(KafkaSettings()), [])


def test_a_folder_that_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ReleaseUnusable, match=r"broker\.kafka_home: there are no Kafka jars in .*libs; unpack a release"
    ):
        start_broker(settings(tmp_path, home=tmp_path))


def test_the_home_comes_from_the_environment_and_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAINT_KAFKA_HOME", "/opt/kafka")
    assert BrokerSettings(embedded="kafka").kafka_home == Path("/opt/kafka")
    monkeypatch.delenv("PLAINT_KAFKA_HOME")
    with pytest.raises(ValidationError, match="needs kafka_home or PLAINT_KAFKA_HOME"):
        BrokerSettings(embedded="kafka")


def java(folder: Path, script: str) -> None:
    folder.mkdir(parents=True)
    (folder / "java").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "java").chmod(0o755)


def test_no_java_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ReleaseUnusable, match="java: is not in the path: a local Kafka needs Java 17"):
        find_java()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ReleaseUnusable, match="java: is not in JAVA_HOME="):
        find_java()


@pytest.mark.parametrize(
    ("says", "good"),
    [
        ('openjdk version "17.0.15" 2025-04-15', True),
        ('java version "21" 2023-09-19 LTS', True),
        ('openjdk version "25-ea" 2025-09-16', True),
        ('openjdk version "11.0.27" 2025-04-15', False),
        ('java version "1.8.0_452"', False),
        ("something else", False),
        ("", False),
    ],
)
def test_java_has_to_be_new_enough(says: str, good: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java(tmp_path / "bin", f"echo '{says}' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if good:
        assert find_java() == str(tmp_path / "bin" / "java")
    else:
        with pytest.raises(ReleaseUnusable, match="needs Java 17 or newer"):
            find_java()


def test_a_java_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java(tmp_path / "bin", "exit 1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ReleaseUnusable, match="-version does not work"):
        find_java()


@needs_kafka
def test_a_data_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BrokerFailed, match=r"broker\.data_dir .*file can't be written: Not a directory"):
        start_broker(settings(tmp_path / "file"))


@pytest.mark.kafka
@needs_kafka
def test_a_kafka_that_cannot_start_is_told_with_its_log_and_frees_the_folder(tmp_path: Path) -> None:
    bad = BrokerSettings(embedded="kafka", kafka_home=kafka_home(), data_dir=tmp_path, heap="1m")
    for _ in range(2):
        with pytest.raises(BrokerFailed, match=r"(?s)Kafka could not format|while it started"):
            start_broker(bad)

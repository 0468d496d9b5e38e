"""The watchdog of ingest: a worker that waits for Kafka or hangs is noticed, one that has nothing to do never is."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from plaint.broker.process import Broker
from plaint.broker.settings import BrokerSettings
from plaint.broker.start import start_broker
from plaint.diagnosis.judgement import judged
from plaint.diagnosis.status import Status, look
from plaint.kafka.admin import BrokerAway
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from plaint.monitoring.publishing_watchdog import PublishingWatchdog
from plaint.monitoring.settings import MonitoringSettings
from tests.plaint.monitoring.asking import ask, state, told
from tests.support.door import answer_of
from tests.support.frozen import Frozen
from tests.support.kafka_process import free_ports

T = TypeVar("T")

RECORDS, DOOR, SOURCE = "posts of the door", "the door", "source stdin"


class Worker:
    """What the watchdog is told of a worker; a test changes it. ``broker`` is what asking the broker ends with."""

    def __init__(self, on_stall: str = "end") -> None:
        self.now = 0.0
        self.records: dict[str, int] = {}
        self.moving: dict[str, int] = {}
        self.reason = ""
        self.broker: Exception | None = None
        self.asked = 0
        self.ended: list[str] = []
        settings = MonitoringSettings.model_validate({"on_stall": on_stall, "stall_s": 60})
        self.dog = PublishingWatchdog(
            KafkaSettings(), self, settings, self.ended.append, lambda: self.now, lambda *_: self._ask()
        )

    def unacknowledged(self) -> dict[str, int]:
        return dict(self.records)

    def threads(self) -> dict[str, int]:
        return dict(self.moving)

    def excuse(self) -> str:
        return self.reason

    def _ask(self) -> None:
        self.asked += 1
        if self.broker is not None:
            raise self.broker

    async def looks(self, *moments: float) -> list[str]:
        """What it says at each of these times."""
        said = []
        for self.now in moments:
            await self.dog.look()
            said.append(self.dog.why)
        return said


async def test_a_worker_that_has_nothing_to_do_is_never_stalled_and_no_broker_is_asked() -> None:
    worker = Worker()
    assert not any(await worker.looks(*range(0, 1000, 15)))
    assert (worker.ended, worker.asked) == ([], 0)


async def test_a_worker_whose_records_are_acknowledged_slowly_is_not_stalled() -> None:
    worker = Worker()
    for number in range(20):
        worker.records = {RECORDS: number}
        assert await worker.looks(number * 50.0, number * 50.0 + 25) == ["", ""]
    assert worker.ended == []


async def test_records_that_nobody_acknowledges_are_reported_and_then_end_it_if_a_broker_answers_others() -> None:
    worker = Worker()
    worker.records = {RECORDS: 17}
    said = await worker.looks(*range(0, 121, 15))
    assert not any(said[:4])
    assert said[4] == "stalled: posts of the door wait for Kafka's acknowledgement and nothing moved for 60 s"
    assert worker.ended == [said[-1]]
    assert worker.dog.broker_away == ""


async def test_while_no_broker_answers_it_is_unhealthy_and_goes_on_and_has_its_time_once_one_does() -> None:
    worker = Worker()
    worker.records, worker.broker = {RECORDS: 17}, BrokerAway("no")
    assert all((await worker.looks(*range(0, 1000, 15)))[4:])
    assert (worker.ended, worker.dog.broker_away) == ([], "no answer: BrokerAway")
    worker.broker = None
    assert all(await worker.looks(*range(1005, 1096, 15)))
    assert (worker.ended, worker.dog.broker_away) == ([], "")
    worker.records = {}
    assert await worker.looks(1110) == [""], "it got over it"
    worker.records = {RECORDS: 18}
    await worker.looks(*range(1125, 1246, 15))
    assert len(worker.ended) == 1


async def test_a_thread_that_hangs_ends_it_whatever_the_broker_does() -> None:
    worker = Worker()
    worker.moving, worker.broker = {DOOR: 5, SOURCE: 7}, BrokerAway("no")
    said = []
    for step in range(9):
        worker.moving[SOURCE] += 1
        said += await worker.looks(step * 15)
    assert said[4] == "stalled: the door hangs and nothing moved for 60 s"
    assert (len(worker.ended), worker.asked) == (1, 0)


async def test_it_only_reports_if_it_is_told_to_and_not_what_is_stopping() -> None:
    worker = Worker("report")
    worker.records = {RECORDS: 1}
    assert all((await worker.looks(*range(0, 1000, 15)))[4:])
    assert worker.ended == []
    worker.reason = "it is stopping"
    assert not any(await worker.looks(1000, 1100, 1200))


async def test_one_that_stops_while_no_broker_answers_does_not_say_that_it_moves_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = Worker()
    worker.records, worker.broker = {RECORDS: 1}, BrokerAway("no")
    assert (await worker.looks(*range(0, 76, 15)))[-1]
    worker.reason = "it is stopping"
    assert await worker.looks(90) == [""]
    assert worker.dog.broker_away == "no answer: BrokerAway"
    assert "moves again" not in caplog.text


async def test_one_that_was_stopped_for_long_is_not_stalled_when_it_wakes() -> None:
    worker = Worker()
    worker.records = {RECORDS: 1}
    assert not any(await worker.looks(0, 15, 10_000, 10_010))


# -- the real worker ---------------------------------------------------------------------------------------------------

PROGRAM = """
import json, logging, sys, threading
from pathlib import Path
from threading import Timer
from ingest.http.settings import DoorSettings
from ingest.settings import SourceSettings
from plaint.kafka.settings import KafkaSettings
from plaint.monitoring.monitor import Monitor
from plaint.monitoring.settings import MonitoringSettings
from plaint.workers.ingest import ingest

logging.basicConfig()
folder, port = Path(sys.argv[1]), int(sys.argv[2])

def tell():
    names = {thread.name: thread.native_id for thread in threading.enumerate()}
    if "door" not in names or None in names.values():  # one that is starting has no number yet
        return Timer(0.05, tell).start()
    (folder / "draft").write_text(json.dumps(names))
    (folder / "draft").rename(folder / "threads")

settings = MonitoringSettings(port=0, address_file=folder / "address", stall_s=float(sys.argv[4]))
with Monitor("ingest", settings).told() as monitor:
    tell()
    door = DoorSettings(port=port, ack_timeout_s=0.5)
    kafka = KafkaSettings.model_validate_json(sys.argv[3])
    ingest(kafka, [SourceSettings.model_validate("stdin")], monitor, door=door)
"""


class Ingest:
    """An ingest worker in a process of its own, with a silent pipe and a door, on a broker of its own."""

    def __init__(self, broker: Broker, folder: Path, stall_s: str) -> None:
        self.broker = broker
        [self._port] = free_ports(1)
        self._folder = folder
        given = broker.adapt(KafkaSettings()).model_dump_json(exclude={"sasl_password"})
        argv = [sys.executable, "-c", PROGRAM, str(folder), str(self._port), given, stall_s]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE)

    def wait_until_up(self) -> None:
        self.wait((self._folder / "threads").exists, "its threads")
        self.wait(lambda: self.send("first") == 202, "its door")

    @property
    def address(self) -> str:
        return (self._folder / "address").read_text()

    def thread(self, name: str) -> int:
        """The system's number of the thread whose name has this in it."""
        threads = json.loads((self._folder / "threads").read_text())
        [found] = [number for known, number in threads.items() if name in known]
        return int(found)

    def send(self, id_: str) -> int:
        """What the door answers to a post; 0 if nothing comes."""
        try:
            return answer_of(f"http://127.0.0.1:{self._port}", {"id": id_, "text": "My router is dead"})
        except OSError:
            return 0

    def wait(self, look: Callable[[], T], what: str, limit_s: float = 60) -> T:
        """What ``look`` finds as soon as it finds something."""
        deadline = time.monotonic() + limit_s
        while not (found := look()):
            assert self.process.poll() is None or what == "its end", "it ended"
            assert time.monotonic() < deadline, f"waited for {what}"
            time.sleep(0.02)
        return found

    def fault(self) -> str:
        """What /healthz says of it; empty if it is well."""
        status, _, said = ask(self.address, "/healthz")
        return said if status == 503 else ""

    def end(self) -> None:
        self.process.kill()
        self.process.wait(60)
        for stream in (self.process.stdin, self.process.stderr):
            assert stream
            stream.close()


@pytest.fixture
def worker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Ingest]:
    """Its limit is 1 s, or a test's own parameter."""
    with start_broker(BrokerSettings(embedded="tansu")) as broker:
        ensure_topics(broker.adapt(KafkaSettings()), [])
        made = Ingest(broker, tmp_path, getattr(request, "param", "1"))
        try:
            made.wait_until_up()
            yield made
        finally:
            os.kill(broker.pid, signal.SIGCONT)
            made.end()


def ends_by_itself(worker: Ingest, thread: str, said: str, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Freeze this thread: a post waits, the worker says so, and ends with 70."""
    try:
        frozen = Frozen(worker.thread(thread))
        frozen.__enter__()
    except OSError as error:
        pytest.skip(f"NOT TESTED WITH A THREAD THAT HANGS: this system lets nobody stop one: {error}")
    try:
        sender = threading.Thread(target=worker.send, args=("waits",))
        sender.start()
        why = worker.wait(worker.fault, "the fault")
        meanwhile()
        assert re.fullmatch(said, why)
        worker.wait(frozen.is_gone, "its end")
        sender.join()
    finally:
        frozen.__exit__(None, None, None)
    assert worker.process.wait(60) == 70
    assert worker.process.stderr
    assert b"ends, to be started again: stalled: " in worker.process.stderr.read()


def test_a_producer_that_hangs_ends_it_and_a_silent_source_and_an_idle_door_do_not(worker: Ingest) -> None:
    time.sleep(2.2)  # as long as a stall takes to end it
    assert worker.fault() == ""
    assert told(worker.address)["plaint_stalled"] == {(): 0}
    waits = r"stalled: posts of the door wait for Kafka's acknowledgement and nothing moved for \d+ s\n"
    ends_by_itself(worker, "plaint-ingest-network", waits)


@pytest.mark.long
@pytest.mark.parametrize("worker", ["3"], indirect=True)
def test_a_door_that_hangs_ends_it_and_status_names_it_before(worker: Ingest) -> None:
    kafka = worker.broker.adapt(KafkaSettings())
    found: list[Status] = []
    looking = threading.Thread(target=lambda: found.append(asyncio.run(look(kafka, [], [worker.address]))))
    ends_by_itself(worker, "door", r"stalled: the door hangs and nothing moved for \d+ s\n", looking.start)
    looking.join(60)
    [status] = found
    assert [one.what for one in judged(status).findings if "stalled: the door hangs" in one.what]


@pytest.mark.long
def test_a_broker_that_is_silent_makes_it_unhealthy_until_it_answers_and_what_waited_is_written(
    worker: Ingest,
) -> None:
    os.kill(worker.broker.pid, signal.SIGSTOP)
    assert worker.send("waits") == 503
    worker.wait(worker.fault, "the fault")
    assert "stalled: posts of the door wait" in state(worker.address)["unhealthy_why"]
    assert told(worker.address)["plaint_stalled"] == {(): 1}
    worker.wait(lambda: state(worker.address)["missing"], "the broker's silence")
    assert state(worker.address)["missing"][0].startswith("kafka: no answer")
    time.sleep(5)  # more than twice what would end it
    assert worker.process.poll() is None
    os.kill(worker.broker.pid, signal.SIGCONT)
    worker.wait(lambda: not worker.fault() and worker.send("after") == 202, "its recovery")
    assert not state(worker.address)["missing"]

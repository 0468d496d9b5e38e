"""The ingest worker on the embedded broker: from lines to acknowledged records, and how it ends."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.settings import SourceSettings
from plaint.broker.process import Broker
from plaint.broker.settings import BrokerSettings
from plaint.broker.start import start_broker
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from plaint.monitoring.monitor import Monitor
from plaint.workers.ingest import Report, ingest
from schemas.deadletter import DeadLetter
from schemas.post import Post
from schemas.topics import POSTS
from tests.support.kafka_process import KafkaProcess
from tests.support.topic_reading import dead_letters, posts, wait_for
from tests.system.poison import PASSES
from tests.system.poison import POSTS as POISON

ON_TERMINAL = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
"""
WORKER = """
import json, sys
from plaint.kafka.settings import KafkaSettings
from plaint.monitoring.monitor import Monitor
from plaint.workers import ingest as worker
from ingest.settings import SourceSettings
from pathlib import Path
from ingest import publish
worker.STOP_GRACE_S = float(sys.argv[3])
publish.LONG_WAIT_S = 0.5
kafka = KafkaSettings.model_validate_json(sys.argv[1])
sources = [SourceSettings.model_validate(text) for text in sys.argv[4:]]
worker.ingest(kafka, sources, Monitor("ingest"), Path(sys.argv[2]))
"""


@pytest.fixture
def broker() -> Iterator[Broker]:
    with start_broker(BrokerSettings(embedded="tansu")) as started:
        ensure_topics(started.adapt(KafkaSettings()), [])
        yield started


@pytest.fixture
def kafka(broker: Broker) -> KafkaSettings:
    return broker.adapt(KafkaSettings())


class Worker:
    """The ingest worker in a process of its own."""

    def __init__(self, report: Path) -> None:
        self._report = report
        self._child: subprocess.Popen[bytes] | None = None

    def start(
        self, kafka: KafkaSettings, *sources: str, terminal: int | None = None, grace_s: float = 25.0
    ) -> "subprocess.Popen[bytes]":
        """``terminal`` is the descriptor of its controlling one, None for that of the tests, if they have one."""
        given = kafka.model_dump_json(exclude={"sasl_password"})
        program = WORKER if terminal is None else ON_TERMINAL + WORKER
        argv = [sys.executable, "-c", program, given, str(self._report), str(grace_s), *sources]
        stdin = subprocess.PIPE if terminal is None else terminal
        self._child = subprocess.Popen(
            argv, stdin=stdin, stderr=subprocess.PIPE, start_new_session=terminal is not None
        )
        return self._child

    def report(self) -> Report:
        return Report.model_validate_json(self._report.read_bytes())

    def end(self) -> None:
        if self._child:
            self._child.kill()
            self._child.wait()
            for stream in (self._child.stdin, self._child.stderr):
                if stream:
                    stream.close()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    made = Worker(tmp_path / "report")
    yield made
    made.end()


def from_file(path: Path, **settings: Any) -> SourceSettings:
    return SourceSettings.model_validate({"path": str(path), **settings})


def letters(broker: Broker, count: int) -> dict[str, DeadLetter]:
    found = [DeadLetter.from_kafka(r.key, r.value, r.headers) for r in dead_letters(broker.bootstrap, count)]
    assert len(found) == count
    return {letter.place: letter for letter in found}


def test_every_poison_line_is_a_post_or_a_dead_letter_and_the_next_line_goes_through(
    broker: Broker, kafka: KafkaSettings, tmp_path: Path
) -> None:
    cases = [case for case in POISON.values() if case.is_line]
    lines = [case.filled(f"id-{number:09}") or b"" for number, case in enumerate(cases)]
    path = tmp_path / "poison.jsonl"
    with path.open("wb") as file:
        for number, line in enumerate(lines):
            file.write(line + b"\n" + json.dumps({"id": f"after-{number}", "text": "ok"}).encode() + b"\n")
    report = ingest(kafka, [from_file(path)], Monitor("ingest"), tmp_path / "report.json")

    refused = {f"{path}:{2 * number + 1}": number for number, case in enumerate(cases) if case.at_door != PASSES}
    found = letters(broker, len(refused))
    assert {place: letter.reason for place, letter in found.items()} == {
        place: cases[number].at_door for place, number in refused.items()
    }
    for place, number in refused.items():
        assert found[place].value == lines[number][: 256 * 1024]
        assert found[place].size == len(lines[number])
        assert found[place].detail

    sound = 2 * len(cases) - len(refused)
    read = posts(broker.bootstrap, sound)
    assert len(read) == sound
    assert {f"after-{number}".encode() for number in range(len(cases))} <= {record.key for record in read}
    for record in read:
        assert Post.from_bytes(record.value).id.encode() == record.key

    assert len(cases) >= 100
    assert report.read == 2 * len(cases) == report.published + sum(report.dead.values())
    assert Report.model_validate_json((tmp_path / "report.json").read_bytes()) == report
    assert report.finished
    assert [entry.name for entry in tmp_path.iterdir() if "report" in entry.name] == ["report.json"]


def test_the_public_tweets_are_all_published(broker: Broker, kafka: KafkaSettings) -> None:
    data = Path(os.environ.get("PLAINT_DATA") or "../shared/data") / "public/twcs_airlines_asapp/data.csv.gz"
    if not data.exists():
        pytest.skip(f"NOT TESTED ON REAL POSTS: there is no {data}; set PLAINT_DATA")
    report = ingest(
        kafka,
        [SourceSettings.model_validate(f"file:{data},columns.id=first_tweet_id,columns.text=text,constants.network=x")],
        Monitor("ingest"),
    )
    assert report == Report(read=43_072, published=43_072, dead={}, finished=True)
    read = posts(broker.bootstrap, 43_072)
    assert len(read) == 43_072
    assert len({record.key for record in read}) == 42_312


def test_several_sources_go_at_once_and_their_posts_say_from_which(
    broker: Broker, kafka: KafkaSettings, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text('{"id":"a","text":"1"}\n' * 30)
    (tmp_path / "b.csv").write_text("id,text\nb,1\n")
    slow = from_file(tmp_path / "a.jsonl", rate=20)
    report = ingest(kafka, [slow, from_file(tmp_path / "b.csv", name="table")], Monitor("ingest"))
    assert (report.read, report.finished) == (31, True)
    read = posts(broker.bootstrap, 31)
    assert {record.key: Post.from_bytes(record.value).source for record in read} == {
        b"a": "file:a.jsonl",
        b"b": "table",
    }
    # They take 1.45 s; a source that was held up catches up with at most 1 s.
    times = [record.timestamp for record in read if record.key == b"a"]
    assert times[-1] - times[0] > 400


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_all_that_was_read_written(
    broker: Broker, kafka: KafkaSettings, worker: Worker, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "a.jsonl").write_text('{"id":"a","text":"1"}\nno json\n')
    child = worker.start(kafka, f"file:{tmp_path / 'a.jsonl'},loop,rate=400", "stdin")
    wait_for(broker.bootstrap, POSTS, 100)
    child.send_signal(number)
    assert child.wait(60) == 0
    report = worker.report()
    assert not report.finished
    read = posts(broker.bootstrap, report.published)
    assert len({record.key for record in read}) == len(read) == report.published
    assert len(dead_letters(broker.bootstrap, 1)) == report.dead["invalid_json"]
    assert abs(report.published - report.dead["invalid_json"]) <= 1


def test_a_hangup_ends_it_cleanly_where_its_terminal_was_closed_and_means_nothing_else(
    broker: Broker, kafka: KafkaSettings, worker: Worker, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text('{"id":"a","text":"1"}\n')
    terminal, inner = pty.openpty()
    child = worker.start(kafka, f"file:{tmp_path / 'a.jsonl'},loop,rate=400", terminal=inner)
    os.close(inner)
    wait_for(broker.bootstrap, POSTS, 100)
    child.send_signal(signal.SIGHUP)  # as systemctl reload does
    wait_for(broker.bootstrap, POSTS, 1000)
    os.close(terminal)  # the kernel sends the signal
    assert child.wait(60) == 0
    report = worker.report()
    assert not report.finished
    assert len(posts(broker.bootstrap, report.published)) == report.published


def test_a_broker_that_hangs_is_waited_for_with_few_records_in_memory(
    broker: Broker, kafka: KafkaSettings, worker: Worker
) -> None:
    child = worker.start(kafka, "stdin")
    assert child.stdin
    child.stdin.write(b'{"id":"first","text":"1"}\n')
    child.stdin.flush()
    wait_for(broker.bootstrap, POSTS, 1)
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        taken = _write_until_held_up(child.stdin.fileno(), b'{"id":"%d","text":"' + b"x" * 1000 + b'"}\n')
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    assert 1000 < taken < 8000
    child.stdin.close()
    assert child.wait(60) == 0
    assert worker.report() == Report(read=taken + 1, published=taken + 1, dead={}, finished=True)
    assert len(posts(broker.bootstrap, taken + 1)) == taken + 1


def _write_until_held_up(pipe: int, line: bytes) -> int:
    """Whole lines that the other end took before it had stopped reading for a second, and for a hundred looks at it."""
    os.set_blocking(pipe, False)
    count = looks = 0
    while looks < 100:
        try:
            os.write(pipe, line % count)  # under PIPE_BUF: all or nothing
            count, looks = count + 1, 0
        except BlockingIOError:
            looks += 1
            time.sleep(0.01)
    return count


def test_a_broker_that_is_gone_for_good_makes_a_stop_fail_loudly(
    broker: Broker, kafka: KafkaSettings, worker: Worker, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"id":"{number}","text":"1"}}\n' for number in range(30)))
    child = worker.start(kafka, f"file:{tmp_path / 'a.jsonl'},rate=10", grace_s=1.0)
    assert child.stderr
    wait_for(broker.bootstrap, POSTS, 1)
    os.kill(broker.pid, signal.SIGKILL)
    assert any(b"waiting for the broker" in line for line in child.stderr)
    child.terminate()
    said = child.stderr.read()
    assert child.wait(60) != 0
    assert b"records were not acknowledged in time" in said
    assert not (tmp_path / "report").exists()


@pytest.mark.long
@pytest.mark.kafka
def test_a_kill_of_the_broker_loses_nothing_and_a_record_that_it_never_takes_is_told(
    new_kafka: Callable[..., KafkaProcess], worker: Worker, tmp_path: Path
) -> None:
    node = new_kafka(properties={"message.max.bytes": "100000"})
    kafka = KafkaSettings(brokers=(node.bootstrap,))
    ensure_topics(kafka, [])
    with (tmp_path / "a.jsonl").open("w") as file:
        file.writelines(f'{{"id":"{number}","text":"1"}}\n' for number in range(4000))
        file.write(json.dumps({"id": "large", "text": "x" * 150_000}))
    child = worker.start(kafka, f"file:{tmp_path / 'a.jsonl'},rate=2000")
    assert child.stderr
    wait_for(node.bootstrap, POSTS, 500)
    node.restart()
    said = child.stderr.read()
    assert child.wait(60) != 0
    assert b"the broker refused a record for good: MessageSizeTooLargeError" in said
    assert not (tmp_path / "report").exists()
    assert sorted(int(record.key) for record in posts(node.bootstrap, 4000)) == list(range(4000))

"""The door on a real broker: what is accepted is there, also when the broker stands still meanwhile."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime

import psutil
import pytest

from ingest import unacknowledged
from ingest.publish import PostPublisher
from ingest.source import Found
from plaint.broker.process import Broker
from plaint.broker.settings import BrokerSettings
from plaint.broker.start import start_broker
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from schemas.post import Post
from schemas.topics import OFFERED_HEADER
from tests.ingest.http_door import POST, Door, open_door
from tests.support.kafka_process import KafkaProcess
from tests.support.topic_reading import posts


@pytest.fixture
def broker() -> Iterator[Broker]:
    with start_broker(BrokerSettings(embedded="tansu")) as started:
        ensure_topics(started.adapt(KafkaSettings()), [])
        yield started


@pytest.fixture
def publisher(broker: Broker) -> Iterator[PostPublisher]:
    with closing(PostPublisher({"bootstrap_servers": broker.bootstrap}, idempotent=False)) as publisher:
        yield publisher


def test_what_is_accepted_lies_in_the_topic_with_source_time_and_mark(broker: Broker, publisher: PostPublisher) -> None:
    began = datetime.now(UTC)
    with open_door(publisher) as door:
        assert door.post(POST | {"received_at": "2001-01-01T00:00:00Z"}).status == 202
        batch = [{"id": f"b{number}", "text": "x", "source": "crm"} for number in range(100)]
        assert door.post(batch).json == {"accepted": 100}
        assert door.post([POST, {"id": "never"}]).status == 400
        for event in ("edit", "edit", "delete"):
            assert door.post({"id": "1", "text": "y", "event": event}).status == 202
        assert door.counted() == {("202", "none"): 5, ("400", "invalid_post"): 1}
        assert door.counted("plaint_door_posts_total") == {(): 104}
    read = posts(broker.bootstrap, 104)
    assert len(read) == 104 == publisher.offered
    assert publisher.published == 0
    assert all((OFFERED_HEADER, b"1") in record.headers for record in read)
    found = [Post.from_bytes(record.value) for record in read if record.key == b"1"]
    assert [post.event for post in found] == ["create", "edit", "edit", "delete"]
    assert [post.revision for post in found] == sorted({post.revision for post in found})
    assert {post.source for post in found} == {"http"}
    assert all(post.received_at and began <= post.received_at <= datetime.now(UTC) for post in found)
    assert {record.key for record in read} == {b"1", *(post["id"].encode() for post in batch)}


class Senders:
    """Threads that each send one post after the other, and note what was answered to each id."""

    def __init__(self, door: Door, count: int) -> None:
        self.answers: dict[str, int] = {}
        self.begun: set[str] = set()
        self._door = door
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        sent = 0
        while not self._stop.is_set():
            id_ = f"{number}-{sent}"
            sent += 1
            self.begun.add(id_)
            self.answers[id_] = self._door.post({"id": id_, "text": "My router is dead"}).status
            if self.answers[id_] != 202:
                self._stop.wait(0.02)

    def of(self, status: int) -> set[str]:
        return {id_ for id_, answer in list(self.answers.items()) if answer == status}

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, {status: len(self.of(status)) for status in (202, 429, 503)}
            time.sleep(0.02)

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


def test_while_the_broker_stands_still_nothing_is_accepted_and_afterwards_nothing_is_lost(
    broker: Broker, publisher: PostPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unacknowledged, "MAX_WAITING", 6)
    with open_door(publisher, ack_timeout_s=1.5) as door:
        senders = Senders(door, 10)
        try:
            senders.wait_for(lambda: len(senders.of(202)) > 50)
            os.kill(broker.pid, signal.SIGSTOP)
            try:
                senders.wait_for(lambda: psutil.Process(broker.pid).status() == psutil.STATUS_STOPPED)
                before = senders.begun.copy()
                senders.wait_for(lambda: len(senders.of(503)) > 20 and len(senders.of(429)) > 3)
                assert senders.of(202) <= before
            finally:
                os.kill(broker.pid, signal.SIGCONT)
            senders.wait_for(lambda: len(senders.of(202) - before) > 50)
        finally:
            senders.end()
        counted = door.counted()
        assert {status: len(senders.of(int(status))) for status, _ in counted} == {
            status: sum(count for (known, _), count in counted.items() if known == status) for status, _ in counted
        }
        assert door.counted("plaint_door_posts_total") == {(): len(senders.of(202))}
        slowest = door.counted("plaint_door_request_seconds_bucket")
        assert slowest[("+Inf",)] == len(senders.of(202))
    publisher.drain()
    assert set(senders.answers.values()) == {202, 429, 503}
    written = {record.key.decode() for record in posts(broker.bootstrap, len(senders.of(202)))}
    assert senders.of(202) <= written
    assert not senders.of(429) & written, "it was said that nothing was taken"
    assert senders.of(503) & written, "those that were under way were written later"


def test_a_source_that_reads_as_fast_as_it_can_takes_no_room_from_the_door(
    broker: Broker, publisher: PostPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unacknowledged, "MAX_WAITING", 20)
    stop = threading.Event()

    def read() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            publisher.put(Found(Post(id=f"file-{number}", text="x" * 1000), "", b""), "file")

    source = threading.Thread(target=read)
    source.start()
    try:
        with open_door(publisher) as door:
            assert [door.post(POST).status for _ in range(20)] == [202] * 20
    finally:
        stop.set()
        source.join(60)
    publisher.drain()
    assert publisher.published > 20


@pytest.mark.kafka
def test_a_post_that_this_kafka_never_takes_is_not_accepted_and_the_program_is_told(
    new_kafka: Callable[..., KafkaProcess],
) -> None:
    node = new_kafka(properties={"message.max.bytes": "50000"})
    ensure_topics(KafkaSettings(brokers=(node.bootstrap,)), [])
    with (
        closing(PostPublisher({"bootstrap_servers": node.bootstrap}, idempotent=True)) as publisher,
        open_door(publisher) as door,
    ):
        refused = door.post(POST | {"text": "x" * 60_000})
        assert refused.status == 503
        assert "MessageSizeTooLarge" in str(door.failures[0])
        assert door.post(POST).status == 503

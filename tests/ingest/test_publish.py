"""What lies in the topics once posts and refused lines were published to the embedded broker."""

import gc
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from kafka.future import Future
from kafka.partitioner import murmur2
from kafka.producer.future import FutureProduceResult, FutureRecordMetadata
from kafka.producer.sender import Sender
from kafka.structs import TopicPartition

from ingest import producer, publish, unacknowledged
from ingest.publish import Busy, PostPublisher, PostTooLarge, PublishFailed
from ingest.source import Extent, Found, Refused
from plaint.broker.process import free_port
from plaint.kafka.admin import open_admin
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from schemas import topics
from schemas.deadletter import DeadLetter
from schemas.post import Post
from schemas.reasons import DeadReason
from schemas.record import MAX_RECORD_BYTES
from tests.support.kafka_process import KafkaProcess, kafka_cluster, why_no_kafka
from tests.support.topic_reading import dead_letters, posts

NOW = datetime(2026, 5, 4, 12, 0, 0, 123_000, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


def found(**fields: Any) -> Found:
    return Found(Post.model_validate({"text": "Hello", **fields}), "posts.jsonl:1", b"raw")


@pytest.fixture
def bootstrap(new_tansu: str) -> str:
    ensure_topics(KafkaSettings(brokers=(new_tansu,)), [])
    return new_tansu


@pytest.fixture
def publisher(bootstrap: str) -> Iterator[PostPublisher]:
    made = PostPublisher({"bootstrap_servers": bootstrap}, idempotent=False, now=lambda: NOW)
    yield made
    made.close()


def test_a_post_is_keyed_by_its_id_on_the_partition_that_kafka_gives_it(
    publisher: PostPublisher, bootstrap: str
) -> None:
    ids = [f"at://did:plc:ä{number}" for number in range(200)]
    for number in range(3):
        for post_id in ids:
            publisher.put(found(id=post_id, text=str(number)), "test")
    publisher.drain()
    read = posts(bootstrap, 600)
    assert len(read) == publisher.published == 600
    assert {record.partition for record in read} == {0, 1, 2, 3}
    for post_id in ids:
        mine = [record for record in read if record.key == post_id.encode()]
        assert {record.partition for record in mine} == {(murmur2(post_id.encode()) & 0x7FFFFFFF) % 4}
        assert [Post.from_bytes(record.value).text for record in mine] == ["0", "1", "2"]


def test_a_post_gets_source_and_time_of_receipt_unless_it_has_them(publisher: PostPublisher, bootstrap: str) -> None:
    earlier = NOW - timedelta(hours=2)
    publisher.put(found(id="bare"), "file:posts.jsonl")
    publisher.put(found(id="full", source="mastodon", received_at=earlier, author={"followers": 3}), "file:posts.jsonl")
    publisher.drain()
    read = {record.key: Post.from_bytes(record.value) for record in posts(bootstrap, 2)}
    assert read[b"bare"] == Post(id="bare", text="Hello", source="file:posts.jsonl", received_at=NOW)
    assert read[b"full"].received_at == earlier
    assert (read[b"full"].source, read[b"full"].author.followers) == ("mastodon", 3)


def test_later_states_without_a_revision_get_rising_ones(publisher: PostPublisher, bootstrap: str) -> None:
    for event in ("create", "edit", "edit", "delete"):
        publisher.put(found(id="1", event=event), "test")
    publisher.put(found(id="1", event="edit", revision=7), "test")
    publisher.drain()
    read = [Post.from_bytes(record.value) for record in posts(bootstrap, 5)]
    assert [post.revision for post in read] == [0, NOW_MS, NOW_MS + 1, NOW_MS + 2, 7]
    assert [post.event for post in read] == ["create", "edit", "edit", "delete", "edit"]


def test_a_file_that_is_read_again_gives_its_edits_and_deletes_the_same_revisions(bootstrap: str) -> None:
    written = NOW - timedelta(days=2)
    states = ("create", "edit", "delete")
    for reading in (NOW, NOW + timedelta(hours=3)):
        again = PostPublisher({"bootstrap_servers": bootstrap}, idempotent=False, now=partial(max, reading, written))
        for event in states:
            again.put(found(id="1", event=event)._replace(as_of=written), "file:posts.jsonl")
        again.drain()
        again.close()
    read = [(post.event, post.revision) for post in (Post.from_bytes(record.value) for record in posts(bootstrap, 6))]
    assert read[:3] == read[3:]
    assert [revision for _, revision in read[:3]] == [0, NOW_MS - 172_800_000, NOW_MS - 172_800_000 + 1]


def test_an_edit_and_a_delete_of_one_second_are_two_and_an_older_one_stays_older(
    publisher: PostPublisher, bootstrap: str
) -> None:
    second = NOW.replace(microsecond=0)
    for event, at in (("edit", second), ("delete", second), ("edit", second - timedelta(seconds=5))):
        publisher.put(found(id="1", event=event, received_at=at), "test")
    publisher.drain()
    edit, delete, late = (Post.from_bytes(record.value).revision for record in posts(bootstrap, 3))
    assert late < edit < delete


def test_an_edit_that_its_sender_repeats_is_no_second_one(publisher: PostPublisher, bootstrap: str) -> None:
    ended: list[Exception | None] = []
    for text in ("Hello", "Hello", "Hello again"):
        post = found(id="1", event="edit", text=text, received_at=NOW).post
        publisher.offer([post], "door", ended.append)
        publisher.drain()
    first, repeated, other = (Post.from_bytes(record.value).revision for record in posts(bootstrap, 3))
    assert first == repeated < other


def test_a_delete_takes_along_nothing_of_the_post(publisher: PostPublisher, bootstrap: str) -> None:
    publisher.put(
        found(id="1", event="delete", text="call me on 0171 555", author={"handle": "ann"}, network="x"), "test"
    )
    publisher.drain()
    [record] = posts(bootstrap, 1)
    assert b"0171" not in record.value
    assert b"ann" not in record.value
    assert Post.from_bytes(record.value) == Post(
        id="1", event="delete", revision=NOW_MS, network="x", source="test", received_at=NOW
    )


def test_a_record_over_the_limit_becomes_a_dead_letter(publisher: PostPublisher, bootstrap: str) -> None:
    publisher.put(found(id="1", text="ä" * (MAX_RECORD_BYTES // 2)), "test")
    publisher.put(found(id="2"), "test")
    publisher.drain()
    assert [record.key for record in posts(bootstrap, 1)] == [b"2"]
    [record] = dead_letters(bootstrap, 1)
    letter = DeadLetter.from_kafka(record.key, record.value, record.headers)
    assert (letter.reason, letter.place, letter.value) == (DeadReason.TOO_LARGE, "posts.jsonl:1", b"raw")
    assert publisher.dead == {DeadReason.TOO_LARGE: 1}


def test_a_refused_line_lies_in_the_dead_letters_with_its_bytes(publisher: PostPublisher, bootstrap: str) -> None:
    raw = b"\xff\x00\x1b[31m"
    publisher.put(Refused(DeadReason.UNREADABLE_LINE, "a\nb:17", "no \ud800 text", raw), "test")
    cut = Refused(DeadReason.TOO_LARGE, "a:18", "long", b"x" * MAX_RECORD_BYTES, Extent(10**9, "f" * 64))
    publisher.put(cut, "test")
    publisher.drain()
    letters = {
        letter.reason: letter
        for letter in (DeadLetter.from_kafka(r.key, r.value, r.headers) for r in dead_letters(bootstrap, 2))
    }
    unreadable, large = letters[DeadReason.UNREADABLE_LINE], letters[DeadReason.TOO_LARGE]
    assert (unreadable.stage, unreadable.place, unreadable.value) == ("ingest", "a\nb:17", raw)
    assert (unreadable.size, unreadable.sha256) == (len(raw), sha256(raw).hexdigest())
    assert (large.size, large.sha256, len(large.value)) == (10**9, "f" * 64, MAX_RECORD_BYTES)


def test_no_more_than_a_bounded_number_waits(publisher: PostPublisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unacknowledged, "MAX_WAITING", 50)
    most = 0
    for number in range(2000):
        publisher.put(found(id=str(number)), "test")
        most = max(most, len(publisher._waiting))
    assert most <= 50
    publisher.drain()
    assert not publisher._waiting


def test_an_offer_has_ended_once_the_last_of_it_is_acknowledged(
    publisher: PostPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures = [Future() for _ in range(3)]
    handed = iter(futures)
    monkeypatch.setattr(publisher, "_hand_over", lambda *_: next(handed))
    ended: list[Exception | None] = []
    publisher.offer([Post(id=str(number), text="Hello") for number in range(3)], "test", ended.append)
    for future in (futures[2], futures[0]):
        future.success(None)
        assert ended == []
    assert publisher.offers_wait_s() > 0
    futures[1].success(None)
    assert ended == [None]
    assert publisher.offers_wait_s() == 0


def test_what_waits_is_told_without_the_lock_and_a_source_that_waits_for_room_moves(
    publisher: PostPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unacknowledged, "MAX_WAITING", 2)
    monkeypatch.setattr(publish, "TICK_S", 0.01)
    futures = [FutureRecordMetadata(FutureProduceResult(None), 0, 0, None, 0, 0, 0) for _ in range(3)]
    handed = iter(futures)
    monkeypatch.setattr(publisher, "_hand_over", lambda *_: next(handed))

    def read() -> None:
        for number in range(3):
            publisher.put(found(id=str(number)), "test")

    source = threading.Thread(target=read, name="source test")
    assert (publisher.waiting(), publisher.putting()) == ({}, {})
    source.start()
    seen: set[tuple[str, int]] = set()
    while len(seen) < 3:
        if publisher.waiting() == {"records of the sources": 1}:
            seen |= publisher.putting().items()
    assert {name for name, _ in seen} == {"source test"}
    futures[1].success(None)
    with publisher._lock:
        assert publisher.waiting() == {"records of the sources": 1}
    futures[0].success(None)
    source.join(60)
    assert (publisher.waiting(), publisher.putting()) == ({"records of the sources": 3}, {})
    futures[2].success(None)
    assert publisher.waiting() == {}


def test_an_offer_of_which_one_record_is_refused_has_failed_and_so_has_the_publisher(
    publisher: PostPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures = [Future() for _ in range(2)]
    handed = iter(futures)
    monkeypatch.setattr(publisher, "_hand_over", lambda *_: next(handed))
    ended: list[Exception | None] = []
    publisher.offer([Post(id=str(number), text="Hello") for number in range(2)], "test", ended.append)
    futures[0].failure(error := ValueError("never"))
    futures[1].success(None)
    assert ended == [error]
    for use in (publisher.settle, publisher.offers_wait_s, publisher.drain):
        with pytest.raises(PublishFailed, match="refused a record for good"):
            use()


def test_what_is_acknowledged_makes_room_for_the_next_offer_and_is_told_with_its_time(
    publisher: PostPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unacknowledged, "MAX_WAITING", 1)
    futures = [Future() for _ in range(2)]
    handed = iter(futures)
    monkeypatch.setattr(publisher, "_hand_over", lambda *_: next(handed))
    offer = partial(publisher.offer, [Post(id="1", text="Hello")], "door", lambda _: None)
    offer()
    with pytest.raises(Busy):
        offer()
    told = [publisher.last_acknowledged]
    futures[0].success(None)
    offer()
    told.append(publisher.last_acknowledged)
    assert [moment is None for moment in told] == [True, False]
    assert publisher.offered == 2
    futures[1].success(None)
    publisher.drain()


def test_what_was_put_and_what_was_offered_are_both_waited_for(
    publisher: PostPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures = [Future() for _ in range(2)]
    handed = iter(futures)
    monkeypatch.setattr(publisher, "_hand_over", lambda *_: next(handed))
    publisher.put(found(id="1"), "test")
    publisher.offer([Post(id="2", text="Hello")], "door", lambda _: None)
    with pytest.raises(PublishFailed, match="2 records were not acknowledged in time"):
        publisher.drain(give_up=lambda: True)
    for future in futures:
        future.success(None)
    publisher.drain()


def test_of_an_offer_with_a_post_that_is_too_large_nothing_is_sent(publisher: PostPublisher) -> None:
    posts_ = [Post(id="1", text="Hello"), Post(id="2", text="x" * MAX_RECORD_BYTES)]
    with pytest.raises(PostTooLarge) as error:
        publisher.offer(posts_, "test", lambda _: None)
    assert error.value.index == 1
    assert (publisher.offered, publisher.unacknowledged) == (0, 0)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_without_a_broker_it_does_not_start(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "kafka")  # a captured traceback would keep the client's sockets
    with pytest.raises(PublishFailed, match="no answer from"):
        PostPublisher({"bootstrap_servers": f"127.0.0.1:{free_port()}"}, idempotent=False, start_timeout_s=0.5)
    gc.collect()  # the client leaves those of refused connections to the garbage collector


def test_it_starts_by_the_one_broker_that_answers(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "TRY_S", 0.5)
    with ExitStack() as held:
        silent = [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(4)]
        brokers = [*(f"127.0.0.1:{port}" for port in silent), bootstrap]
        publisher = PostPublisher({"bootstrap_servers": brokers}, idempotent=False)
        publisher.put(found(id="1"), "test")
        publisher.drain()
        publisher.close()


@pytest.mark.filterwarnings("ignore:unclosed <(ssl|socket):ResourceWarning")
def test_a_broker_that_answers_no_handshake_is_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "kafka")
    monkeypatch.setattr(producer, "TRY_S", 0.5)
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = {"bootstrap_servers": f"127.0.0.1:{silent.getsockname()[1]}", "security_protocol": "SSL"}
        with pytest.raises(PublishFailed, match="no answer from"):
            PostPublisher(connection, idempotent=False, start_timeout_s=1.0)
    assert time.monotonic() - began < 10
    gc.collect()


@pytest.mark.kafka
@pytest.mark.long
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_partition_without_a_leader_is_waited_for_without_haste(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if reason := why_no_kafka():
        pytest.skip(f"NOT TESTED ON APACHE KAFKA: {reason}")
    caplog.set_level(logging.CRITICAL, "kafka")  # a captured traceback would keep the client's sockets
    rounds: list[float] = []
    once = Sender.run_once

    def noted(sender: Sender) -> None:
        rounds.append(time.monotonic())
        once(sender)

    with ExitStack() as running:
        first, second = (running.enter_context(node) for node in kafka_cluster(tmp_path, 2))
        ensure_topics(KafkaSettings(brokers=(first.bootstrap,)), [])
        publisher = PostPublisher({"bootstrap_servers": first.bootstrap}, idempotent=True)
        second.kill()
        for number in range(40):
            publisher.put(found(id=str(number)), "test")
        places = [TopicPartition(topics.POSTS, partition) for partition in range(4)]
        while all(publisher._producer._metadata.leader_for_partition(place) != -1 for place in places):
            publisher.settle()
        monkeypatch.setattr(Sender, "run_once", noted)
        while len(rounds) < 200:
            publisher.settle()
        assert rounds[-1] - rounds[0] > 1
        second.start()
        publisher.drain()
        publisher.close()
    gc.collect()  # the client leaves those of refused connections to the garbage collector


@pytest.mark.kafka
def test_without_topics_it_does_not_start_and_makes_none(new_kafka: Callable[..., KafkaProcess]) -> None:
    node = new_kafka(properties={"auto.create.topics.enable": "true"})
    with pytest.raises(PublishFailed, match=r"the topic plaint\.posts can't be used"):
        PostPublisher({"bootstrap_servers": node.bootstrap}, idempotent=True, start_timeout_s=0.5)
    with open_admin(KafkaSettings(brokers=(node.bootstrap,)), 10) as admin:
        assert admin.list_topics() == []

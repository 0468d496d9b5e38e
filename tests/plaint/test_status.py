"""A status out of Kafka alone, on both brokers: who is in a group, what waits for how long, what is open, what died."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from plaint.diagnosis import status as looking
from plaint.diagnosis.judgement import judged
from plaint.diagnosis.status import StageStatus, look
from plaint.kafka.admin import open_admin
from plaint.kafka.backlog import backlogs
from plaint.kafka.publisher import OutRecord, Publisher
from plaint.kafka.reading import TopicReader
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topic_states import TopicState, topic_states
from plaint.kafka.topics import ensure_topics
from plaint.settings import Settings
from route.delivery.entry import final_record, open_record
from schemas import topics
from schemas.deadletter import DeadLetter, Replayed
from schemas.faults import Unavailable
from schemas.reasons import DeadReason
from schemas.ticket import Ticket, ticket_key
from tests.support.command import plaint
from tests.support.kafka_process import KafkaProcess, kafka_cluster, why_no_kafka


def settings(bootstrap: str) -> KafkaSettings:
    return KafkaSettings(brokers=(bootstrap,), idempotent_producer=False, session_timeout_s=6, heartbeat_s=1)


async def write(kafka: KafkaSettings, *written: OutRecord) -> None:
    publisher = Publisher(kafka)
    await publisher.start()
    await publisher.publish(written)
    await publisher.stop()


@asynccontextmanager
async def member(kafka: KafkaSettings, name: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Somebody in the group of a destination's deliver stage who acknowledges only what the test says."""
    consumer = AIOKafkaConsumer(
        topics.tickets(name),
        **kafka.connection(),
        group_id=topics.group(f"deliver-{name}"),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=500,
        session_timeout_ms=6000,
        heartbeat_interval_ms=1000,
    )
    await consumer.start()
    try:
        while not consumer.assignment():
            await consumer.getmany(timeout_ms=200)
        yield consumer
    finally:
        await consumer.stop()


def log_record(number: int, received: datetime, *, done: bool = False) -> tuple[bytes, bytes]:
    key = ticket_key(f"post:{number}", "any")
    if done:
        return final_record(key, "done", epoch=0, revision=0, op="create", created=True, at=time.time())
    body = Ticket(key=key, op="create", revision=0, destination="any", post_id="p", received_at=received).to_bytes()
    now = time.time()
    return open_record(
        key, "accepted", epoch=0, revision=0, op="create", attempt=1, due=now, created=False, at=now, body=body
    )


async def seen(kafka: KafkaSettings, name: str) -> StageStatus:
    found = await look(kafka, [name], [])
    [one] = [stage for stage in found.stages if stage.destination == name]
    return one


async def test_lag_is_told_by_partition_with_the_age_of_what_waits(broker: str, fresh: str) -> None:
    kafka = settings(broker)
    ensure_topics(kafka, [fresh])
    topic = topics.tickets(fresh)
    await write(kafka, *(OutRecord(topic, number % 2, b"k", b"{}") for number in range(6)))
    async with member(kafka, fresh) as consumer:
        await consumer.commit({TopicPartition(topic, 0): 1, TopicPartition(topic, 1): 3})
        found = await backlogs(kafka, {(topic, 0): 1, (topic, 1): 3, (topic, 2): None}, 10)
        assert {place[1]: (part.lag, part.oldest_at is None) for place, part in found.items()} == {
            0: (2, False),
            1: (0, True),
            2: (0, True),
        }


async def test_a_member_that_acknowledges_nothing_is_told_from_one_that_works(
    broker: str, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "WATCH_S", 1.0)
    kafka = settings(broker)
    ensure_topics(kafka, [fresh])
    topic = topics.tickets(fresh)
    await write(kafka, *(OutRecord(topic, 0, b"k", b"{}") for _ in range(3)))
    async with member(kafka, fresh) as consumer:
        stuck = await seen(kafka, fresh)
        assert (stuck.processes, stuck.lag, stuck.moves) == (1, 3, False)
        committing = asyncio.create_task(_commit_on(consumer, TopicPartition(topic, 0)))
        monkeypatch.setattr(looking, "WATCH_S", 60.0)
        assert (await seen(kafka, fresh)).moves is True
        committing.cancel()


async def _commit_on(consumer: AIOKafkaConsumer, tp: TopicPartition) -> None:
    for offset in cycle((1, 2)):
        await consumer.commit({tp: offset})
        await asyncio.sleep(0.5)


async def test_open_tickets_and_late_dead_letters_are_counted_and_nobody_is_there(broker: str, fresh: str) -> None:
    kafka = settings(broker)
    ensure_topics(kafka, [fresh])
    log = topics.deliveries(fresh)
    received = datetime.now(UTC) - timedelta(minutes=10)
    steps = [log_record(1, received), log_record(2, received), log_record(2, received, done=True)]
    letter = DeadLetter.of(DeadReason.REFUSED, "deliver", f"{log}[0]@3", "410 gone", b"{}", b"k")
    dead = OutRecord(topics.DEAD_LETTERS, 0, letter.key, letter.value, letter.headers())
    await write(kafka, *(OutRecord(log, 0, key, value) for key, value in steps), dead)
    found = judged(await look(kafka, [fresh], []))
    [one] = [stage for stage in found.stages if stage.destination == fresh]
    assert (one.processes, one.open_tickets) == (0, 1)
    assert one.oldest_undelivered_s == pytest.approx(600, abs=60)
    assert [(tally.reason, tally.count, tally.newest) for tally in one.dead] == [("refused", 1, "410 gone")]
    mine = [finding.what for finding in found.findings if finding.place == one.name]
    assert any("no process does its work" in what for what in mine)
    assert any("410 gone" in what for what in mine)


async def test_a_dead_letter_that_was_sent_again_counts_no_more(tansu: str, fresh: str) -> None:
    kafka = settings(tansu)
    ensure_topics(kafka, [fresh])
    place = f"{topics.deliveries(fresh)}[0]@3"
    letters = [DeadLetter.of(DeadReason.REFUSED, "deliver", place, "410 gone", b"{}", b"k") for _ in range(2)]
    written = [OutRecord(topics.DEAD_LETTERS, 1, one.key, one.value, one.headers()) for one in letters]
    publisher = Publisher(kafka)
    await publisher.start()
    first, _ = await publisher.append(topics.DEAD_LETTERS, 1, written)
    mark = Replayed(letter=f"1@{first}", place="plaint.posts[0]@9", at=datetime.now(UTC))
    await publisher.append(topics.DEAD_LETTERS, 1, [OutRecord(topics.DEAD_LETTERS, 1, b"k", b"", mark.headers())])
    await publisher.stop()
    assert [tally.count for tally in (await seen(kafka, fresh)).dead] == [1]


@pytest.mark.kafka
async def test_a_topic_that_is_missing_is_named_and_not_made_and_hides_nothing_else(
    new_kafka: Callable[..., KafkaProcess],
) -> None:
    kafka = settings(new_kafka(properties={"auto.create.topics.enable": "true"}).bootstrap)
    ensure_topics(kafka, [], only=[topics.POSTS, topics.DEAD_LETTERS])
    letter = DeadLetter.of(DeadReason.INVALID_JSON, "classify", f"{topics.POSTS}[0]@0", "no JSON", b"{", b"k")
    post = OutRecord(topics.POSTS, 0, b"k", b"{}")
    await write(kafka, post, OutRecord(topics.DEAD_LETTERS, 0, letter.key, letter.value, letter.headers()))
    found = await look(kafka, ["helpdesk"], [])
    assert [(one.place, one.what) for one in found.findings] == [
        (topics.TRIAGED, "is missing"),
        (topics.tickets("helpdesk"), "is missing"),
        (topics.deliveries("helpdesk"), "is missing"),
    ]
    assert "`plaint topics --create`" in found.findings[0].mend
    stages = {stage.name: stage for stage in found.stages}
    assert {name: stage.lag for name, stage in stages.items()} == {
        "classify": 1,
        "route": None,
        "deliver-helpdesk": None,
    }
    assert [tally.count for tally in stages["classify"].dead] == [1]
    with open_admin(kafka, 10) as admin:
        assert {name for name in admin.list_topics() if name.startswith("plaint.")} == {
            topics.POSTS,
            topics.DEAD_LETTERS,
        }


async def test_a_partition_that_nobody_leads_is_named_and_hides_no_other(
    tansu: str, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka, topic = settings(tansu), topics.tickets(fresh)
    ensure_topics(kafka, [fresh])
    await write(kafka, *(OutRecord(topic, number, b"k", b"{}") for number in range(4)))

    def without_a_leader(*asked: Any) -> list[TopicState]:
        found = topic_states(*asked)
        return [one.model_copy(update={"leaderless": (2,)}) if one.name == topic else one for one in found]

    monkeypatch.setattr(looking, "topic_states", without_a_leader)
    found = await look(kafka, [fresh], [])
    assert [(one.place, "nobody leads partition 2" in one.what) for one in found.findings] == [(topic, True)]
    assert found.stages[-1].lags == {0: 1, 1: 1, 3: 1}


@pytest.mark.kafka
@pytest.mark.long
async def test_partitions_that_went_with_their_broker_are_named_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := why_no_kafka():
        pytest.skip(f"NOT TESTED ON APACHE KAFKA: {reason}")
    with ExitStack() as running:
        first, second = (running.enter_context(node) for node in kafka_cluster(tmp_path, 2))
        kafka = settings(first.bootstrap)
        ensure_topics(kafka, ["helpdesk"])
        second.kill()
        desk = {"url": "http://127.0.0.1:9/hook", "secret_file": "none"}
        own = Settings.model_validate({"kafka": kafka, "destinations": {"helpdesk": desk}})
        async with asyncio.timeout(240):  # the other one needs a moment to see that it is gone
            while True:
                done = await asyncio.to_thread(plaint, "status", "--json", cwd=tmp_path, settings=own.environment())
                found = [one for one in json.loads(done.stdout)["findings"] if not _idle(one)]
                lost = {one["place"] for one in found if "nobody leads partition" in one["what"]}
                if {topics.DEAD_LETTERS, topics.deliveries("helpdesk")} <= lost and len(lost) == len(found):
                    break
        async with TopicReader(kafka) as reader:
            monkeypatch.setattr(reader._consumer, "_request_timeout_ms", 1000)
            with pytest.raises(Unavailable, match="`plaint doctor brokers topics` names what nobody leads"):
                await anext(reader.scan(await reader.partitions([topics.DEAD_LETTERS])))


def _idle(finding: dict[str, str]) -> bool:
    return "no process does its work" in finding["what"]


async def test_a_broker_that_is_away_is_a_finding_and_no_failure() -> None:
    found = await look(settings("127.0.0.1:1"), ["helpdesk"], ["http://127.0.0.1:1"])
    assert [finding.place for finding in found.findings] == ["kafka", "http://127.0.0.1:1"]
    assert "refused" in found.findings[0].what
    assert "`plaint doctor`" in found.findings[0].mend
    assert [stage.processes for stage in found.stages] == [None, None, None]

"""The router: the first triage of a revision makes the tickets, whoever reads it, however often."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer

from plaint.kafka.lookback import read_stretch
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from plaint.workers.route import RouteStage
from plaint.workers.stage import Dropped, InRecord, Outcome, Result, Stretch
from route.rules import RouteTable
from schemas import topics
from schemas.labels import Intent
from schemas.post import Author, Event, Post
from schemas.reasons import DropReason
from schemas.ticket import Ticket, ticket_partition
from schemas.triage import Triage

DESTINATIONS = ("helpdesk", "service", "marketing")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def stage(remember: int = 100) -> RouteStage:
    return RouteStage(RouteTable.load(None, DESTINATIONS), 4, remember)


def triaged(offset: int, id_: str, intent: Intent, revision: int = 0, event: Event = "create") -> InRecord:
    post = Post(id=id_, text="the parcel is late", revision=revision, event=event)
    triage = Triage(post=post, intent=intent, confidence=0.9, urgency=2, triaged_at=NOW)
    return InRecord(topics.TRIAGED, 1, offset, id_.encode(), triage.to_bytes(), 0.0)


def asked(outcomes: Iterable[Outcome]) -> list[tuple[str, str]]:
    """Topic and operation of all that is written."""
    records = [record for outcome in outcomes if isinstance(outcome, Result) for record in outcome.records]
    return [(record.topic, Ticket.from_bytes(record.value).op) for record in records]


def test_a_second_triage_that_wavers_makes_no_second_ticket() -> None:
    router = stage()
    first = [triaged(0, "x:1", Intent.COMPLAINT)]
    assert asked(router.process(first)) == [("plaint.tickets.service", "create")]
    router.took(first)
    assert router.process([triaged(1, "x:1", Intent.PRAISE)]) == [Dropped(DropReason.REPEATED)]


def test_a_replayed_triage_makes_its_tickets_although_the_worker_has_read_it_before() -> None:
    """It was refused by a fault that is mended: a worker that took over since has read it as one that was dealt with."""
    router = stage()
    router.remember([triaged(0, "x:1", Intent.COMPLAINT), triaged(1, "x:2", Intent.COMPLAINT, revision=3)])
    again = replace(triaged(2, "x:1", Intent.COMPLAINT), is_replay=True)
    assert asked(router.process([again])) == [("plaint.tickets.service", "create")]
    stale = replace(triaged(3, "x:2", Intent.COMPLAINT, revision=1), is_replay=True)
    assert router.process([stale]) == [Dropped(DropReason.STALE_REVISION)]


def test_a_second_triage_in_the_same_batch_makes_no_second_ticket() -> None:
    found = stage().process([triaged(0, "x:1", Intent.COMPLAINT), triaged(1, "x:1", Intent.PRAISE)])
    assert asked(found) == [("plaint.tickets.service", "create")]
    assert found[1] == Dropped(DropReason.REPEATED)


def test_a_batch_that_was_processed_in_vain_is_not_counted() -> None:
    router = stage()
    batch = [triaged(0, "x:1", Intent.COMPLAINT), triaged(1, "x:2", Intent.OTHER)]
    router.process(batch)  # as a whole, and then each alone
    for record in batch:
        router.process([record])
        router.took([record])
    assert router.tickets == {"service": 1}
    assert router.unrouted == {("other", "other"): 1}


def test_posts_that_no_rule_sends_anywhere_are_counted_also_without_an_intent_and_of_an_account_of_ones_own() -> None:
    router = stage()
    record = triaged(0, "x:1", Intent.OTHER)
    other = Triage.from_bytes(record.value)
    own = other.model_copy(
        update={"post": other.post.model_copy(update={"id": "x:2", "author": Author(own_account=True)})}
    )
    bare = Triage(post=Post(id="x:3", text="the parcel is late"), triaged_at=NOW)
    batch = [replace(record, value=one.to_bytes()) for one in (other, own, bare)]
    router.process(batch)
    router.took(batch)
    assert router.unrouted == {("other", "other"): 1, ("other", "own"): 1, ("none", "other"): 1}


def test_what_was_not_acknowledged_is_made_again() -> None:
    router = stage()
    batch = [triaged(0, "x:1", Intent.COMPLAINT)]
    router.process(batch)  # publishing fails, the batch is read again
    assert asked(router.process(batch)) == [("plaint.tickets.service", "create")]


def test_an_edit_moves_the_ticket_and_an_older_revision_moves_nothing_back() -> None:
    router = stage()
    found = router.process(
        [
            triaged(0, "x:1", Intent.COMPLAINT),
            triaged(1, "x:1", Intent.PRAISE, revision=5, event="edit"),
            triaged(2, "x:1", Intent.COMPLAINT, revision=3, event="edit"),
        ]
    )
    assert asked(found[1:2]) == [
        ("plaint.tickets.marketing", "update"),
        ("plaint.tickets.helpdesk", "withdraw"),
        ("plaint.tickets.service", "withdraw"),
    ]
    assert found[2] == Dropped(DropReason.STALE_REVISION)


@pytest.mark.parametrize("are_in_one_batch", [True, False])
def test_a_later_state_that_its_source_does_not_call_an_edit_moves_the_ticket_too(are_in_one_batch: bool) -> None:
    router = stage()
    first, later = triaged(0, "x:1", Intent.COMPLAINT, revision=1), triaged(1, "x:1", Intent.PRAISE, revision=2)
    if are_in_one_batch:
        found = router.process([first, later])[1:]
    else:
        router.process([first])
        router.took([first])
        found = router.process([later])
    assert asked(found) == [
        ("plaint.tickets.marketing", "update"),
        ("plaint.tickets.helpdesk", "withdraw"),
        ("plaint.tickets.service", "withdraw"),
    ]


def test_a_worker_that_takes_over_moves_a_ticket_as_the_one_before_it_would_have() -> None:
    router = stage()
    router.remember([triaged(0, "x:1", Intent.COMPLAINT, revision=1)])
    found = router.process([triaged(1, "x:1", Intent.OTHER, revision=2)])
    assert {op for _, op in asked(found)} == {"withdraw"}


def test_a_worker_that_takes_over_reads_what_stands_before_its_first_record() -> None:
    router = stage(remember=100)
    assert router.unknown([triaged(250, "x:9", Intent.PRAISE), triaged(251, "x:8", Intent.PRAISE)]) == [
        Stretch(1, 150, 250)
    ]
    router.remember([triaged(200, "x:1", Intent.COMPLAINT)])
    taken = [triaged(250, "x:1", Intent.PRAISE)]
    assert router.process(taken) == [Dropped(DropReason.REPEATED)]
    router.took(taken)
    assert router.unknown([triaged(251, "x:2", Intent.PRAISE)]) == []
    assert router.unknown([triaged(240, "x:2", Intent.PRAISE)]) == []
    assert router.unknown([triaged(300, "x:2", Intent.PRAISE)]) == [Stretch(1, 251, 300)]


def test_a_ticket_keeps_its_partition_by_its_own_key() -> None:
    (result,) = stage().process([triaged(0, "x:1", Intent.COMPLAINT)])
    assert isinstance(result, Result)
    record = result.records[0]
    assert record.key is not None
    assert record.partition == ticket_partition(record.key.decode(), 4)


async def test_a_stretch_is_read_again_from_any_broker(broker: str, fresh: str) -> None:
    kafka = KafkaSettings(brokers=(broker,), idempotent_producer=False)
    ensure_topics(kafka, [fresh])
    topic = topics.tickets(fresh)
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    for number in range(30):
        await producer.send_and_wait(topic, b"%d" % number, partition=2)
    await producer.stop()
    found = await read_stretch(kafka, topic, 2, 5, 25)
    assert [record.value for record in found] == [b"%d" % number for number in range(5, 25)]


@pytest.mark.parametrize("value", [b"", b"{", b"[]"])
def test_garbage_in_a_stretch_is_passed_over(value: bytes) -> None:
    router = stage()
    router.remember([InRecord(topics.TRIAGED, 1, 5, None, value, 0.0)])
    assert asked(router.process([triaged(6, "x:1", Intent.COMPLAINT)])) == [("plaint.tickets.service", "create")]

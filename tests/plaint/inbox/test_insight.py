"""What the inbox reads from Kafka for whoever types: verdicts while the form is shown, nothing before; on each broker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from plaint.board.urgent import UrgentPosts
from plaint.inbox import insight as module
from plaint.inbox.insight import KafkaInsight
from plaint.inbox.outcome import TYPED, Verdict
from plaint.kafka.publisher import OutRecord
from plaint.kafka.reading import Stored, TopicReader, partition_of
from plaint.lookup.routes import FreshTable
from schemas.faults import Unavailable
from schemas.post import Post
from schemas.topics import POSTS, TRIAGED
from schemas.triage import Triage
from tests.plaint.delivering import kafka_settings, make_topics, write
from tests.plaint.inbox.peer import until
from tests.plaint.inbox.way import QUEUES
from tests.plaint.looking import asked, ticket_of

PARTITIONS = 4


@pytest.fixture
async def kafka_insight(broker: str, fresh: str) -> AsyncIterator[KafkaInsight]:
    await make_topics(broker, fresh)
    made = KafkaInsight(kafka_settings(broker), FreshTable(None, QUEUES))
    yield made
    await made.close()


def reading(insight: KafkaInsight) -> "asyncio.Task[None] | None":
    return insight._reading


async def triage(broker: str, post_id: str, post: dict[str, Any] | None = None, **fields: Any) -> None:
    """Have classify say this of a post."""
    whole = {"intent": "complaint", "confidence": 0.9, "triaged_at": datetime.now(UTC), **fields}
    said = Triage.model_validate(
        {"post": Post(**{"id": post_id, "text": f"text of {post_id}", **(post or {})}), **whole}
    )
    key = post_id.encode()
    await write(broker, [OutRecord(TRIAGED, partition_of(key, PARTITIONS), key, said.to_bytes())])


async def verdict_of(insight: KafkaInsight, post_id: str) -> Verdict:
    async def is_told() -> bool:
        return insight.verdict(post_id) is not None

    await until(is_told, timeout=60)
    found = insight.verdict(post_id)
    assert found is not None
    return found


async def test_a_verdict_is_told_of_what_is_typed_while_the_form_is_looked_at(
    kafka_insight: KafkaInsight, broker: str, fresh: str
) -> None:
    kafka_insight.expect()
    key = f"{TYPED}{fresh}".encode()
    await write(broker, [OutRecord(TRIAGED, 0, key, b"no triage")])
    await triage(broker, f"other:{fresh}")
    await triage(broker, f"{TYPED}{fresh}-1", intent="other")
    await triage(broker, f"{TYPED}{fresh}-2", urgent=True, urgency=4)
    found = await verdict_of(kafka_insight, f"{TYPED}{fresh}-2")
    assert (found.triage.urgent, found.routed.rule, found.routed.destinations) == (
        True,
        "urgent-complaints",
        ("helpdesk",),
    )
    found = await verdict_of(kafka_insight, f"{TYPED}{fresh}-1")
    assert (found.routed.rule, found.routed.destinations) == ("rest", ())
    assert kafka_insight.verdict(f"other:{fresh}") is None


async def test_nothing_is_read_unless_somebody_looks_and_not_for_long_after(
    kafka_insight: KafkaInsight, broker: str, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.5)
    assert reading(kafka_insight) is None
    kafka_insight.expect()
    begun = reading(kafka_insight)
    assert begun is not None
    await asyncio.wait_for(begun, 60)
    monkeypatch.setattr(module, "IDLE_S", 60)
    await triage(broker, f"{TYPED}{fresh}-3")
    assert kafka_insight.verdict(f"{TYPED}{fresh}-3") is None
    kafka_insight.expect()  # and what came a moment before is found
    assert (await verdict_of(kafka_insight, f"{TYPED}{fresh}-3")).triage.post.text == f"text of {TYPED}{fresh}-3"


async def test_a_story_is_told_of_any_post(kafka_insight: KafkaInsight, broker: str, fresh: str) -> None:
    key = f"at://{fresh}".encode()
    post = Post(id=key.decode(), text="my router is dead")
    await write(broker, [OutRecord(POSTS, partition_of(key, PARTITIONS), key, post.to_bytes())])
    found = await kafka_insight.explain(key.decode())
    assert [seen.text for seen in found.posts] == ["my router is dead"]
    assert not (await kafka_insight.explain(f"nobody-{fresh}")).found


async def test_a_story_tells_tickets_of_a_destination_that_was_removed_since(
    kafka_insight: KafkaInsight, broker: str, fresh: str
) -> None:
    former = f"former-{fresh}"
    await make_topics(broker, former)
    await write(broker, [asked(ticket_of(f"at://{fresh}", former))])
    found = await kafka_insight.explain(f"at://{fresh}")
    assert found.removed == (former,)


async def test_brokers_that_are_away_are_said_to_be_once_and_asked_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    asked = 0
    follow = KafkaInsight._follow

    async def counted(self: KafkaInsight, since: datetime) -> None:
        nonlocal asked
        asked += 1
        await follow(self, since)

    monkeypatch.setattr(KafkaInsight, "_follow", counted)
    away = KafkaInsight(kafka_settings("127.0.0.1:9"), FreshTable(None, QUEUES))
    away.expect()

    async def is_asked_again() -> bool:
        return asked >= 3

    await until(is_asked_again, timeout=60)
    with pytest.raises(Unavailable):
        await away.explain("post-1")
    await away.close()
    assert caplog.text.count("what classify says of typed posts can't be read") == 1


async def test_the_board_follows_what_is_urgent_and_nothing_else(broker: str, fresh: str) -> None:
    await make_topics(broker, fresh)
    await triage(broker, f"before-{fresh}", urgent=True, urgency=4)
    urgent = UrgentPosts(kafka_settings(broker))
    following = asyncio.create_task(urgent.follow())

    async def has_both() -> bool:
        return {f"text of before-{fresh}", f"text of after-{fresh}"} <= {post.text for post in urgent.newest}

    async def has_first() -> bool:
        return any(post.text == f"text of before-{fresh}" for post in urgent.newest)

    await until(has_first, timeout=60)
    await triage(broker, f"calm-{fresh}", urgent=False)
    await triage(broker, f"after-{fresh}", urgent=True, urgency=3)
    await until(has_both, timeout=60)
    assert urgent.newest[0].text == f"text of after-{fresh}"
    assert not any("calm" in post.text for post in urgent.newest)
    assert urgent.trouble == ""
    following.cancel()
    await asyncio.wait([following])


async def test_the_board_shows_a_post_once_as_it_is_now_and_a_deleted_one_no_more(broker: str, fresh: str) -> None:
    await make_topics(broker, fresh)
    urgent = UrgentPosts(kafka_settings(broker))
    following = asyncio.create_task(urgent.follow())
    for name in ("edited", "calmed", "deleted", "late"):
        await triage(broker, f"{name}-{fresh}", {"revision": 2 if name == "late" else 0}, urgent=True, urgency=4)
    edit = {"event": "edit", "revision": 1, "text": f"now it smokes {fresh}"}
    await triage(broker, f"edited-{fresh}", edit, urgent=True, urgency=4)
    await triage(broker, f"calmed-{fresh}", {**edit, "text": f"all is well {fresh}"}, urgent=False)
    await triage(broker, f"deleted-{fresh}", {"event": "delete", "revision": 1, "text": ""}, intent=None, urgent=False)
    await triage(broker, f"late-{fresh}", {"revision": 1}, urgent=False)

    async def is_as_it_is_now() -> bool:
        found = [post.text for post in urgent.newest if fresh in post.text]
        return sorted(found) == [f"now it smokes {fresh}", f"text of late-{fresh}"]

    await until(is_as_it_is_now, timeout=60)
    following.cancel()
    await asyncio.wait([following])


async def test_what_came_while_the_board_could_not_read_is_shown_afterwards(
    broker: str, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_topics(broker, fresh)
    monkeypatch.setattr("plaint.board.urgent.RETRY_S", 0.05)
    urgent = UrgentPosts(kafka_settings(broker))
    following = asyncio.create_task(urgent.follow())
    await triage(broker, f"before-{fresh}", urgent=True, urgency=4)

    def shows(name: str) -> Callable[[], Awaitable[bool]]:
        async def look() -> bool:
            return any(post.text == f"text of {name}-{fresh}" for post in urgent.newest)

        return look

    def says(trouble: str) -> Callable[[], Awaitable[bool]]:
        async def look() -> bool:
            return urgent.trouble == trouble

        return look

    failed: list[int] = []

    async def no_answer(*_: object, **__: object) -> list[Stored]:
        failed.append(1)
        raise Unavailable("no answer")

    def failed_times(count: int) -> Callable[[], Awaitable[bool]]:
        async def look() -> bool:
            return len(failed) >= count

        return look

    await until(shows("before"), timeout=60)
    with monkeypatch.context() as away:
        away.setattr(TopicReader, "_look", no_answer)
        await until(failed_times(1), timeout=60)
        await triage(broker, f"meanwhile-{fresh}", urgent=True, urgency=4)
        await until(failed_times(len(failed) + 2), timeout=60)
        await until(says("no answer"), timeout=60)
    await until(shows("meanwhile"), timeout=60)
    assert sum(post.text == f"text of before-{fresh}" for post in urgent.newest) == 1
    following.cancel()
    await asyncio.wait([following])

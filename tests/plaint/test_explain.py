"""Why a post has a ticket, or none: told from what the topics hold, on each broker."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from plaint.kafka.publisher import OutRecord
from plaint.kafka.reading import partition_of
from plaint.kafka.topics import ensure_topics
from plaint.lookup.explain import explain
from plaint.lookup.explain_text import lines
from plaint.lookup.explanation import Explanation
from plaint.terminal import one_line
from route.rules import RouteTable
from schemas import topics
from schemas.reasons import DeadReason, DropReason
from schemas.topics import REPLAYED_HEADER
from tests.plaint.delivering import PARTITIONS, kafka_settings, write
from tests.plaint.looking import AT, Log, asked, letter, post, ticket_of, triage
from tests.system.hostile import TEXTS, hostile_post

DESTINATIONS = ("helpdesk", "service", "marketing")


class Desk:
    """A broker that holds what a test has written, asked about one post of its own."""

    def __init__(self, broker: str, post_id: str) -> None:
        self.broker = broker
        self.id = post_id

    async def told(
        self, *records: OutRecord, destinations: Sequence[str] = DESTINATIONS, removed: Sequence[str] = ()
    ) -> Explanation:
        await write(self.broker, records)
        table = RouteTable.load(None, DESTINATIONS)
        return await explain(kafka_settings(self.broker), destinations, table, self.id, removed=removed)

    async def acknowledge(self, place: str) -> None:
        """That route has settled the triage at ``place``."""
        partition, offset = map(int, re.findall(r"\d+", place))
        where = TopicPartition(topics.TRIAGED, partition)
        kafka = kafka_settings(self.broker)
        consumer = AIOKafkaConsumer(**kafka.connection(), group_id=topics.group("route"), enable_auto_commit=False)
        await consumer.start()
        try:
            consumer.assign([where])
            await consumer.commit({where: offset + 1})
        finally:
            await consumer.stop()


@pytest.fixture(scope="module")
def tansu_with_topics(tansu: str) -> str:
    """The embedded broker with the topics of the shipped routes."""
    ensure_topics(kafka_settings(tansu), DESTINATIONS)
    return tansu


@pytest.fixture
def desk(tansu_with_topics: str, fresh: str) -> Desk:
    return Desk(tansu_with_topics, f"x:{fresh}")


async def test_a_delivered_post_is_told_from_its_text_to_the_answer_of_the_helpdesk(broker: str, fresh: str) -> None:
    await asyncio.to_thread(ensure_topics, kafka_settings(broker), DESTINATIONS)
    desk = Desk(broker, f"x:{fresh}")
    one = ticket_of(desk.id, "helpdesk")
    log = Log(one)
    told = await desk.told(
        post(desk.id, author={"handle": "kara"}),
        post(desk.id),
        triage(desk.id),
        asked(one),
        log.owner(),
        log.open(),
        log.open("sending", 1),
        log.open("accepted", 1, AT + 30),
        log.open("sending", 2, AT + 30),
        log.end(attempt=2, status=201, remote_id="17", remote_url="https://desk.example/17"),
    )
    assert told.found
    assert told.summary == "complaint, urgent (urgency 4, critical); helpdesk: done (201) as 17"
    assert [seen.became for seen in told.posts] == ["triaged", "repeated"]
    assert told.posts[0].author == "kara"
    assert [part.name for part in told.labels[0].urgency_parts] == ["model", "safety"]
    assert told.routing is not None
    assert [(rule.rule, rule.took) for rule in told.routing.tried] == [
        ("own-posts", False),
        ("urgent-complaints", True),
    ]
    assert told.routing.tried[0].unmet == "post.author.own_account is false, wanted true"
    helpdesk, *others = told.tickets
    assert [step.state for step in helpdesk.steps] == ["accepted", "sending", "accepted", "sending", "done"]
    assert (helpdesk.requests, helpdesk.requests_lost, helpdesk.remote_url) == (2, 0, "https://desk.example/17")
    assert helpdesk.webhook_id == f"{one.key}-0"
    assert {life.state for life in others} == {"none"}
    assert [(drop.reason, drop.place) for drop in told.drops] == [("repeated", told.posts[1].place)]
    assert Explanation.model_validate_json(told.model_dump_json()) == told


async def test_an_unknown_post_is_said_to_be_unknown_with_what_to_check(desk: Desk) -> None:
    told = await desk.told()
    assert not told.found
    assert told.summary == "nothing is known of this post"
    assert any("plaint dead list --stage ingest" in line for line in told.check)


@pytest.mark.parametrize("key", [b"", None])
async def test_a_post_is_found_on_the_partition_that_a_foreign_producer_chose(desk: Desk, key: bytes | None) -> None:
    elsewhere = (partition_of(desk.id.encode(), PARTITIONS) + 1) % PARTITIONS
    told = await desk.told(post(desk.id, elsewhere, key), triage(desk.id, elsewhere))
    assert [seen.became for seen in told.posts] == ["triaged"]
    assert len(told.labels) == 1


async def test_each_record_that_gave_nothing_says_why(desk: Desk) -> None:
    told = await desk.told(
        post(desk.id, revision=4, event="edit"),
        post(desk.id, revision=2, event="edit"),
        post(desk.id, revision=5, text=" \u200b "),
        post(desk.id, revision=6, event="exploded"),
        OutRecord(topics.POSTS, partition_of(desk.id.encode(), PARTITIONS), desk.id.encode(), b"no JSON"),
        triage(desk.id, post={"revision": 4, "event": "edit"}),
        triage(desk.id, post={"revision": 4, "event": "edit"}),
    )
    assert [seen.became for seen in told.posts] == [
        "triaged",
        "stale_revision",
        "empty_text",
        "unknown_event",
        "invalid_json",
    ]
    assert [drop.reason for drop in told.drops] == ["stale_revision", "empty_text", "unknown_event", "repeated"]
    assert [label.counts for label in told.labels] == [True, False]


async def test_a_post_without_a_triage_waits_for_it(desk: Desk) -> None:
    told = await desk.told(post(desk.id))
    assert told.summary == "it waits for its triage"
    assert any("classify" in line for line in told.check)


async def test_what_no_rule_sends_anywhere_is_unrouted(desk: Desk) -> None:
    told = await desk.told(post(desk.id), triage(desk.id, intent="other", urgent=False, urgency=0))
    assert told.summary == "other (urgency 0, none); no ticket: unrouted"
    assert told.routing is not None
    assert told.routing.tried[-1].rule == "rest"
    assert [drop.reason for drop in told.drops] == ["unrouted"]


async def test_a_ticket_that_route_has_not_made_yet_is_missed(desk: Desk) -> None:
    told = await desk.told(post(desk.id), triage(desk.id))
    assert any("no ticket for helpdesk yet" in line for line in told.check)
    waiting = await desk.told(asked(ticket_of(desk.id, "helpdesk")))
    assert waiting.tickets[0].state == "asked"
    assert any("deliver worker" in line for line in waiting.check)


async def test_what_route_has_settled_by_other_routes_gets_no_ticket_any_more(broker: str, fresh: str) -> None:
    await asyncio.to_thread(ensure_topics, kafka_settings(broker), DESTINATIONS)
    desk = Desk(broker, f"x:{fresh}")
    waiting = await desk.told(post(desk.id), triage(desk.id))
    assert waiting.routing is not None
    assert waiting.routing.settled is False
    assert any("no ticket for helpdesk yet: is route running" in line for line in waiting.check)
    await desk.acknowledge(waiting.labels[-1].place)
    settled = await desk.told()
    assert settled.routing is not None
    assert settled.routing.settled is True
    [line] = [line for line in settled.check if "no ticket for helpdesk" in line]
    assert line == (
        "no ticket for helpdesk: route settled it by the routes of then, which have changed since; "
        "it gets none unless an edit comes"
    )
    refused = await desk.told(letter(settled.labels[-1].place, b"{}", desk.id.encode(), "route"))
    assert not any("no ticket for helpdesk" in line for line in refused.check), "its dead letter tells the mend"
    again = await desk.told(triage(desk.id, post={"revision": 1, "event": "edit"}))
    assert any("no ticket for helpdesk yet" in line for line in again.check), "route has not come to the edit"


async def test_a_ticket_of_a_destination_that_was_removed_since_is_told(desk: Desk) -> None:
    former, other = f"former-{desk.id[2:]}", f"other-{desk.id[2:]}"
    await asyncio.to_thread(ensure_topics, kafka_settings(desk.broker), [former, other])
    one = ticket_of(desk.id, former, rule="to-the-former")
    asked_for = await desk.told(post(desk.id), triage(desk.id), asked(one), removed=[former, other])
    assert asked_for.removed == (former,), "the other one never had a ticket of it"
    assert any(f"{former} is not in the settings" in line for line in asked_for.check)
    assert not any("deliver worker" in line for line in asked_for.check)
    told = await desk.told(Log(one).open(), Log(one).end(status=201, remote_id="17"), removed=[former, other])
    assert f"{former}: done (201) as 17" in told.summary
    assert any("the ticket was made by another rule" in line for line in told.unknown)


async def test_a_ticket_that_was_made_before_a_silence_tells_that_the_routes_have_changed(
    desk: Desk, tmp_path: Path
) -> None:
    silence = "{match: {intent: complaint}, until: 2026-05-02, by: ann, why: an outage that is known}"
    rule = "{name: rest, why: it is so, destinations: [helpdesk]}"
    (tmp_path / "routes.yaml").write_text(f"silences: [{silence}]\nrules: [{rule}]\n")
    await write(desk.broker, [post(desk.id), triage(desk.id), asked(ticket_of(desk.id, "helpdesk"))])
    table = RouteTable.load(tmp_path / "routes.yaml", DESTINATIONS)
    told = await explain(kafka_settings(desk.broker), DESTINATIONS, table, desk.id)
    assert told.routing is not None
    assert told.routing.silenced
    assert "no ticket" not in told.summary
    assert any("the routes have changed since" in line for line in told.unknown)


async def test_a_delete_to_which_its_producer_gave_no_revision_has_that_of_its_record(desk: Desk) -> None:
    at = 1_777_636_800_123
    deleted = post(desk.id, event="delete")._replace(timestamp=at)
    told = await desk.told(deleted, triage(desk.id, post={"event": "delete", "revision": at}))
    assert [(seen.revision, seen.became) for seen in told.posts] == [(at, "triaged")]


async def test_of_a_compacted_log_it_says_what_cannot_be_known_any_more(desk: Desk) -> None:
    one = ticket_of(desk.id, "helpdesk")
    told = await desk.told(triage(desk.id), Log(one).open("accepted", 3, AT + 600, status=401))
    assert any("after 3 requests, the last answered 401" in line for line in lines(told))
    life = told.tickets[0]
    assert (life.state, life.requests, life.requests_lost) == ("accepted", 0, 3)
    assert life.next_try is not None
    assert life.next_try.timestamp() == AT + 600
    text = "\n".join(told.unknown)
    assert "of 3 earlier requests only the number is known" in text
    assert "plaint.posts holds nothing of it" in text
    assert "what route asked for is gone" in text


async def test_a_late_word_of_a_stopped_owner_is_shown_and_does_not_count(desk: Desk) -> None:
    one = ticket_of(desk.id, "service")
    log = Log(one, epoch=10**6)
    told = await desk.told(log.open(), log.end(status=200), Log(one).open("sending", 1))
    service = told.tickets[1]
    assert service.state == "done"
    assert [step.counts for step in service.steps] == [True, True, False]


async def test_withdraws_of_what_never_was_are_no_tickets(desk: Desk) -> None:
    gone = ticket_of(desk.id, "service", op="withdraw", revision=1, text="")
    told = await desk.told(
        post(desk.id), post(desk.id, event="delete", revision=1, text=""), triage(desk.id, post={"revision": 0}),
        triage(desk.id, post={"revision": 1, "event": "delete", "text": ""}, intent=None, sentiment=None), asked(gone),
    )  # fmt: skip
    assert told.summary == "deleted"
    assert told.tickets[1].state == "none"
    assert [drop.reason for drop in told.drops] == ["nothing_to_withdraw"]


async def test_a_withdrawn_ticket_is_told_as_one_also_after_a_second_delete(desk: Desk) -> None:
    first, gone, again = (
        ticket_of(desk.id, "helpdesk", revision=revision, op=op)
        for revision, op in enumerate(("create", "withdraw", "withdraw"))
    )
    made = Log(first).end(status=201, remote_id="R-11")
    withdrawn = Log(gone).end(op="withdraw", created=False, status=200, remote_id="R-11")
    told = await desk.told(asked(first), made, asked(gone), withdrawn)
    assert told.summary == "helpdesk: withdrawn (200) as R-11"
    nothing = Log(again).end(op="withdraw", created=False, attempt=0, reason=DropReason.NOTHING_TO_WITHDRAW)
    told = await desk.told(asked(again), nothing)
    assert told.summary == "helpdesk: withdrawn before"


async def test_dead_letters_are_found_by_key_by_the_id_in_their_bytes_and_by_the_ticket(desk: Desk) -> None:
    one = ticket_of(desk.id, "helpdesk")
    id_ = desk.id.encode()
    await desk.told(
        letter("plaint.posts[0]@1", b'{"id":"other"}', b"another"),
        letter("a.jsonl:1", b'{"id":"%b-not"}' % id_, stage="ingest"),
        letter("plaint.posts[1]@2", b"garbage", id_, partition=1),
        letter("a.jsonl:7", b'{"id":"%b","followers":-1}' % id_, stage="ingest", partition=2),
        letter("a.jsonl:9", b'{"id":"%b", broken' % id_, stage="ingest", reason=DeadReason.INVALID_JSON, partition=3),
        letter("plaint.deliveries.helpdesk[0]@5", one.to_bytes(), one.key.encode(), "deliver", DeadReason.REFUSED),
        Log(one).open(),
        Log(one).end("dead", status=400, reason=DeadReason.REFUSED),
    )
    told = await desk.told()
    found = {held.place: held for held in told.dead_letters}
    assert {place: held.certain for place, held in found.items()} == {
        "plaint.posts[1]@2": True,
        "a.jsonl:7": True,
        "a.jsonl:9": False,
        "plaint.deliveries.helpdesk[0]@5": True,
    }
    assert told.tickets[0].state == "dead"
    dead = found["plaint.deliveries.helpdesk[0]@5"]
    assert (
        f"helpdesk: once what refused it is mended, plaint dead replay {dead.id} --force sends it again" in told.check
    )


async def test_a_replayed_triage_counts(desk: Desk) -> None:
    told = await desk.told(triage(desk.id), triage(desk.id, headers=[(REPLAYED_HEADER, b"1")]))
    assert [label.counts for label in told.labels] == [True, True]


async def test_an_unsure_label_says_why(desk: Desk) -> None:
    told = await desk.told(triage(desk.id, unsure=True, unsure_why=["confidence", "language"], language="de"))
    why = "the likeliest intent is not likely enough; the model was not measured in its language (de)"
    assert f"unsure: {why}" in [line.strip() for line in lines(told)]


async def test_topics_that_are_not_there_are_named(desk: Desk) -> None:
    absent = f"absent-{desk.id[2:]}"
    told = await desk.told(post(desk.id), destinations=(*DESTINATIONS, absent))
    assert f"plaint.tickets.{absent}, plaint.deliveries.{absent}" in told.unknown[0]


async def test_hostile_posts_steer_no_terminal(desk: Desk) -> None:
    first, records = desk.id, list[OutRecord]()
    for name in TEXTS:
        said = hostile_post(first, name)
        records += [post(said["id"], **{key: value for key, value in said.items() if key != "id"}), triage(said["id"])]
        records.append(letter(TEXTS[name], TEXTS[name].encode(), said["id"].encode()[:1024], TEXTS[name]))
        one = ticket_of(said["id"], "helpdesk", rule=TEXTS[name], team=TEXTS[name])
        records += [asked(one), Log(one).open(), Log(one).end(remote_id=TEXTS[name], remote_url=TEXTS[name])]
    await write(desk.broker, records)
    for name in TEXTS:
        desk.id = hostile_post(first, name)["id"]
        told = await desk.told()
        assert told.posts[0].text == TEXTS[name]
        assert told.dead_letters
        shown = list(lines(told))
        assert all(line.isprintable() for line in shown)
        assert one_line(TEXTS[name], 300) in "\n".join(shown)

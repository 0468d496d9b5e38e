"""Forgetting: what is held is found in every topic, deleted the way of every post, and what stays is told by real settings."""

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from plaint.commands.forget import forget
from plaint.forget import Held, HeldPost, deletes, erase, find, is_by, remains
from plaint.kafka.admin import open_admin
from plaint.kafka.publisher import OutRecord, Publisher
from plaint.kafka.reading import partition_of
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topic_states import TopicState, topic_states
from plaint.kafka.topics import ensure_topics
from plaint.send import Door, KafkaTopic
from plaint.settings import Settings
from plaint.workers.route import CANARY, RouteStage
from plaint.workers.stage import InRecord, Result, decoded, outcomes
from route.delivery.entry import open_record
from route.rules import RouteTable
from schemas import topics
from schemas.deadletter import DeadLetter
from schemas.post import Author, Post
from schemas.reasons import DeadReason
from schemas.ticket import Ticket, ticket_key
from schemas.triage import Triage
from tests.ingest.http_door import Door as OpenDoor
from tests.ingest.http_door import Shelf, open_door
from tests.support.command import plaint, shown, unheard
from tests.support.kafka_process import KafkaProcess
from tests.support.topic_reading import records

NOW = datetime.now(UTC)
SECRET_WORDS = "my neighbour's name is on the parcel"


@pytest.fixture
def fresh(fresh: str) -> str:
    """Good for the id of a destination."""
    return f"q{fresh}"


def settings(bootstrap: str) -> KafkaSettings:
    return KafkaSettings(brokers=(bootstrap,), idempotent_producer=False)


def post(id_: str, handle: str = "jo", **fields: object) -> Post:
    author = Author(id=f"did:{handle}", handle=handle)
    return Post.model_validate({"id": id_, "text": SECRET_WORDS, "network": "x", "author": author, **fields})


async def write(kafka: KafkaSettings, *written: OutRecord) -> None:
    publisher = Publisher(kafka)
    await publisher.start()
    await publisher.publish(written)
    await publisher.stop()


def everywhere(made: Post, queue: str, partition: int = 1) -> list[OutRecord]:
    """That post on its whole way, also as a dead letter of each kind."""
    key, ticket = made.id.encode(), ticket_key(made.id, queue)
    body = Ticket(
        key=ticket,
        op="create",
        revision=made.revision,
        destination=queue,
        post_id=made.id,
        text=made.text,
        network=made.network,
        author=made.author,
    ).to_bytes()
    now = time.time()
    accepted = open_record(
        ticket, "accepted", epoch=0, revision=0, op="create", attempt=0, due=now, created=False, at=now, body=body
    )
    letters = [
        DeadLetter.of(DeadReason.REFUSED, "deliver", "somewhere", "", body, ticket.encode()),
        DeadLetter.of(DeadReason.INVALID_JSON, "ingest", "posts.csv:3", "", f'"{made.id}",broken'.encode()),
    ]
    return [
        OutRecord(topics.POSTS, partition, key, made.to_bytes()),
        OutRecord(topics.TRIAGED, partition, key, Triage(post=made, triaged_at=NOW).to_bytes()),
        OutRecord(topics.tickets(queue), 0, ticket.encode(), body),
        OutRecord(topics.deliveries(queue), 0, accepted.key, accepted.value),
        *(OutRecord(topics.DEAD_LETTERS, 0, one.key, one.value, one.headers()) for one in letters),
    ]


async def test_a_post_is_found_on_its_whole_way_and_nothing_else_is(broker: str, fresh: str) -> None:
    kafka, id_ = settings(broker), f"x:{fresh}"
    ensure_topics(kafka, [fresh])
    await write(kafka, *everywhere(post(id_, revision=7), fresh), *everywhere(post(f"{id_}other"), fresh))
    held = await find(kafka, [fresh], id_)
    assert held is not None
    assert held.kind == "post"
    assert held.posts == (HeldPost(id=id_, revision=7, partitions=(1,)),)
    assert held.records == {
        topics.POSTS: 1,
        topics.TRIAGED: 1,
        topics.DEAD_LETTERS: 2,
        topics.tickets(fresh): 1,
        topics.deliveries(fresh): 1,
    }


@pytest.mark.parametrize("who", ["did:{0}", "x:{0}", "X:@{0}"])
async def test_an_author_is_found_by_id_or_network_and_handle(tansu: str, fresh: str, who: str) -> None:
    kafka = settings(tansu)
    ensure_topics(kafka, [fresh])
    mine = [post(f"p{fresh}{number}", handle=fresh) for number in range(2)]
    await write(kafka, *(r for one in [*mine, post(f"p{fresh}9", handle="kim")] for r in everywhere(one, fresh)))
    held = await find(kafka, [fresh], who.format(fresh))
    assert held is not None
    assert held.kind == "author"
    assert {one.id for one in held.posts} == {one.id for one in mine}
    assert held.records[topics.DEAD_LETTERS] == 4


@pytest.mark.parametrize(
    ("network", "who", "is_found"),
    [
        ("", "@Jo", True),
        ("", "jo", True),
        ("", "x:jo", False),
        ("x", "jo", False),
        ("x", "y:jo", False),
        ("x", "X:@JO", True),
    ],
)
def test_of_a_post_without_a_network_the_handle_alone_tells_the_author(network: str, who: str, is_found: bool) -> None:
    post = {"id": "1", "network": network, "author": {"handle": "@jo"}}
    assert is_by(post, who) == is_found


def test_a_post_that_names_no_author_is_nobodys(tmp_path: Path) -> None:
    assert not is_by({"id": "1", "author": {"id": ""}}, "")
    for empty in ("", " "):  # as of a variable in a script that is not set
        done = plaint("forget", empty, "--yes", cwd=tmp_path, settings={"PLAINT_RUNTIME_DIR": str(tmp_path)})
        assert done.returncode == 2
        assert "POST|AUTHOR is empty" in shown(done)


async def test_who_is_unknown_is_not_held_but_a_post_named_as_one_can_be_deleted(tansu: str, fresh: str) -> None:
    kafka = settings(tansu)
    ensure_topics(kafka, [fresh])
    assert await find(kafka, [fresh], f"nobody:{fresh}") is None
    held = await find(kafka, [fresh], f"nobody:{fresh}", "post")
    assert held == Held(
        who=f"nobody:{fresh}",
        kind="post",
        posts=(HeldPost(id=f"nobody:{fresh}", revision=0, partitions=()),),
        records={},
    )


async def test_the_delete_has_no_text_is_the_newest_and_lies_where_the_post_lies(broker: str, fresh: str) -> None:
    kafka, id_ = settings(broker), f"x:{fresh}"
    ensure_topics(kafka, [fresh])
    home = partition_of(id_.encode(), kafka.partitions)
    stray = (home + 1) % kafka.partitions
    future = 2**52
    await write(kafka, *everywhere(post(id_, revision=future), fresh, stray))
    held = await find(kafka, [fresh], id_)
    assert held is not None
    await erase(kafka, KafkaTopic(kafka), held)
    found = [r for r in records(broker, topics.POSTS, 3) if r.key == id_.encode()]
    events = [(r.partition, Post.from_bytes(r.value)) for r in found if b'"delete"' in r.value]
    assert {partition for partition, _ in events} == {home, stray}
    assert all((event.text, event.revision) == ("", future + 1) for _, event in events)
    assert all(SECRET_WORDS.encode() not in r.value for r in found if r.offset > 0 and b'"delete"' in r.value)


def test_a_delete_is_newer_than_now_and_than_all_that_is_known() -> None:
    held = Held(
        who="a",
        kind="author",
        posts=(HeldPost(id="old", revision=3, partitions=()), HeldPost(id="new", revision=9_000_000, partitions=())),
        records={},
    )
    assert [event["revision"] for event in deletes(held, now=datetime.fromtimestamp(5_000, UTC))] == [
        5_000_000,
        9_000_001,
    ]


async def test_an_author_of_more_posts_than_a_door_takes_at_once_is_forgotten_whole() -> None:
    held = Held(who="x:jo", kind="author", posts=tuple(held_post(f"x:{number}") for number in range(1_200)), records={})
    shelf = Shelf()
    with open_door(shelf, max_posts=300) as door, closing(target_at(door)) as target:
        assert await erase(KafkaSettings(), target, held) == (1_200, ())
    assert [(post.id, post.event) for post in shelf.posts] == [(post.id, "delete") for post in held.posts]


async def test_a_delete_that_is_refused_is_told_and_keeps_no_other_back() -> None:
    held = Held(who="x:jo", kind="author", posts=tuple(map(held_post, ("x:1", "x" * 600, "x:2"))), records={})
    shelf = Shelf()
    with open_door(shelf) as door, closing(target_at(door)) as target:
        taken, [refused] = await erase(KafkaSettings(), target, held)
    assert taken == 2
    assert "#/id: String should have at most 512 characters" in refused
    assert [post.id for post in shelf.posts] == ["x:1", "x:2"]


async def test_it_is_deleted_though_nobody_reads_what_is_told_of_it(new_tansu: str, fresh: str, tmp_path: Path) -> None:
    kafka = settings(new_tansu)
    ensure_topics(kafka, [fresh])
    await write(kafka, *everywhere(post("x:1"), fresh))
    known = {
        "PLAINT_KAFKA__BROKERS": orjson.dumps(kafka.brokers).decode(),
        "PLAINT_KAFKA__IDEMPOTENT_PRODUCER": "false",
        "PLAINT_RUNTIME_DIR": str(tmp_path),
    }
    done = await asyncio.to_thread(unheard, "forget", "x:jo", "--yes", cwd=tmp_path, settings=known)
    assert (done.returncode, done.stderr) == (0, b"")
    assert any(b'"delete"' in record.value for record in records(new_tansu, topics.POSTS, 2))


def held_post(id_: str) -> HeldPost:
    return HeldPost(id=id_, revision=0, partitions=())


def target_at(door: OpenDoor) -> Door:
    return Door(f"http://127.0.0.1:{door.port}", Settings)


@pytest.mark.kafka
async def test_compaction_takes_the_text_off_the_disk(new_kafka: Callable[..., KafkaProcess], fresh: str) -> None:
    quick = {"log.cleaner.backoff.ms": "200", "log.cleaner.min.cleanable.ratio": "0.01"}
    node = new_kafka(properties=quick)
    kafka, id_ = settings(node.bootstrap), f"x:{fresh}"
    compacted = {"cleanup.policy": "compact,delete", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    with open_admin(kafka, 10) as admin:
        admin.create_topics({topics.POSTS: {"num_partitions": 4, "replication_factor": 1, "configs": compacted}})
    ensure_topics(kafka, [fresh])
    await write(kafka, *everywhere(post(id_), fresh, partition_of(id_.encode(), 4))[:1])
    assert on_disk(node.folder) == 1
    held = await find(kafka, [fresh], id_)
    assert held is not None
    await erase(kafka, KafkaTopic(kafka), held)
    deadline = time.monotonic() + 120
    while on_disk(node.folder):
        assert time.monotonic() < deadline, "the text is still in the log"
        # A segment is closed when a record comes after its time.
        other = post("other", text="hello").to_bytes()
        await write(kafka, *(OutRecord(topics.POSTS, number, b"other", other) for number in range(4)))
        time.sleep(0.2)  # noqa: ASYNC251


def on_disk(folder: Path) -> int:
    """How many log files hold the words."""
    found = folder.glob(f"data/{topics.POSTS}-*/*.log")
    return sum(SECRET_WORDS.encode() in file.read_bytes() for file in found if file.exists())


def state(name: str, **config: str) -> TopicState:
    return TopicState(name=name, found="there", config={key.replace("_", "."): value for key, value in config.items()})


def test_what_stays_is_told_by_the_topics_own_settings() -> None:
    held = Held(who="a", kind="post", posts=(), records={"stream": 2, "aged": 1, "log": 3, "kept": 1})
    hour, day = "3600000", "86400000"
    stays = {
        one.topic: (one.records, one.until, one.at_most_s)
        for one in remains(
            held,
            [
                state(
                    "stream",
                    cleanup_policy="compact,delete",
                    retention_ms=day,
                    segment_ms=hour,
                    max_compaction_lag_ms=hour,
                ),
                state("aged", cleanup_policy="delete", retention_ms=day, segment_ms=hour),
                state("log", cleanup_policy="compact", max_compaction_lag_ms=hour),
                state("kept", cleanup_policy="delete", retention_ms="-1"),
                state("untouched", cleanup_policy="delete"),
            ],
            is_embedded=False,
        )
    }
    compaction = "until compaction, which comes 1 h after the delete if the partition gets other records by then"
    assert stays == {
        "stream": (2, compaction, 90_000.0),
        "aged": (1, "until it ages out", 90_000.0),
        "log": (3, compaction, None),
        "kept": (1, "for ever: the topic has no retention", None),
    }


@pytest.mark.kafka
def test_what_lies_at_a_destination_that_was_taken_out_of_the_settings_is_found_and_told_with_its_mend(
    new_kafka: Callable[..., KafkaProcess], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kafka = settings(new_kafka().bootstrap)
    ensure_topics(kafka, ["gone"])
    asyncio.run(write(kafka, *(record for record in everywhere(post("x:1"), "gone") if record.topic.endswith("gone"))))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLAINT_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("PLAINT_KAFKA__BROKERS", orjson.dumps(kafka.brokers).decode())
    done = CliRunner().invoke(forget, ["x:jo", "--dry-run", "--json"], obj=None)
    assert done.exit_code == 0, done.output
    told = orjson.loads(done.stdout)
    assert [one["id"] for one in told["held"]["posts"]] == ["x:1"]
    stays = {one["topic"]: one["until"] for one in told["remains"]}
    assert stays.keys() == {topics.tickets("gone"), topics.deliveries("gone")}
    assert stays[topics.tickets("gone")].startswith("until it ages out; its destination is not in the settings")
    assert stays[topics.deliveries("gone")].startswith("until compaction, or for good if a ticket is open;")
    assert all("put the destination back and run this again, or delete the topic" in one for one in stays.values())


def test_an_embedded_broker_keeps_it_until_it_ends() -> None:
    held = Held(who="a", kind="post", posts=(), records={"aged": 1})
    [one] = remains(held, [state("aged", cleanup_policy="delete", retention_ms="1000")], is_embedded=True)
    assert "until that `plaint up` ends" in one.until
    assert one.at_most_s is None


@pytest.mark.kafka
async def test_the_retention_that_an_operator_chose_counts(kafka: str, fresh: str) -> None:
    own = {"cleanup.policy": "delete", "retention.ms": "7200000", "segment.ms": "3600000"}
    found = settings(kafka)
    with open_admin(found, 10) as admin:
        name = topics.tickets(fresh)
        admin.create_topics({name: {"num_partitions": 4, "replication_factor": 1, "configs": own}})
        ensure_topics(found, [fresh])
        states = topic_states(admin, found, topics.all_topics([fresh]))
    held = Held(who="a", kind="post", posts=(), records={name: 1})
    assert [one.at_most_s for one in remains(held, states, is_embedded=False)] == [10_800.0]


# -- tombstones, by which others may erase --------------------------------------------------------------------------------


def test_a_tombstone_of_a_post_or_triage_becomes_an_empty_dead_letter_and_the_next_record_passes() -> None:
    gone = InRecord(topics.POSTS, 0, 0, b"x:1", None, 0.0)
    letter = decoded("classify", gone, Post.from_bytes)
    assert isinstance(letter, DeadLetter)
    assert (letter.value, letter.size) == (b"", 0)
    router = RouteStage(RouteTable.load(None, ["helpdesk", "service", "marketing"]), 4, 10)
    made = Triage(post=post("x:2"), intent="complaint", urgency=3, urgent=True, triaged_at=NOW)
    after = InRecord(topics.TRIAGED, 0, 1, b"x:2", made.to_bytes(), 0.0)
    erased, passed = outcomes(router, [InRecord(topics.TRIAGED, 0, 0, b"x:1", None, 0.0), after], CANARY)
    assert isinstance(erased, DeadLetter)
    assert isinstance(passed, Result)
    assert orjson.loads(passed.records[0].value)["post_id"] == "x:2"

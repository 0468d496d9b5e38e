"""Dead letters are listed, shown and sent again: what goes where, what is left out, and how it is marked."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from classify.meant import as_meant
from plaint.again.dead_letters import CHUNK, REPLAYED, Stand, plan_replay, replay, stand_of
from plaint.again.plan import Done, Plan
from plaint.kafka.publisher import OutRecord
from plaint.kafka.reading import Stored, TopicReader, partition_of
from plaint.kafka.topics import ensure_topics
from plaint.lookup.dead import WantedLetters, find_letters, page, row, shown_bytes
from plaint.lookup.letters import HeldLetter
from schemas import topics
from schemas.deadletter import DeadLetter, Header, Replayed
from schemas.post import Post
from schemas.reasons import DeadReason
from schemas.ticket import Ticket
from tests.plaint.delivering import PARTITIONS, kafka_settings, write
from tests.plaint.delivering import partition_of as ticket_partition
from tests.plaint.looking import Log, letter, post, ticket_of, triage
from tests.support.command import unheard
from tests.system.hostile import TEXTS

DESTINATIONS = ("helpdesk",)
ALL = list(range(PARTITIONS))
THERE = {topics.POSTS: ALL, topics.TRIAGED: ALL, topics.tickets("helpdesk"): ALL, topics.deliveries("helpdesk"): ALL}


def held(value: bytes, place: str = "plaint.posts[3]@7", key: bytes | None = b"x:1", **changed: Any) -> HeldLetter:
    """A dead letter as it is read back."""
    stage = changed.pop("stage", "classify")
    found = DeadLetter.of(changed.pop("reason", DeadReason.STAGE_ERROR), stage, place, "a fault", value, key)
    record = Stored(topics.DEAD_LETTERS, 2, 17, 0.0, key, value, ())
    return HeldLetter(record, found.model_copy(update=changed))


def plan(one: HeldLetter, force: bool = False) -> Plan:
    return plan_replay(one, Stand(THERE, {}, force))


def test_a_record_goes_again_to_the_topic_and_partition_that_it_was_refused_on() -> None:
    for sent in (post("x:1"), triage("x:1")):
        found = plan(held(sent.value, f"{sent.topic}[3]@7"))
        assert found.record is not None
        assert found.record[:4] == (sent.topic, 3, b"x:1", sent.value)
        assert REPLAYED[0] in found.record.headers
    one = ticket_of("x:1", "helpdesk")
    found = plan(held(one.to_bytes(), "plaint.tickets.helpdesk[1]@3", one.key.encode(), stage="deliver"))
    assert found.record is not None
    assert found.record[:4] == ("plaint.tickets.helpdesk", 1, one.key.encode(), one.to_bytes())


def test_a_record_without_a_key_goes_without_one() -> None:
    found = plan(held(post("x:1").value, key=None))
    assert found.record is not None
    assert found.record.key is None


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (held(b"x" * 300_000), "only 262,144 of its 300,000 bytes are kept"),
        (held(post("x:1").value, sha256="0" * 64), "not those that were refused"),
        (held(b""), "had no value"),
        (held(post("x:1").value, "plaint.posts[9]@7"), "plaint.posts does not exist, has fewer partitions now"),
        (held(post("x:1").value, "plaint.tickets.gone[0]@7"), "plaint.tickets.gone does not exist"),
        (held(b"no ticket", "plaint.deliveries.helpdesk[0]@7"), "it is no ticket"),
        (held(b"no post", "posts.csv:7", None, stage="ingest"), "it is still no post"),
    ],
)
def test_what_cannot_go_again_says_why_and_no_force_helps(one: HeldLetter, why: str) -> None:
    for force in (False, True):
        found = plan(one, force)
        assert found.record is None
        assert why in found.why


def test_what_would_be_refused_again_goes_only_by_force() -> None:
    one = held(b'{"id": 3}')
    assert "classify would refuse it again (id: Input should be a valid string" in plan(one).why
    forced = plan(one, force=True).record
    assert forced is not None
    assert forced.value == b'{"id": 3}'


def test_what_went_again_before_goes_only_by_force() -> None:
    one = held(post("x:1").value)
    one.replays.append(_replayed())
    assert "it was sent again at 2026-05-01 12:00:00Z as plaint.posts[0]@9" in plan(one).why
    assert plan(one, force=True).record is not None


def _replayed() -> Any:
    from plaint.lookup.explanation import Replay

    return Replay(at=datetime(2026, 5, 1, 12, tzinfo=UTC), place="plaint.posts[0]@9")


def test_a_line_that_is_a_post_by_now_becomes_one() -> None:
    """A newer version may read what an older one refused."""
    found = plan(held(b'{"id": 12, "text": "hello", "event": "edit"}', "a.jsonl:7", None, stage="ingest")).record
    assert found is not None
    assert (found.topic, found.key, found.partition) == (topics.POSTS, b"12", partition_of(b"12", PARTITIONS))
    sent = Post.from_bytes(found.value)
    assert (sent.id, sent.source) == ("12", "replay")
    assert sent.revision > 0
    assert sent.received_at is not None


def test_a_key_that_was_cut_is_taken_from_the_record_or_nothing_is_sent() -> None:
    long = "ü" * 512
    whole = plan(held(post(long).value, key=long.encode())).record
    assert whole is not None
    assert whole.key == long.encode()
    assert plan(held(post("x:1").value, key=b"k" * 2000)).why == "its key was too long to be kept whole"


# -- letters on a broker -----------------------------------------------------------------------------------------


class Desk:
    """A broker with its dead letters; those of a test have a key of its own."""

    def __init__(self, broker: str, run: str) -> None:
        self.kafka = kafka_settings(broker)
        self.run = run

    async def write(self, *records: OutRecord) -> None:
        await write(self.kafka.brokers[0], records)

    async def find(self, **wanted: Any) -> list[HeldLetter]:
        async with TopicReader(self.kafka) as reader:
            found = await find_letters(reader, WantedLetters(**wanted))
        return [one for one in found if self.run in one.letter.place + one.letter.key.decode()]

    async def replay(self, letters: Sequence[HeldLetter], force: bool = False, dry_run: bool = False) -> list[Done]:
        async with TopicReader(self.kafka) as reader:
            stand = await stand_of(reader, letters, DESTINATIONS, force, None)
            return [done async for done in replay(self.kafka, reader, letters, stand, dry_run)]

    async def read(self, topic: str, takes: Callable[[Stored], bool]) -> list[Stored]:
        async with TopicReader(self.kafka) as reader:
            where = await reader.partitions([topic])
            return [record async for record in reader.scan(where) if takes(record)]


@pytest.fixture(scope="module")
def made() -> set[str]:
    """Brokers whose topics are there."""
    return set()


@pytest.fixture
async def desk(broker: str, fresh: str, made: set[str]) -> Desk:
    if broker not in made:
        await asyncio.to_thread(ensure_topics, kafka_settings(broker), DESTINATIONS)
        made.add(broker)
    return Desk(broker, fresh)


async def test_letters_are_found_by_what_a_person_knows_of_them(desk: Desk) -> None:
    run = desk.run
    await desk.write(
        letter(f"{run}.jsonl:1", b"1", stage="ingest", reason=DeadReason.INVALID_JSON, partition=1),
        letter(f"{run}.jsonl:2", b"2", stage="ingest", reason=DeadReason.TOO_LARGE),
        letter("plaint.posts[2]@5", b"3", run.encode()),
        OutRecord(topics.DEAD_LETTERS, 0, run.encode(), b"somebody else's"),
    )
    places = {one.letter.place for one in await desk.find()}
    assert places == {f"{run}.jsonl:1", f"{run}.jsonl:2", "plaint.posts[2]@5"}
    for wanted, found in (
        ({"stages": ["classify"]}, {"plaint.posts[2]@5"}),
        ({"reasons": ["too_large"]}, {f"{run}.jsonl:2"}),
        ({"places": [f"{run}*:1"]}, {f"{run}.jsonl:1"}),
        ({"places": [f"{run}.js"]}, {f"{run}.jsonl:1", f"{run}.jsonl:2"}),
        ({"places": ["plaint.posts[2]@*"]}, {"plaint.posts[2]@5"}),
        ({"names": [f"{run}.jsonl:2"]}, {f"{run}.jsonl:2"}),
        ({"until": datetime.now(UTC) - timedelta(minutes=5)}, set()),
        ({"since": datetime.now(UTC) - timedelta(minutes=5)}, places),
    ):
        assert {one.letter.place for one in await desk.find(**wanted)} == found, wanted
    one = (await desk.find(names=[f"{run}.jsonl:1"]))[0]
    assert one.id.startswith("1@")
    for name in (one.id, f"plaint.deadletters[1]@{one.id[2:]}"):
        assert [again.id for again in await desk.find(names=[name])] == [one.id]
    assert one.letter.value == b"", "a list holds no bytes: there may be many"


async def test_a_replayed_letter_is_marked_and_its_copy_is_where_the_mark_says(desk: Desk) -> None:
    id_ = f"x:{desk.run}"
    await desk.write(letter("plaint.posts[2]@5", post(id_).value, id_.encode(), partition=2))
    found = await desk.find()
    assert [done.place for done in await desk.replay(found, dry_run=True)] == ["plaint.posts[2]"]
    assert (await desk.find())[0].replays == []
    done = await desk.replay(found)
    after = (await desk.find())[0]
    assert [replayed.place for replayed in after.replays] == [done[0].place]
    assert "sent again" in row(after)
    copies = await desk.read(topics.POSTS, lambda record: record.key == id_.encode())
    assert [(copy.place, copy.value) for copy in copies] == [(done[0].place, post(id_).value)]
    marks = await desk.read(topics.DEAD_LETTERS, lambda record: record.key == id_.encode() and not record.value)
    assert len(marks) == 1, "a mark holds no text"
    again = await desk.replay([after])
    assert again[0].place == ""


async def test_an_old_edit_that_is_sent_again_stays_older_than_what_came_after_it(desk: Desk) -> None:
    id_, written_at = f"x:{desk.run}", datetime.now(UTC) - timedelta(hours=1)
    old = Post(id=id_, event="edit", text="old words").to_bytes()
    one = DeadLetter.of(DeadReason.STAGE_ERROR, "classify", "plaint.posts[2]@5", "x", old, id_.encode(), written_at)
    await desk.write(OutRecord(topics.DEAD_LETTERS, 2, id_.encode(), one.value, one.headers()))
    await desk.replay(await desk.find())
    [copy] = await desk.read(topics.POSTS, lambda record: record.key == id_.encode())
    half_an_hour_later = copy.timestamp + 1800
    assert abs(copy.timestamp - written_at.timestamp()) < 0.01
    delete = as_meant(Post(id=id_, event="delete"), half_an_hour_later)
    assert as_meant(Post.from_bytes(copy.value), copy.timestamp).revision < delete.revision


async def test_a_dead_ticket_goes_again_only_by_force_in_a_new_generation(desk: Desk) -> None:
    one = ticket_of(f"x:{desk.run}", "helpdesk")
    place = f"plaint.deliveries.helpdesk[{ticket_partition(one.key)}]@5"
    dead = letter(place, one.to_bytes(), one.key.encode(), "deliver", DeadReason.REFUSED)
    desk.run = one.key
    await desk.write(dead, Log(one).open(), Log(one).end("dead", status=400, reason=DeadReason.REFUSED))
    found = await desk.find()
    assert "--force sends it in a new generation" in (await desk.replay(found))[0].why
    assert (await desk.replay(found, force=True))[0].place
    sent = await desk.read(topics.tickets("helpdesk"), lambda record: record.key == one.key.encode())
    assert [Ticket.from_bytes(record.value) for record in sent] == [one.model_copy(update={"generation": 1})]
    assert [record.partition for record in sent] == [ticket_partition(one.key)]


@pytest.mark.parametrize(
    ("later", "why"),
    [
        (lambda one: [Log(one).end(status=201)], "it was delivered (201)"),
        (lambda one: [Log(one).open("accepted", 2)], "it is open: plaint tickets retry"),
        (lambda one: [Log(one.model_copy(update={"revision": 3})).end()], "revision 3 is done, this is 0"),
    ],
)
async def test_a_dead_ticket_whose_story_went_on_stays_where_it_is(
    desk: Desk, later: Callable[[Ticket], list[OutRecord]], why: str
) -> None:
    one = ticket_of(f"x:{desk.run}", "helpdesk")
    desk.run = one.key
    place = f"plaint.deliveries.helpdesk[{ticket_partition(one.key)}]@5"
    await desk.write(letter(place, one.to_bytes(), one.key.encode(), "deliver", DeadReason.REFUSED), *later(one))
    for force in (False, True):
        assert why in (await desk.replay(await desk.find(), force=force))[0].why


@pytest.mark.parametrize("sound", [True, False])
async def test_all_letters_go_again_though_nobody_reads_what_is_told_of_them(
    new_tansu: str, fresh: str, tmp_path: Path, sound: bool
) -> None:
    desk = Desk(new_tansu, fresh)
    await asyncio.to_thread(ensure_topics, desk.kafka, DESTINATIONS)
    lines = [json.dumps({"id": f"{fresh}:{number}", "text": "hello"}).encode() for number in range(2 * CHUNK + 1)]
    lines += [] if sound else [b"no post"]
    await desk.write(*(letter(f"{fresh}.jsonl:{number}", line, stage="ingest") for number, line in enumerate(lines)))
    known = {"PLAINT_KAFKA__BROKERS": json.dumps([new_tansu]), "PLAINT_RUNTIME_DIR": str(tmp_path)}
    done = await asyncio.to_thread(unheard, "dead", "replay", "--all", "--yes", cwd=tmp_path, settings=known)
    assert done.returncode == (0 if sound else 1), done.stderr.decode()
    told = f"{2 * CHUNK + 1} sent again, {0 if sound else 1} not"
    assert done.stderr.decode().splitlines() == [told]
    assert len(await desk.read(topics.POSTS, lambda _: True)) == 2 * CHUNK + 1


# -- shown to a person -------------------------------------------------------------------------------------------


def test_bytes_are_shown_so_that_no_terminal_obeys_them() -> None:
    value = b"a\xff\x1b[31m\r\n" + "".join(TEXTS.values()).encode()
    shown = list(shown_bytes(value))
    assert shown[0] == "  a\\xff\\x1b[31m\\r"
    assert all(line.isprintable() for line in shown)


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_said_about_a_letter_steers_a_terminal(name: str) -> None:
    text = TEXTS[name]
    one = held(text.encode(), text, text.encode(), stage=text, detail=text, sha256=text)
    assert row(one).isprintable()
    assert all(line.isprintable() for line in page(one, one.letter.value))


def test_a_mark_is_no_letter_and_a_letter_no_mark() -> None:
    mark = Replayed(letter="2@17", place="plaint.posts[0]@9", at=datetime.now(UTC))
    headers: list[Header] = mark.headers()
    assert Replayed.from_kafka(headers) == mark
    with pytest.raises(ValueError, match="reason"):
        DeadLetter.from_kafka(b"x", b"", headers)
    with pytest.raises(ValueError, match="letter"):
        Replayed.from_kafka(held(b"x").letter.headers())
    assert json.loads(mark.model_dump_json())["letter"] == "2@17"

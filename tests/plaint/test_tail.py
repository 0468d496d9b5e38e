"""What passes is shown as it passes: filters, words, JSON; and nothing in it steers a terminal."""

import asyncio
import json
from collections.abc import Iterable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from plaint.kafka.publisher import OutRecord
from plaint.kafka.reading import Stored
from plaint.kafka.topics import ensure_topics
from plaint.lookup.tail import KINDS, Kind, Line, Tail, Wanted, line_of, searcher, words
from plaint.terminal import MOMENT, SPAN, json_line, one_line, span
from schemas import topics
from tests.plaint.delivering import kafka_settings, write
from tests.plaint.looking import Log, asked, letter, post, ticket_of, triage
from tests.system.hostile import TEXTS, hostile_post

TOPICS: dict[str, Kind] = {topics.POSTS: "posts", topics.TRIAGED: "triage", topics.DEAD_LETTERS: "dead"}


def line(record: OutRecord) -> Line | None:
    kind = TOPICS.get(record.topic) or ("tickets" if ".tickets." in record.topic else "deliveries")
    stored = Stored(record.topic, record.partition, 9, 0.0, record.key, record.value, record.headers)
    return line_of(kind, "helpdesk" if kind in ("tickets", "deliveries") else "", stored)


def sure(record: OutRecord) -> Line:
    found = line(record)
    assert found is not None
    return found


def test_each_filter_takes_what_it_says_and_leaves_the_rest() -> None:
    complaint = sure(triage("x:1", post={"network": "Reddit", "text": "Give me a REFUND"}))
    praise = sure(triage("x:2", intent="praise", urgent=False, post={"network": "x"}))
    one = sure(asked(ticket_of("x:3", "helpdesk")))
    for wanted, found in (
        (Wanted(), {"x:1", "x:2", "x:3"}),
        (Wanted(intents=["complaint"]), {"x:1"}),
        (Wanted(urgent=True), {"x:1"}),
        (Wanted(networks=["reddit"]), {"x:1"}),
        (Wanted(destinations=["helpdesk"]), {"x:3"}),
        (Wanted(grep=searcher("refund|money back")), {"x:1"}),
        (Wanted(intents=["complaint"], networks=["x"]), set()),
    ):
        assert {shown.post_id for shown in (complaint, praise, one) if wanted.takes(shown)} == found, wanted


def test_a_triage_is_told_with_its_sentiment_its_language_and_whether_it_is_unsure() -> None:
    told = sure(triage("x:1", unsure=True, unsure_why=["language"], language="de")).json_fields()
    assert (told["intent"], told["sentiment"], told["unsure"], told["language"]) == (
        "complaint",
        "negative",
        True,
        "de",
    )
    assert not {"sentiment", "unsure", "language"} & sure(post("x:1")).json_fields().keys()


def test_a_regular_expression_that_is_none_is_refused_with_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"missing \)"):
        searcher("(refund")


def test_the_marks_of_workers_in_a_log_are_no_deliveries() -> None:
    log = Log(ticket_of("x:1", "helpdesk"))
    assert line(log.owner()) is None
    assert sure(log.open("sending", 2)).attempt == 2
    assert sure(log.end(status=201)).status == 201


@pytest.mark.parametrize(
    ("handle", "shown"), [("ann", "@ann"), ("@ann", "@ann"), ("@ann@mastodon.example", "@ann@mastodon.example")]
)
def test_an_author_has_one_at_sign_whether_the_handle_brings_it_or_not(handle: str, shown: str) -> None:
    assert f" {shown} on x " in words(sure(post("x:1", network="x", author={"handle": handle})), False)


def test_a_record_that_cannot_be_read_is_a_line_too() -> None:
    broken = sure(post("x:1")._replace(value=b"garbage"))
    assert broken.reason == "invalid_json"
    assert "dead letter" in words(broken, True)
    foreign = sure(OutRecord(topics.DEAD_LETTERS, 0, b"x", b"somebody else's"))
    assert "no dead letter of plaint's" in words(foreign, False)


def hostile_records() -> Iterable[OutRecord]:
    for name, text in TEXTS.items():
        said = hostile_post("1", name)
        rest: dict[str, Any] = {key: value for key, value in said.items() if key != "id"}
        yield post(said["id"], 0, **rest)
        yield triage(said["id"], 0, post=rest)
        one = ticket_of(said["id"], "helpdesk", rule=text, team=text, network=text, author={"handle": text[:500]})
        yield asked(one)
        yield Log(one).open()
        yield Log(one).end(remote_id=text, remote_url=text)
        yield Log(one).end()._replace(key=text.encode())
        yield letter(text, text.encode(), text.encode(), text)


def test_hostile_posts_stay_on_their_line_and_steer_no_terminal() -> None:
    for record in hostile_records():
        shown = sure(record)
        assert words(shown, True).isprintable()
        as_json = json_line(shown.json_fields())
        assert as_json.isprintable()
        assert json.loads(as_json) == shown.json_fields(), "a script reads what was written"


def test_what_a_terminal_would_obey_is_escaped_and_the_rest_is_not() -> None:
    assert one_line("a\x1b[2J\n\x9b\u202e\U000e0041 é 漢 🙂") == "a\\x1b[2J\\n\\x9b\\u202e\\U000e0041 é 漢 🙂"
    assert one_line("abcdef", 4) == "abc…"
    assert json.loads(json_line({"a": "\x9b\u202e\U000e0041\ud800"})) == {"a": "\x9b\u202e\U000e0041\ud800"}


def test_times_are_read_as_people_write_them() -> None:
    now = datetime.now(UTC)
    for text, back in (("10m", timedelta(minutes=10)), ("1.5h", timedelta(minutes=90)), ("3d", timedelta(days=3))):
        assert abs(MOMENT.convert(text, None, None) - (now - back)) < timedelta(seconds=5)
    assert MOMENT.convert("2026-05-01T12:00:00Z", None, None) == datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert MOMENT.convert("2026-05-01", None, None) == datetime(2026, 5, 1, tzinfo=UTC)
    for text in ("0001-01-01T00:00:00+14:00", "1969-12-31", "30000d"):  # of which Kafka knows nothing
        assert MOMENT.convert(text, None, None) == datetime(1970, 1, 1, tzinfo=UTC)
    for text in ("0001-01-01T00:00:00+14:00", "1969-12-31", "30000d"):  # of which Kafka knows nothing
        assert MOMENT.convert(text, None, None) == datetime(1970, 1, 1, tzinfo=UTC)
    assert SPAN.convert("2h", None, None) == 7200
    for text in ("yesterday", "10", "99999999999d", "-5m"):
        with pytest.raises(click.BadParameter):
            MOMENT.convert(text, None, None)
    with pytest.raises(click.BadParameter):
        SPAN.convert("a while", None, None)
    assert [span(seconds) for seconds in (0.2, 90, 130, 7300, 200_000)] == ["200 ms", "90 s", "2 min", "2 h", "2 days"]


async def test_a_tail_shows_what_is_there_since_a_time_and_then_what_comes(broker: str, fresh: str) -> None:
    kafka = kafka_settings(broker)
    await asyncio.to_thread(ensure_topics, kafka, ["helpdesk"])
    since = datetime.now(UTC)
    first, later = f"x:{fresh}-1", f"x:{fresh}-2"
    await write(broker, [post(first), triage(first), asked(ticket_of(first, "helpdesk"))])
    wanted = Wanted(since=since - timedelta(seconds=1), grep=searcher(fresh))
    lines = Tail(kafka, KINDS, ["helpdesk"], wanted).lines()
    found: list[Line] = []

    async def read(count: int) -> None:
        while len(found) < count:
            found.append(await anext(lines))

    texts: dict[str, Any] = {"text": f"{fresh} burns"}
    async with aclosing(lines), asyncio.timeout(60):
        reading = asyncio.create_task(read(2))
        await asyncio.sleep(0.1)
        await write(broker, [post(later, **texts), triage(later, post=texts)])
        await reading
    assert {(one.kind, one.post_id) for one in found} == {("posts", later), ("triage", later)}

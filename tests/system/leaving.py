"""What a version leaves in Kafka when it is ended amid its work: written to a file once a version, and put on another broker
by the tests of those that come after it.

``python -m tests.system.leaving FILE`` has this version write it, on a real Kafka. Imports nothing of plaint's.
"""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from tests.support.command import plaint, shown
from tests.support.kafka_process import KafkaProcess
from tests.system import wire
from tests.system.evidence import Step
from tests.system.raw import Writer
from tests.system.stack import DESTINATIONS, Stack
from tests.system.verdict import settle

LEFT = Path(__file__).parent / "left"
"""A file a version, named by its day and commit, or by its number."""
PARTITIONS = 2
SETTINGS: Mapping[str, Mapping[str, Any]] = {"kafka": {"partitions": PARTITIONS}, "classify": {"batch": 8}}
WAITS = {"first_wait_s": 60, "max_wait_s": 60}
"""Longer than what follows takes, so that a ticket still waits."""
NO_POST = "no post"
"""A line that gives a dead letter."""
COMPLAINT = "My router is dead for the third time this week and nobody answers"
QUESTION = "how do I change my billing address please? is there a form for it?"
FULL = {
    "network": "mastodon",
    "author": {"id": "88", "handle": "@ann@mastodon.example", "followers": 310, "verified": False},
    "engagement": {"likes": 2, "replies": 0, "reposts": 1},
    "conversation": {"root": "r1", "parent": "r2"},
    "brands": ["norvik"],
    "url": "https://mastodon.example/@ann/1",
    "created_at": "2026-05-04T12:00:00Z",
}
IN_HAND = ("waiting", "flying", "asked", "triaged", "posted")
"""Complaints whose tickets the helpdesk has not got: one waits for its next try, the request of one was under way when its
worker was killed, one is asked for, one is labelled, one was only posted.
"""
HELD = "held"
"""A question whose destination was turned off by a person, in versions that can."""


def records(file: Path) -> Iterator[dict[str, Any]]:
    """What lies in such a file: topic, partition, offset, key, value and headers of each record, in order."""
    with file.open() as lines:
        yield from map(json.loads, lines)


def put(file: Path, bootstrap: str) -> None:
    """Put all of it where it lay, on topics that are there and empty."""
    with Writer(bootstrap) as writer:
        for number, record in enumerate(records(file)):
            headers = [(name, value.encode()) for name, value in record["headers"]]
            key, value = (None if record[part] is None else record[part].encode() for part in ("key", "value"))
            place = writer.put(record["topic"], record["partition"], value, key, headers)()
            assert place == _place(record), f"line {number + 1}: {place}"


def _place(record: Mapping[str, Any]) -> str:
    return f"{record['topic']}[{record['partition']}]@{record['offset']}"


def write(file: Path, stack: Stack) -> None:
    """Have the stack do one of everything and end it amid its work; then write down what is in Kafka."""
    _bring_to_an_end(stack)
    _refuse_and_replay(stack)
    _turn_off(stack)
    _end_amid_work(stack)
    file.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in _dump(stack.bootstrap)))


def _bring_to_an_end(stack: Stack) -> None:
    first = [{"id": "done", "text": COMPLAINT, **FULL}, _complaint("updated"), _complaint("withdrawn")]
    _feed(stack, "first", *first, {"id": "blank", "text": " "}, NO_POST)
    assert not settle(stack, ["done", "updated", "withdrawn"], None, 120).faults
    _feed(
        stack,
        "later",
        {"id": "updated", "event": "edit", "revision": 2, "text": f"{COMPLAINT}, still"},
        {"id": "withdrawn", "event": "delete", "revision": 2},
    )
    with Writer(stack.bootstrap) as writer:
        writer.put(wire.POSTS, 0, json.dumps({**_complaint("wrong"), "v": 9}).encode(), b"wrong")
    _until(lambda: {_newest(stack, name) for name in ("updated", "withdrawn")} == {("done", 2)})


def _refuse_and_replay(stack: Stack) -> None:
    stack.receiver.fail({"do": "answer", "status": 400})
    _feed(stack, "dead", _complaint("refused"), _complaint("replayed"))
    _until(lambda: {_newest(stack, name) for name in ("refused", "replayed")} == {("dead", 0)})
    stack.receiver.fail()
    letters = [record for record in _dump(stack.bootstrap) if record["topic"] == wire.DEAD_LETTERS]
    (letter,) = (record for record in letters if record["key"] == wire.ticket_key("replayed", "helpdesk"))
    _do(stack, "dead", "replay", f"{letter['partition']}@{letter['offset']}", "--force")
    _until(lambda: _newest(stack, "replayed") == ("done", 0))


def _turn_off(stack: Stack) -> None:
    stack.receiver.fail({"do": "answer", "status": 410})
    _feed(stack, "gone", _complaint("gone"))
    _until(lambda: any('"state":"disabled"' in (record["value"] or "") for record in _dump(stack.bootstrap)))
    stack.receiver.fail()
    _do(stack, "destination", "enable", "helpdesk")
    _until(lambda: _newest(stack, "gone") == ("done", 0))
    _do(stack, "destination", "disable", "service", "--why", "stock-taking")
    _feed(stack, HELD, {"id": HELD, "text": QUESTION})
    _until(lambda: ("service", wire.ticket_key(HELD, "service")) in stack.read().deliveries)


def _end_amid_work(stack: Stack) -> None:
    """IN_HAND; nobody starts again what is killed."""
    stack.restart_after_s = float("inf")
    stack.receiver.fail({"do": "answer", "status": 503})
    _feed(stack, "waiting", _complaint("waiting"))
    _until(lambda: [step.state for step in _steps(stack, "waiting")] == ["accepted", "sending", "accepted"])
    stack.receiver.fail({"do": "hang"})
    _feed(stack, "flying", _complaint("flying"))
    flying = wire.webhook_id(wire.ticket_key("flying", "helpdesk"), 0)
    _until(lambda: any(request.webhook_id == flying for request in stack.wiretap.sent()))
    for name in DESTINATIONS:
        stack.workers[f"{name}-0"].kill()
    _feed(stack, "asked", _complaint("asked"))
    _until(lambda: ("helpdesk", wire.ticket_key("asked", "helpdesk")) in stack.read().tickets)
    stack.workers["route-0"].kill()
    _feed(stack, "triaged", _complaint("triaged"))
    _until(lambda: "triaged" in stack.read().triages)
    stack.workers["classify-0"].kill()
    _feed(stack, "posted", _complaint("posted"))


def _complaint(post_id: str) -> dict[str, Any]:
    return {"id": post_id, "text": COMPLAINT}


def _feed(stack: Stack, name: str, *lines: Any) -> None:
    posts = Path(f"{name}.jsonl")  # where every process of the stack works
    (stack.folder / posts).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    ingest = stack.feed(posts)
    assert ingest.wait(60) in (0, 1), ingest.said()  # 1 where a line could not be read


def _do(stack: Stack, *arguments: str) -> None:
    done = plaint(*arguments, cwd=stack.folder, settings=stack.environment("helpdesk-0"))
    assert done.returncode == 0, shown(done)


def _steps(stack: Stack, post_id: str) -> list[Step]:
    return stack.read().deliveries.get(("helpdesk", wire.ticket_key(post_id, "helpdesk")), [])


def _newest(stack: Stack, post_id: str) -> tuple[str, int]:
    steps = _steps(stack, post_id)
    return (steps[-1].state, steps[-1].revision) if steps else ("", 0)


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _dump(bootstrap: str) -> list[dict[str, Any]]:
    names = [wire.POSTS, wire.TRIAGED, wire.DEAD_LETTERS]
    names += [of(name) for name in DESTINATIONS for of in (wire.tickets, wire.deliveries)]
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, check_crcs=False)
    places = [TopicPartition(name, number) for name in names for number in range(PARTITIONS)]
    consumer.assign(places)
    consumer.seek_to_beginning()
    found: dict[TopicPartition, list[dict[str, Any]]] = defaultdict(list)
    ends = consumer.end_offsets(places)
    while any(consumer.position(place) < end for place, end in ends.items()):
        for place, polled in consumer.poll(timeout_ms=500).items():
            found[place] += map(_shown, polled)
    consumer.close()
    return [record for place in places for record in found[place]]


def _shown(record: Any) -> dict[str, Any]:
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": None if record.key is None else record.key.decode(),
        "value": None if record.value is None else record.value.decode(),
        "headers": [(name, value.decode()) for name, value in record.headers],
    }


if __name__ == "__main__":
    with (
        TemporaryDirectory() as folder,
        KafkaProcess(Path(folder) / "kafka") as node,
        Stack(Path(folder) / "stack", node.bootstrap, workers=1, settings=SETTINGS, destination=WAITS) as stack,
    ):
        stack.receiver.wait()
        write(Path(sys.argv[1]), stack)

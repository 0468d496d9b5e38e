"""Whatever lies on a topic or comes through a door ends as a result, a drop or a dead letter, and the next record passes."""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from uuid import uuid4

import pytest

from tests.support.kafka_process import REPOSITORY, KafkaProcess, die_with_parent, why_no_kafka
from tests.system import wire
from tests.system.poison import (
    BAD_NAME,
    BOMB,
    DEEP,
    DROPPED,
    JSON,
    PASSES,
    POSTS,
    ROWS,
    TRIAGES,
    Poison,
    deliveries,
    post,
    ticket,
    tickets,
    triage,
)
from tests.system.raw import PARTITIONS, Records, Writer, headers, is_letter_of, until
from tests.system.stack import DESTINATIONS, TINY_MODELS, Stack

PATIENCE_S = 60
START_S = 120
UNSEEN = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
STEERING = re.compile("[\u0080-\u009f\u202a-\u202e\u2066-\u2069]")


class Bench:
    """One worker a stage on a Kafka of its own, and what was put before it."""

    def __init__(self, stack: Stack, writer: Writer, records: Records) -> None:
        self.stack = stack
        self.writer = writer
        self.records = records

    def ids(self, count: int) -> list[str]:
        """As many ids as asked for, unlike all others, of twelve characters."""
        run = uuid4().hex[:8]
        return [f"{run}{number:04d}" for number in range(count)]

    def put_with_sound(
        self, topic: str, cases: Mapping[str, Poison], sound: bytes
    ) -> tuple[dict[str, str], dict[str, str], list[str]]:
        """Put each on a partition and ``sound`` right behind it. Places and own ids by name; the ids of the sound."""
        own, behind = self.ids(len(cases)), self.ids(len(cases))
        waits = {}
        for number, (name, case) in enumerate(cases.items()):
            partition = number % PARTITIONS
            waits[name] = self.writer.put(topic, partition, case.filled(own[number]), case.key, case.headers)
            self.writer.put(topic, partition, sound.replace(b"ID", behind[number].encode()))
        return {name: wait() for name, wait in waits.items()}, dict(zip(cases, own, strict=True)), behind

    def wait_for_triages(self, ids: list[str]) -> None:
        """Return once each of these posts has its triage."""

        def there() -> bool:
            self.records.read()
            return all(self.records.triages[post_id] for post_id in ids)

        until(there, PATIENCE_S, lambda: self._what_is_wrong(str([i for i in ids if not self.records.triages[i]])))

    def wait_for_tickets(self, webhook_ids: set[str], timeout_s: float = PATIENCE_S) -> set[str]:
        """Return once the receiver has taken all of these; all that it has taken."""
        found: set[str] = set()

        def there() -> bool:
            found.update(receipt["id"] for receipt in self.stack.receiver.receipts())
            return webhook_ids <= found

        until(there, timeout_s, lambda: self._what_is_wrong(f"not taken: {sorted(webhook_ids - found)}"))
        return found

    def letters_of(
        self, topic: str, cases: Mapping[str, Poison], places: Mapping[str, str], own: Mapping[str, str]
    ) -> dict[str, str]:
        """The reason for which each that has a dead letter has it. Fails if one has two, or others' bytes."""
        self.records.read()
        found = {}
        for name, case in cases.items():
            letters = self.records.letters[places[name]]
            assert len(letters) <= 1, f"{name}: {len(letters)} dead letters"
            if letters:
                assert is_letter_of(letters[0], case.filled(own[name]), case.key), name
                found[name] = self.records.reasons(places[name])[0]
        return found

    def untroubled(self, since: float) -> None:
        """Fail if a worker ended since then, or if what it said shows a traceback or steers a terminal."""
        ended = [incident for incident in self.stack.incidents(since=since) if incident.what.startswith("exit")]
        assert not ended, self._what_is_wrong(str(ended))
        for name, worker in self.stack.workers.items():
            said = worker.log.read_bytes()
            assert b"Traceback" not in said, said[-5000:].decode(errors="replace")
            assert not UNSEEN.search(said), name
            assert not STEERING.search(said.decode()), name

    def _what_is_wrong(self, what: str) -> str:
        logs = [f"--- {worker.name}\n{worker.said()}" for worker in self.stack.workers.values()]
        return "\n".join([what, *map(str, self.stack.incidents("exit")), *logs])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    if reason := why_no_kafka():
        pytest.skip(f"NOT TESTED ON APACHE KAFKA: {reason}")
    folder = tmp_path_factory.mktemp("poison")
    with KafkaProcess(folder / "kafka") as node, Stack(folder / "stack", node.bootstrap, workers=1) as stack:
        until(lambda: all(w.running for w in stack.workers.values()), START_S, lambda: str(stack.incidents()))
        first = folder / "first.jsonl"
        first.write_bytes(post().replace(b"ID", b"first") + b"\n")
        assert stack.feed(first).wait(START_S) == 0
        with Writer(node.bootstrap) as writer:
            records = Records(node.bootstrap, DESTINATIONS)
            bench = Bench(stack, writer, records)
            bench.wait_for_triages(["first"])
            yield bench
            records.close()


def test_posts_topic(bench: Bench) -> None:
    began = time.time()
    places, own, behind = bench.put_with_sound(wire.POSTS, POSTS, post())
    bench.wait_for_triages(behind)
    found = bench.letters_of(wire.POSTS, POSTS, places, own)
    for name, own_id in own.items():
        triaged = [triages for post_id, triages in bench.records.triages.items() if post_id.startswith(own_id)]
        if triaged:
            assert len(triaged) == len(triaged[0]) == 1, name
            assert name not in found
            found[name] = PASSES
    assert {name: found.get(name, DROPPED) for name in POSTS} == {name: case.outcome for name, case in POSTS.items()}
    bench.untroubled(began)


def test_posts_topic_with_records_that_are_small_only_while_compressed(bench: Bench) -> None:
    began = time.time()
    named, sound = bench.ids(2)
    with Writer(bench.stack.bootstrap, "gzip") as compressed:
        place = compressed.put(wire.POSTS, 0, BOMB.value)()
        compressed.put(wire.POSTS, 0, POSTS[BAD_NAME].filled(named), headers=POSTS[BAD_NAME].headers)()
        compressed.put(wire.POSTS, 0, post().replace(b"ID", sound.encode()))()
    bench.wait_for_triages([named, sound])
    bench.records.read()
    assert bench.records.reasons(place) == [BOMB.outcome]
    assert is_letter_of(bench.records.letters[place][0], BOMB.value, b"key")
    bench.untroubled(began)


def test_triaged_topic(bench: Bench) -> None:
    began = time.time()
    cases = TRIAGES | {f"post: {name}": case.elsewhere() for name, case in POSTS.items()}
    del cases[f"post: {BAD_NAME}"]  # the test's own reader stumbles over it
    del cases["post: a byte larger than a record may be"]  # a triage may be larger than its post
    places, own, behind = bench.put_with_sound(wire.TRIAGED, cases, triage())
    tickets_of = {
        name: _ticket_of(case.filled(own[name])) for name, case in cases.items() if case.outcome in (PASSES, DROPPED)
    }
    sound = {wire.webhook_id(wire.ticket_key(post_id, "helpdesk"), 0) for post_id in behind}
    passing = {webhook_id for name, webhook_id in tickets_of.items() if cases[name].outcome == PASSES}
    taken = bench.wait_for_tickets(sound | passing)
    found = bench.letters_of(wire.TRIAGED, cases, places, own)
    assert not tickets_of.keys() & found.keys()
    found |= {name: PASSES if webhook_id in taken else DROPPED for name, webhook_id in tickets_of.items()}
    assert found == {name: case.outcome for name, case in cases.items()}
    bench.untroubled(began)


def _ticket_of(value: bytes | None) -> str:
    """The webhook id at the helpdesk that comes of a triage."""
    found = json.loads(value or b"")["post"]
    return wire.webhook_id(wire.ticket_key(found["id"], "helpdesk"), found.get("revision", 0))


@pytest.mark.parametrize("destination", ["service"])
def test_tickets_topic(bench: Bench, destination: str) -> None:
    began = time.time()
    topic = wire.tickets(destination)
    made = list(tickets(destination, "helpdesk"))
    cases = {name: case for name, _, _, case in made}
    cases |= {f"post: {name}": case.elsewhere() for name, case in POSTS.items()}
    sound = json.dumps(ticket("ID" + "b" * 20, destination)).encode()
    places, own, behind = bench.put_with_sound(topic, cases, sound)
    passing = {
        name: wire.webhook_id(key, fields["revision"]) for name, key, fields, case in made if case.outcome == PASSES
    }
    taken = bench.wait_for_tickets({f"{i}{'b' * 20}-0" for i in behind} | set(passing.values()))
    found = bench.letters_of(topic, cases, places, own)
    assert not found.keys() & passing.keys()
    found |= {name: PASSES if webhook_id in taken else DROPPED for name, webhook_id in passing.items()}
    assert {name: found.get(name, DROPPED) for name in cases} == {name: case.outcome for name, case in cases.items()}
    bench.untroubled(began)


def test_delivery_log(bench: Bench) -> None:
    """Live, and read again by a worker that starts. A forged owner record costs its partition a session."""
    began, destination = time.time(), "helpdesk"
    worker = bench.stack.workers[f"{destination}-0"]
    for number, (_, key, value) in enumerate(deliveries(destination)):
        bench.writer.put(wire.deliveries(destination), number % PARTITIONS, value, key)()
    until(lambda: "has a newer owner" in worker.log.read_text(), PATIENCE_S, worker.said)
    _sound_tickets_pass(bench, destination, "c")
    bench.untroubled(began)
    worker.end()
    _sound_tickets_pass(bench, destination, "d")
    bench.untroubled(began)


def _sound_tickets_pass(bench: Bench, destination: str, fill: str) -> None:
    keys = [f"{number:08x}".ljust(32, fill) for number in range(PARTITIONS)]
    for partition, key in enumerate(keys):
        bench.writer.put(wire.tickets(destination), partition, json.dumps(ticket(key, destination)).encode())
    taken = bench.wait_for_tickets({wire.webhook_id(key, 0) for key in keys})
    assert not any(webhook_id.startswith("dead" * 8) for webhook_id in taken)


def test_file_of_json_lines(bench: Bench, tmp_path: Path) -> None:
    _read_lines(bench, tmp_path / "poison.jsonl", lambda path: bench.stack.feed(path).wait(START_S))


def test_standard_input_of_ingest(bench: Bench, tmp_path: Path) -> None:
    def feed(path: Path) -> int:
        with path.open("rb") as lines:
            return _plaint(bench, "run", "ingest", "--source", "stdin", stdin=lines).returncode

    _read_lines(bench, tmp_path / "poison.jsonl", feed, shown="stdin")


def _read_lines(bench: Bench, path: Path, feed: Callable[[Path], int], shown: str = "") -> None:
    began = time.time()
    cases = {name: case for name, case in POSTS.items() if case.is_line}
    own, behind = bench.ids(len(cases)), bench.ids(len(cases))
    lines = [case.filled(own[n]) or b"" for n, case in enumerate(cases.values())]
    sound = [post().replace(b"ID", post_id.encode()) for post_id in behind]
    path.write_bytes(b"".join(b"%b\n%b\n" % pair for pair in zip(lines, sound, strict=True)))
    assert feed(path) == 0
    bench.wait_for_triages(behind)
    found = {}
    for number, (name, line) in enumerate(zip(cases, lines, strict=True)):
        letters = bench.records.letters[f"{shown or path}:{2 * number + 1}"]
        assert len(letters) <= 1, name
        if letters:
            assert is_letter_of(letters[0], line, None), name
            found[name] = headers(letters[0])["plaint-reason"].decode()
    assert {name: found.get(name, PASSES) for name in cases} == {name: case.at_door for name, case in cases.items()}
    bench.untroubled(began)


def test_file_of_rows(bench: Bench, tmp_path: Path) -> None:
    began = time.time()
    own, behind = bench.ids(len(ROWS)), bench.ids(len(ROWS))
    path = tmp_path / "poison.csv"
    table, places = b"\xef\xbb\xbfid,text,created_at,author.followers\r\n", {}
    for number, (name, (row, _)) in enumerate(ROWS.items()):
        line = table.count(b"\n") + 1
        places[name] = f"{path}:{line}"
        table += (
            row.replace(b"ID", own[number].encode()) + b"\n" + b"%b,My router is dead,,\n" % behind[number].encode()
        )
    path.write_bytes(table)
    assert bench.stack.feed(path).wait(START_S) == 0
    bench.wait_for_triages(behind)
    found = {name: bench.records.reasons(place) for name, place in places.items()}
    assert found == {name: [] if outcome == PASSES else [outcome] for name, (_, outcome) in ROWS.items()}
    bench.untroubled(began)


def test_standard_input_of_classify(bench: Bench, tmp_path: Path) -> None:
    cases = {name: case for name, case in POSTS.items() if case.is_line} | DEEP
    own = bench.ids(len(cases))
    lines = [case.filled(own[n]) or b"" for n, case in enumerate(cases.values())]
    path = tmp_path / "poison.jsonl"
    path.write_bytes(
        b"".join(b'%b\n{"id":%d,"text":"My router is dead"}\n' % (line, n) for n, line in enumerate(lines))
    )
    with path.open("rb") as given:
        done = _plaint(bench, "classify", stdin=given)
    refused = {name: 2 * n + 1 for n, (name, case) in enumerate(cases.items()) if case.at_classify != PASSES}
    assert done.returncode == 1
    told = [line for line in done.stderr.decode().splitlines() if line.startswith("line ")]
    assert [int(line.split(":")[0][5:]) for line in told] == list(refused.values())
    assert not UNSEEN.search(done.stderr)
    ids = [json.loads(line)["id"] for line in done.stdout.splitlines()]
    assert [i for i in ids if isinstance(i, int) and i < len(lines)] == list(range(len(lines)))
    assert len(ids) == 2 * len(lines) - len(refused)


def test_posts_topic_of_the_embedded_broker(tmp_path: Path) -> None:
    """And what foreign bytes on every other topic do to ``plaint up``, which reads them all."""
    cases = POSTS
    garbage = [wire.TRIAGED, wire.tickets("helpdesk"), wire.deliveries("helpdesk"), wire.DEAD_LETTERS]
    with Up(tmp_path) as up:
        with Writer(up.bootstrap()) as writer:
            for number, case in enumerate(cases.values()):
                partition, own = number % PARTITIONS, f"poison{number:06d}"
                writer.put(wire.POSTS, partition, case.filled(own), case.key, case.headers)
                writer.put(wire.POSTS, partition, post().replace(b"ID", b"sound%07d" % number))
            for topic in garbage:
                writer.put(topic, 0, b"\xff{", b"\xff", [("plaint-reason", b"\xff"), ("", b"")])
        summary = up.summary(post().replace(b"ID", b"through stdin"))
    outcomes = Counter(case.outcome for case in cases.values())
    dead = {reason: count for reason, count in outcomes.items() if reason not in (PASSES, DROPPED)}
    dead[JSON] += 2  # on triaged and on tickets
    assert summary["lost"] == summary["duplicates"] == 0, up.said()
    assert summary["dead"] == dead
    assert summary["dropped"]["empty_text"] + summary["dropped"]["unknown_event"] == outcomes[DROPPED]
    assert summary["triaged"] == outcomes[PASSES] + len(cases) + 1
    assert "Traceback" not in up.said()
    assert not UNSEEN.search(up.said().encode())


class Up:
    """``plaint up`` on standard input, which ends once all is settled."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "plaint",
                    "up",
                    "--source",
                    "stdin",
                    "--exit-when-done",
                    "--summary",
                    "json",
                ],
                env=environment(),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def said(self) -> str:
        """All that it logged."""
        return self._log.read_text(errors="replace")

    def bootstrap(self) -> str:
        """The address of its broker, once the topics are there."""
        until(lambda: "inbox: http" in self.said(), START_S, self.said)
        found = re.search(r"127\.0\.0\.1:\d+", self.said())
        assert found, self.said()
        return found[0]

    def summary(self, last: bytes) -> dict[str, Any]:
        """What it sums up at its end, which comes after this line."""
        out, _ = self._process.communicate(last + b"\n", timeout=START_S)
        assert self._process.returncode == 0, self.said()
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found


def environment(**settings: dict[str, object]) -> dict[str, str]:
    """Of a process with these settings and the model of the stack."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("PLAINT_")}
    if TINY_MODELS:
        settings["PLAINT_CLASSIFY"] = {"model": str(TINY_MODELS[0])}
    return {**own, "PYTHONPATH": str(REPOSITORY), **{name: json.dumps(value) for name, value in settings.items()}}


def _plaint(bench: Bench, *arguments: str, stdin: BinaryIO) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "plaint", *arguments],
        env=environment(PLAINT_KAFKA={"brokers": [bench.stack.bootstrap]}),
        cwd=bench.stack.folder,
        stdin=stdin,
        capture_output=True,
        timeout=START_S,
    )

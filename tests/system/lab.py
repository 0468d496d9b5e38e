"""One worker a stage on a Kafka of its own, to put anything before, and what is said about it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from tests.support.kafka_process import REPOSITORY, KafkaProcess
from tests.system.poison import Poison, post
from tests.system.raw import PARTITIONS, Records, Writer, is_letter_of, until
from tests.system.stack import TINY_MODELS, Stack

PATIENCE_S = 60
START_S = 120
UNSEEN = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
"""What a log must not hold: it would forge a line or steer a terminal."""
STEERING = re.compile("[\u0080-\u009f\u202a-\u202e\u2066-\u2069]")


class Lab:
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


@contextmanager
def open_lab(folder: Path) -> Iterator[Lab]:
    """A lab at work, with data and logs under ``folder``."""
    with KafkaProcess(folder / "kafka") as node, Stack(folder / "stack", node.bootstrap, workers=1) as stack:
        stack.receiver.wait(START_S)
        first = folder / "first.jsonl"
        first.write_bytes(post().replace(b"ID", b"first") + b"\n")
        assert stack.feed(first).wait(START_S) == 0
        with Writer(node.bootstrap) as writer:
            records = Records(node.bootstrap)
            lab = Lab(stack, writer, records)
            lab.wait_for_triages(["first"])
            yield lab
            records.close()


def environment(**settings: dict[str, object]) -> dict[str, str]:
    """Of a process with these settings and the model of the stack."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("PLAINT_")}
    if TINY_MODELS:
        settings["PLAINT_CLASSIFY"] = {"model": str(TINY_MODELS[0])}
    return {**own, "PYTHONPATH": str(REPOSITORY), **{name: json.dumps(value) for name, value in settings.items()}}


def plaint(lab: Lab, *arguments: str, stdin: BinaryIO) -> "subprocess.CompletedProcess[bytes]":
    """Run a command of plaint's on the lab's Kafka until it ends."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "plaint", *arguments],
        env=environment(PLAINT_KAFKA={"brokers": [lab.stack.bootstrap]}),
        cwd=lab.stack.folder,
        stdin=stdin,
        capture_output=True,
        timeout=START_S,
    )

"""schemathesis finds nothing: the door does what its description says, on a real broker, and takes what it says it takes.

It runs as its users run it, from the command line, over what it makes of the description: right and wrong, in every field.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ingest.publish import PostPublisher
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from tests.ingest.http_door import TOKENS, Door, open_door

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
LINES = """
import json, schemathesis

@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    posts = value if isinstance(value, list) else [value]
    return "\\n".join(json.dumps(post) for post in posts).encode()
"""


@pytest.fixture
def publisher(new_tansu: str) -> Iterator[PostPublisher]:
    ensure_topics(KafkaSettings(brokers=(new_tansu,)), [])
    with closing(PostPublisher({"bootstrap_servers": new_tansu}, idempotent=False)) as publisher:
        yield publisher
        publisher.drain()


def found_by_schemathesis(door: Door, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    (folder / "lines.py").write_text(LINES)
    url = f"http://127.0.0.1:{door.port}/openapi.json"
    return subprocess.run(
        [SCHEMATHESIS, "run", url, "--no-color", "--generation-deterministic", *options],
        env=os.environ | {"SCHEMATHESIS_HOOKS": "lines", "PYTHONPATH": str(folder), "PYTHONWARNINGS": "ignore"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=150,
    )


def all_passed(said: str) -> int:
    """How many requests it made, if all of them passed."""
    summary = re.search(r"(\d+) generated, (\d+) passed", said)
    assert summary, said[-2000:]
    assert summary[1] == summary[2]
    return int(summary[1])


def test_nothing_is_found_at_a_door_that_everybody_may_use(publisher: PostPublisher, tmp_path: Path) -> None:
    with open_door(publisher) as door:
        done = found_by_schemathesis(door, tmp_path, "--max-examples", "10")
        assert done.returncode == 0, done.stdout[-3000:]
        assert all_passed(done.stdout) > 300
        assert publisher.offered > 100
        assert door.failures == []


def test_nothing_is_found_at_a_door_that_asks_who_sends(publisher: PostPublisher, tmp_path: Path) -> None:
    with open_door(publisher, token=TOKENS[0]) as door:
        proof = ("--header", f"Authorization: Bearer {TOKENS[0]}")
        done = found_by_schemathesis(door, tmp_path, *proof, "--phases", "examples,fuzzing", "--max-examples", "4")
        assert done.returncode == 0, done.stdout[-3000:]
        assert all_passed(done.stdout) >= 5
        assert publisher.offered > 0

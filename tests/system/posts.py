"""Posts for system tests: the shipped samples' texts under new ids."""

import json
from collections.abc import Iterator
from pathlib import Path

from tests.support.kafka_process import REPOSITORY

SAMPLES = REPOSITORY / "ingest" / "samples" / "posts.jsonl"


def write_posts(path: Path, prefix: str, count: int) -> list[str]:
    """Write ``count`` posts as JSON Lines, none with a blank text; their ids begin with ``prefix``."""
    found = texts()
    ids = [f"{prefix}{number:06d}" for number in range(count)]
    with path.open("w") as file:
        for number, post_id in enumerate(ids):
            network = ("bluesky", "mastodon", "x")[number % 3]
            file.write(json.dumps({"id": post_id, "network": network, "text": found[number % len(found)]}) + "\n")
    return ids


def texts() -> list[str]:
    """Those of the shipped samples, none blank."""
    found = list(_sample_texts())
    assert len(found) > 100, "the shipped samples are there"
    return found


def _sample_texts() -> Iterator[str]:
    with SAMPLES.open() as lines:
        for line in lines:
            text = json.loads(line).get("text", "")
            if text.strip():
                yield text

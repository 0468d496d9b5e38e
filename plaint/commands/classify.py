"""``plaint classify``: JSON Lines in, labels out, no broker."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click
import orjson

from classify.load import load_classifier
from ingest.decode import post_from_json
from ingest.lines import without_mark
from plaint.settings import load_settings
from plaint.terminal import echo_to_who_listens, shown_json
from schemas.post import Post
from schemas.record import RecordInvalid
from schemas.triage import Triage

CHUNK_LINES = 1024
READ_BYTES = 1 << 18
SHOWN = {
    "intent",
    "confidence",
    "intents",
    "sentiment",
    "sentiments",
    "urgency",
    "urgencies",
    "urgent",
    "unsure",
    "unsure_why",
    "language",
}


@click.command()
@click.pass_obj
def classify(config: Path | None) -> None:
    """Label posts from standard input.

    Reads JSON Lines {"id": …, "text": …} and writes one line of labels each, in the same order. A line that can't be
    read is told on stderr with its number, and the exit code is then 1.

    \b
    echo '{"id": "1", "text": "my router is dead, third time"}' | plaint classify
    """
    classifier, _ = load_classifier(load_settings(config).classify)
    bad = 0
    number = 0
    for lines in _chunks(sys.stdin.buffer):
        posts: list[tuple[str | int, Post]] = []
        for line in without_mark(lines) if not number else lines:
            number += 1
            if not line.strip():
                continue
            try:
                posts.append(_read(line))
            except RecordInvalid as refusal:
                bad += 1
                echo_to_who_listens(f"line {number}: {refusal.detail}", err=True)
        triages = classifier.triage([post for _, post in posts])
        out = [_line(id_, triage) for (id_, _), triage in zip(posts, triages, strict=True)]
        click.echo(b"".join(out), nl=False)
    if bad:
        echo_to_who_listens(f"{bad} of {number} lines could not be read", err=True)
        sys.exit(1)


def _chunks(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Lines as they come, many at a time where many are waiting."""
    rest = b""
    read = getattr(stream, "read1", stream.read)
    while data := read(READ_BYTES):
        *lines, rest = (rest + data).split(b"\n")
        for start in range(0, len(lines), CHUNK_LINES):
            yield lines[start : start + CHUNK_LINES]
    if rest:
        yield [rest]


def _read(line: bytes) -> tuple[str | int, Post]:
    """The id as it was given, and the post. A whole number does for an id. Raises RecordInvalid."""
    post = post_from_json(line)
    try:
        given = orjson.loads(line)["id"]
    except orjson.JSONDecodeError:  # a number beyond its range in a field that nobody reads
        given = None
    return (given if type(given) is int else post.id), post


def _line(id_: str | int, triage: Triage) -> bytes:
    labels = triage.model_dump(
        mode="json",
        include=SHOWN,
    )
    line = orjson.dumps(
        {"id": id_, **labels, "model": triage.model_version}, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    )
    return shown_json(line.decode()).encode()

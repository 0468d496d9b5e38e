"""What older versions left in Kafka when they were ended amid their work is taken up by this one: docs/upgrade.md."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.support.command import plaint, shown
from tests.support.kafka_process import REPOSITORY
from tests.system import wire
from tests.system.leaving import HELD, IN_HAND, LEFT, SETTINGS, put, records
from tests.system.stack import Stack

KAFKA = {**SETTINGS["kafka"], "idempotent_producer": False}
"""As the embedded broker wants it."""
SOME_S = 120
OLDER, NEWEST = (files := sorted(LEFT.glob("*.jsonl")))[:-1], files[-1]


def test_each_release_has_left_something() -> None:
    releases = re.findall(r"^## ([\d.]+)(.*)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert releases
    for version, rest in releases:
        file = LEFT / f"{version}.jsonl"
        mend = f"python -m tests.system.leaving {file.relative_to(REPOSITORY)}"
        assert file.exists() or "not released" in rest, mend


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "left", [*(pytest.param(file, marks=pytest.mark.long) for file in OLDER), NEWEST], ids=lambda file: file.stem
)
def test_what_an_older_version_had_in_hand_is_delivered_once_and_nothing_again(
    left: Path, new_tansu: str, tmp_path: Path
) -> None:
    expected = _ids("helpdesk", *IN_HAND)
    settings = {**SETTINGS, "kafka": KAFKA}
    with Stack(tmp_path / "stack", new_tansu, workers=1, begins=False, settings=settings) as stack:
        stack.receiver.wait()
        assert _run(stack, "topics", "--create").returncode == 0
        put(left, new_tansu)
        stack.begin()
        _until(stack, lambda: expected <= _taken(stack))
        if _is_off(left, "service"):
            assert "stock-taking" in shown(_run(stack, "destination", "list"))
            assert _run(stack, "destination", "enable", "service").returncode == 0
            expected |= _ids("service", HELD)
            _until(stack, lambda: expected <= _taken(stack))
        _until(stack, lambda: not any(stage["lag"] or stage["open_tickets"] for stage in _status(stack)))
        assert _taken(stack) == expected
        assert set(Counter(request.webhook_id for request in stack.wiretap.sent()).values()) == {1}
        _what_was_before_is_told(stack, left)
        _a_dead_ticket_goes_again(stack)
        assert stack.incidents("exit") == []


def _what_was_before_is_told(stack: Stack, left: Path) -> None:
    assert "helpdesk: done (201)" in _explained(stack, "done")
    assert "helpdesk: withdrawn (200)" in _explained(stack, "withdrawn")
    waiting = json.loads(_run(stack, "tickets", "show", "waiting", "--json").stdout)
    assert (waiting["state"], waiting["requests"]) == ("done", 2), waiting  # one of before
    letters = _letters(stack)
    assert "first.jsonl:4" in {letter["place"] for letter in letters}
    marks = [record for record in records(left) if "plaint-replayed-letter" in dict(record["headers"])]
    assert sum(len(letter["replays"]) for letter in letters) == len(marks)


def _a_dead_ticket_goes_again(stack: Stack) -> None:
    assert "helpdesk: dead, refused (400)" in _explained(stack, "refused")
    key = wire.ticket_key("refused", "helpdesk")
    (letter,) = (one["id"] for one in _letters(stack) if one["key"] == key)
    assert _run(stack, "dead", "replay", letter, "--force").returncode == 0
    (first,) = _ids("helpdesk", "refused")
    _until(stack, lambda: f"{first}-1" in _taken(stack))


def _explained(stack: Stack, post_id: str) -> str:
    summary: str = json.loads(_run(stack, "explain", post_id, "--json").stdout)["summary"]
    return summary


def _letters(stack: Stack) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _run(stack, "dead", "list", "--json").stdout.splitlines()]


def _status(stack: Stack) -> list[dict[str, Any]]:
    stages: list[dict[str, Any]] = json.loads(_run(stack, "status", "--json").stdout)["stages"]
    return stages


def _run(stack: Stack, *arguments: str) -> "CompletedProcess[bytes]":
    return plaint(*arguments, cwd=stack.folder, settings=stack.environment("helpdesk-0"))


def _is_off(left: Path, destination: str) -> bool:
    """Whether the older version left it turned off."""
    switch = (wire.deliveries(destination), "_switch")
    said = [record["value"] for record in records(left) if (record["topic"], record["key"]) == switch]
    return bool(said) and json.loads(said[-1])["state"] == "disabled"


def _ids(destination: str, *posts: str) -> set[str]:
    return {wire.webhook_id(wire.ticket_key(post, destination), 0) for post in posts}


def _taken(stack: Stack) -> set[str]:
    return {receipt["id"] for receipt in stack.receiver.receipts()}


def _until(stack: Stack, reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOME_S
    while not reached():
        assert time.monotonic() < deadline, "\n".join(f"--- {one.name}\n{one.said()}" for one in stack.workers.values())
        time.sleep(0.2)

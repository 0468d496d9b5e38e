"""Every worker of every stage is told to end and is started again while posts flow, as in an upgrade: see docs/upgrade.md."""

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from tests.system.kills import STAGES, was_in_flight
from tests.system.posts import write_posts
from tests.system.stack import DESTINATIONS, Plaint, Stack
from tests.system.verdict import repeated, settle

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

POSTS, RATE = 150, 50.0
"""Posts that come, and how many a second, while the two workers of a stage are restarted."""
GRACE_S = 60
"""What docs/kafka.md tells an orchestrator to wait before it kills."""
IN_FLIGHT_WAIT_S = 5.0
TAKES_LONG = {"do": "wait", "seconds": 0.3}
"""So that a request is under way when its worker is told to end."""
AGAINST_THE_WAY = (*DESTINATIONS, "route", "classify")


@pytest.mark.long
def test_a_rolling_restart_amid_a_stream_loses_nothing_and_repeats_no_request(stack: Stack, tmp_path: Path) -> None:
    assert set(AGAINST_THE_WAY) == set(STAGES)
    stack.receiver.fail(TAKES_LONG)
    begun = time.time()
    ids: list[str] = []
    for stage in AGAINST_THE_WAY:
        file = tmp_path / f"{stage}.jsonl"
        fresh = write_posts(file, f"rolling-{stage}:", POSTS)
        ingest = stack.feed(file, RATE)
        _until_they_come(stack, fresh)
        for number in range(2):
            _end(stack, stack.workers[f"{stage}-{number}"])
        assert ingest.wait(60) == 0, ingest.said()
        ids += fresh
    verdict = settle(stack, ids, None, 200)
    assert verdict.faults == {}
    assert verdict.triaged == len(ids)
    assert verdict.tickets == verdict.expected
    ends = stack.incidents("told to end", begun)
    assert len(ends) == 2 * len(AGAINST_THE_WAY)
    again = [request for sent in repeated(stack.wiretap.sent(begun)).values() for request, _ in pairwise(sent)]
    assert [request for request in again if was_in_flight(request, ends)] == []


def _until_they_come(stack: Stack, ids: Sequence[str]) -> None:
    for _ in range(200):
        if any(post_id in stack.read(0.2).triages for post_id in ids):
            return
    raise AssertionError(f"nothing of {ids[0]} … came")


def _end(stack: Stack, worker: Plaint) -> None:
    """SIGTERM, to one that delivers amid a request if there is one; whoever keeps the workers running starts it again."""
    kills = [one.what for one in worker.incidents].count("killed")
    until = time.monotonic() + IN_FLIGHT_WAIT_S
    while worker.name[:-2] in DESTINATIONS and time.monotonic() < until:
        if any(one.worker == worker.name and one.answered_at is None for one in stack.wiretap.requests[-100:]):
            break
        time.sleep(0.002)
    worker.end(GRACE_S)
    assert [one.what for one in worker.incidents].count("killed") == kills, f"{worker.name}: {worker.said()}"

"""Every worker of every stage is told to end and is started again while posts flow, as in an upgrade: see docs/upgrade.md."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.system.kills import STAGES
from tests.system.posts import write_posts
from tests.system.receiver import TAKES_LONG
from tests.system.stack import DESTINATIONS, TIMEOUT_S, Plaint, Stack
from tests.system.verdict import settle
from tests.system.wiretap import Request

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

POSTS, RATE = 150, 50.0
"""Posts that come, and how many a second, while the two workers of a stage are restarted."""
GRACE_S = 60
"""What docs/kafka.md tells an orchestrator to wait before it kills."""
AGAINST_THE_WAY = (*DESTINATIONS, "route", "classify")


def test_a_rolling_restart_amid_a_stream_loses_nothing_and_cuts_no_request_off(stack: Stack, tmp_path: Path) -> None:
    assert set(AGAINST_THE_WAY) == set(STAGES)
    stack.receiver.fail(TAKES_LONG)
    ids: list[str] = []
    cut_off: list[Request] = []
    for stage in AGAINST_THE_WAY:
        file = tmp_path / f"{stage}.jsonl"
        fresh = write_posts(file, f"rolling-{stage}:", POSTS)
        ingest = stack.feed(file, RATE)
        _until_they_come(stack, fresh)
        for number in range(2):
            cut_off += _ended(stack, stack.workers[f"{stage}-{number}"])
        assert ingest.wait(60) == 0, ingest.said()
        ids += fresh
    verdict = settle(stack, ids, None, 200)
    assert verdict.faults == {}
    assert verdict.triaged == len(ids)
    assert verdict.tickets == verdict.expected
    assert cut_off == []


def _until_they_come(stack: Stack, ids: Sequence[str]) -> None:
    for _ in range(200):
        if any(post_id in stack.read(0.2).triages for post_id in ids):
            return
    raise AssertionError(f"nothing of {ids[0]} … came")


def _ended(stack: Stack, worker: Plaint) -> list[Request]:
    """SIGTERM; whoever keeps the workers running starts it again. The requests that it had not finished when it ended."""
    kills = [one.what for one in worker.incidents].count("killed")
    worker.end(GRACE_S)
    now = time.time()
    assert [one.what for one in worker.incidents].count("killed") == kills, f"{worker.name}: {worker.said()}"
    own = [request for request in stack.wiretap.sent(now - TIMEOUT_S, now) if request.worker == worker.name]
    return [request for request in own if (request.answered_at or now) >= now]

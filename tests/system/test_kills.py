"""Workers are killed with -9 while posts flow: nothing is lost, and only what was in flight at a kill is sent again."""

from pathlib import Path

import pytest

from tests.system.kills import STAGES, KillReport, kill_while_flowing
from tests.system.receiver import DROPS_ONE_IN_FIVE, TAKES_LONG
from tests.system.stack import CONCURRENCY, DESTINATIONS, Stack

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def test_kills_of_every_stage_lose_nothing_and_repeat_only_what_was_in_flight(stack: Stack, tmp_path: Path) -> None:
    stack.receiver.fail(TAKES_LONG)
    report = kill_while_flowing(stack, tmp_path, "kills", posts=1400, rate=1000, kills=10, seed=1, timeout_s=200)
    _all_well(report)
    assert report.unanswered == dict.fromkeys(DESTINATIONS, 0)
    assert {kill.name[:-2] for kill in report.kills} == set(STAGES)


@pytest.mark.long
def test_kills_lose_nothing_where_the_receiver_drops_one_line_in_five(stack: Stack, tmp_path: Path) -> None:
    stack.receiver.fail(*DROPS_ONE_IN_FIVE)
    report = kill_while_flowing(stack, tmp_path, "drops", posts=600, rate=1000, kills=4, seed=2, timeout_s=200)
    _all_well(report)
    tickets = sum(report.verdict.tickets.values())
    assert sum(report.unanswered.values()) > tickets / 10, "the receiver did drop lines"


def _all_well(report: KillReport) -> None:
    verdict = report.verdict
    assert verdict.faults == {}
    assert verdict.triaged == verdict.posts
    assert verdict.tickets == verdict.expected
    assert report.unexplained == []
    assert report.exits == []
    # A machine that starves a worker for longer than its session takes its partitions from it amid requests.
    assert sum(report.moved.values()) <= CONCURRENCY
    assert sum(report.late.values()) <= 2 * CONCURRENCY  # or keeps the receiver from answering in time
    for name in DESTINATIONS:
        assert verdict.tickets[name] > 0
        assert report.in_flight[name] <= report.may_repeat(name)
        repeats = report.in_flight[name] + report.unanswered[name] + report.moved[name] + report.late[name]
        assert verdict.requests[name] == verdict.tickets[name] + repeats

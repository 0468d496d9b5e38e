"""Kafka, a worker or the receiver goes away while posts flow and comes back: nothing is lost, nothing comes twice."""

from pathlib import Path

import pytest

from tests.system.conftest import Running
from tests.system.outages import (
    OutageReport,
    kafka_dies,
    kafka_stops,
    outage,
    receiver_goes,
    receiver_hangs,
    workers_stop,
)
from tests.system.stack import CONCURRENCY, DESTINATIONS, PROBE_S, SESSION_S, TIMEOUT_S, Stack

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def test_kafka_stopped_for_longer_than_a_session(running: Running, stack: Stack, tmp_path: Path) -> None:
    happen = kafka_stops(stack, running.node, SESSION_S + 4)
    _all_well(outage(stack, tmp_path, "kafka-stops", posts=400, rate=40, before_s=1, happen=happen, timeout_s=200))


@pytest.mark.long
def test_kafka_killed_and_started_again_on_the_same_data(running: Running, stack: Stack, tmp_path: Path) -> None:
    happen = kafka_dies(stack, running.node)
    _all_well(outage(stack, tmp_path, "kafka-dies", posts=400, rate=40, before_s=1, happen=happen, timeout_s=200))


def test_workers_stopped_for_longer_than_their_session_send_nothing_when_they_wake(
    stack: Stack, tmp_path: Path
) -> None:
    happen = workers_stop(stack, ["classify-0", "route-0", "helpdesk-0", "service-0"], SESSION_S + 3)
    report = outage(stack, tmp_path, "zombies", posts=700, rate=40, before_s=1, happen=happen, timeout_s=200)
    _all_well(report)


def test_a_receiver_that_is_gone_is_probed_and_gets_no_storm_when_it_is_back(stack: Stack, tmp_path: Path) -> None:
    happen = receiver_goes(stack, 8)
    report = outage(stack, tmp_path, "gone", posts=500, rate=50, before_s=0.5, happen=happen, timeout_s=200)
    _all_well(report)
    _no_storm(report)


def test_a_receiver_that_hangs_is_probed_and_gets_no_storm_when_it_works_again(stack: Stack, tmp_path: Path) -> None:
    happen = receiver_hangs(stack, 8)
    report = outage(stack, tmp_path, "hangs", posts=500, rate=50, before_s=0.5, happen=happen, timeout_s=200)
    _all_well(report)
    _no_storm(report)


def _all_well(report: OutageReport) -> None:
    verdict = report.verdict
    assert verdict.faults == {}
    assert verdict.triaged == verdict.posts
    assert verdict.tickets == verdict.expected
    assert all(verdict.tickets[name] > 0 for name in DESTINATIONS)


def _no_storm(report: OutageReport) -> None:
    """Two workers a destination; the last hanging probe and the next one may have to be waited for."""
    assert report.exits == []
    for name in DESTINATIONS:
        assert 0 < report.tried[name] <= report.may_try(workers=2)
        assert report.most_at_once[name] <= 2 * CONCURRENCY
    assert report.first_after is not None
    assert report.first_after - report.ended < TIMEOUT_S + 2 * PROBE_S + 3

"""Posts live while everything fails: each ticket ends as the last state of its post asks, and on the way never goes back."""

from pathlib import Path

import pytest

from tests.support.kafka_process import KafkaProcess, why_no_kafka
from tests.system.stack import Stack
from tests.system.trouble import LIVES, live_through

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(600)]


@pytest.mark.parametrize("seed", [1])
def test_whatever_fails_while_posts_live_each_ticket_ends_as_its_post_does(seed: int, tmp_path: Path) -> None:
    if reason := why_no_kafka():
        pytest.skip(f"NOT TESTED ON APACHE KAFKA: {reason}")
    with (
        KafkaProcess(tmp_path / "kafka") as node,
        Stack(tmp_path / "stack", node.bootstrap, destination=LIVES) as stack,
    ):
        stack.receiver.wait()
        report = live_through(stack, seed, posts=60, seconds=45, timeout_s=300)
    assert report.found.faults == {}, "\n".join(report.done)
    assert set(report.found.ends) == {
        f"{name} {end}" for name in ("helpdesk", "service") for end in ("none", "there", "withdrawn")
    }, "the lives are of all kinds"

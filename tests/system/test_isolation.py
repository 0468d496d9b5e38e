"""A destination that is dead holds up itself alone."""

import pytest

from tests.system.isolation import isolate
from tests.system.stack import Stack

pytestmark = pytest.mark.kafka

FLOOR_MS = 30
"""What a machine that others use too may add; the strict ratio is for the long form, ``python -m tests.chaos isolation``."""


@pytest.mark.long
def test_a_dead_destination_with_a_backlog_slows_no_other_while_its_workers_leave_and_join(stack: Stack) -> None:
    found = isolate(stack, backlog=5_000, rate=50, seconds=5, moves=1, timeout_s=120)
    alive = max(found.before.p99_of_windows(), found.after.p99_of_windows())
    assert found.during.p99_of_windows() <= max(1.2 * alive, alive + FLOOR_MS)
    assert found.arrived == found.backlog == 5_000
    assert found.second == 0

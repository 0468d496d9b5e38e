"""The queue of what is to be sent, by itself."""

from random import Random

from route.delivery.fold import Item
from route.delivery.queue import DueQueue


def item(key: str, due: float) -> Item:
    return Item(key, 0, "create", 0, due, False, "accepted", b"{}")


def drained(queue: DueQueue[str], now: float) -> list[float]:
    """When what is due at ``now`` was due, in the order of its turns."""
    queue.next_due(now)
    return [queue.pop().at for _ in range(queue.ready)]


def test_what_is_hurried_goes_before_what_was_due_earlier_and_is_not() -> None:
    queue = DueQueue[str]()
    for number in range(20):
        queue.push("lane", item(f"{number}", 100.0 + number))
    queue.hurry({"7", "19"}, at=10.0)
    assert queue.next_due(9.0) == 10.0
    assert drained(queue, 10.0) == [10.0, 10.0]
    assert queue.next_due(10.0) == 100.0
    assert drained(queue, 200.0) == [100.0 + number for number in range(20) if number not in (7, 19)]


def test_the_order_of_the_others_stays_when_a_partition_goes() -> None:
    queue, random = DueQueue[str](), Random(1)
    kept = []
    for number in range(200):
        due, lane = random.uniform(0, 100), random.choice(("ours", "theirs"))
        queue.push(lane, item(f"{number}", due))
        kept += [due] if lane == "ours" else []
    queue.next_due(50.0)  # half of them is due
    queue.discard("theirs")
    assert len(queue) == len(kept)
    for now in range(50, 101):
        queue.next_due(now)
        assert queue.ready == sum(due <= now for due in kept)
    assert drained(queue, 100.0) == sorted(kept)

"""Destinations that were taken out of the settings with tickets still open there, on both brokers."""

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from plaint.kafka.publisher import OutRecord, Publisher
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from plaint.leftovers import Leftover, judge, leftovers, strangers, warn_of_strangers
from plaint.settings import Settings
from schemas import topics
from schemas.delivery import IN_USE_KEY, OWNER_KEY, SWITCH_KEY, Delivery, State
from schemas.ticket import Op, Ticket, ticket_key

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOOK = {"url": "https://desk.example.com/", "secret": "whsec_" + "A" * 32}


class Destination:
    """What stands in the two topics of a destination."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.records: list[OutRecord] = []

    def ticket(self, post: str, op: Op = "create", revision: int = 0, generation: int = 0) -> None:
        ticket = self._ticket(post, op, revision, generation)
        self._add(topics.tickets(self.name), ticket.key, ticket.to_bytes())

    def _ticket(self, post: str, op: Op = "create", revision: int = 0, generation: int = 0) -> Ticket:
        key = ticket_key(post, self.name)
        return Ticket(
            key=key, op=op, revision=revision, generation=generation, destination=self.name, post_id=post, text="hello"
        )

    def step(self, post: str, state: State) -> None:
        step = Delivery(state=state, at=NOW)
        if state not in ("done", "dead"):
            step = step.model_copy(update={"due_at": NOW, "ticket": self._ticket(post)})
        self._add(topics.deliveries(self.name), ticket_key(post, self.name), step.to_bytes())

    def other(self, topic: str, key: str, value: bytes) -> None:
        self._add(topic, key, value)

    def _add(self, topic: str, key: str, value: bytes) -> None:
        self.records.append(OutRecord(topic, 2, key.encode(), value))


async def test_what_is_open_at_a_removed_destination_is_counted(broker: str, fresh: str) -> None:
    kafka = KafkaSettings(brokers=(broker,), idempotent_producer=False)
    kept, gone, idle = (f"{name}-{fresh}" for name in ("kept", "gone", "idle"))
    await asyncio.to_thread(ensure_topics, kafka, [kept, gone, idle])
    found = Destination(gone)
    found.ticket("never begun")
    for post in ("waits", "done", "dead", "again"):
        found.ticket(post)
        found.step(post, "accepted")
    found.step("done", "sending")
    found.step("done", "done")
    found.step("dead", "dead")
    found.step("again", "dead")
    found.ticket("again", generation=1)  # somebody had it sent anew
    found.ticket("edited")
    found.step("edited", "done")
    found.ticket("edited", op="update", revision=3)
    found.ticket("never was", op="withdraw")
    found.step("aged out", "sending")  # its ticket is gone by age, the log has it
    found.other(topics.deliveries(gone), OWNER_KEY, Delivery(state="owner", at=NOW).to_bytes())
    found.other(topics.deliveries(gone), SWITCH_KEY, Delivery(state="enabled", at=NOW).to_bytes())
    found.other(topics.deliveries(gone), IN_USE_KEY, Delivery(state="in_use", at=NOW, settings="ab12").to_bytes())
    found.other(topics.tickets(gone), "junk", b"{")
    found.other(topics.deliveries(gone), "junk", b"{")
    publisher = Publisher(kafka)
    await publisher.start()
    await publisher.publish(found.records)
    await publisher.stop()
    left = [one for one in await leftovers(kafka, {kept}) if one.destination.endswith(fresh)]
    assert left == [Leftover(destination=gone, open=5), Leftover(destination=idle, open=0)]


def test_only_topics_of_destinations_count() -> None:
    names = ["plaint.posts", "plaint.tickets.a", "plaint.deliveries.a", "plaint.deliveries.b", "plaint.tickets.c", "x"]
    assert strangers(names, ["c"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("open_", "abandoned", "faults", "notes"),
    [
        (2, [], ["is not in the settings, but 2 tickets of it are not delivered"], []),
        (1, [], ["is not in the settings, but 1 ticket of it is not delivered"], []),
        (2, ["old"], [], ["2 tickets of it are given up"]),
        (0, [], [], ["is not in the settings, all of it is delivered"]),
        (0, ["desk"], ['"desk" is a destination'], ["is not in the settings, all of it is delivered"]),
    ],
)
def test_open_tickets_are_a_fault_unless_they_are_given_up(
    open_: int, abandoned: list[str], faults: list[str], notes: list[str]
) -> None:
    given: dict[str, Any] = {"destinations": {"desk": HOOK}, "route": {"abandoned": abandoned}}
    found = judge([Leftover(destination="old", open=open_)], Settings.model_validate(given))
    assert [fault.what for fault in found[0]] == faults
    assert [note.what for note in found[1]] == notes


def test_a_route_worker_warns_of_topics_that_belong_to_nobody(
    tansu: str, fresh: str, caplog: pytest.LogCaptureFixture
) -> None:
    kafka = KafkaSettings(brokers=(tansu,))
    ensure_topics(kafka, [f"gone-{fresh}", f"here-{fresh}", f"given-up-{fresh}"])
    with caplog.at_level(logging.WARNING):
        warn_of_strangers(kafka, [f"here-{fresh}"], [f"given-up-{fresh}"])
        deadline = time.monotonic() + 60
        while f"gone-{fresh}" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.05)
    assert f"destination gone-{fresh} has topics but is not in the settings" in caplog.text
    assert f"destination here-{fresh}" not in caplog.text
    assert f"destination given-up-{fresh}" not in caplog.text

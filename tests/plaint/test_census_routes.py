"""A run whose routes are read again on the way: each post must have the tickets of one version of them."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from plaint.kafka.publisher import OutRecord, Publisher
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from plaint.local.census import Census
from plaint.local.settle import Follower, sum_up
from route.rules import RouteTable
from route.tickets import tickets_for
from schemas import topics
from schemas.delivery import Delivery
from schemas.post import Post
from schemas.reasons import DropReason
from schemas.ticket import Ticket
from schemas.triage import Triage

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUEUES = ("helpdesk", "service")
RULES = """\
rules:
  - {{name: complaints, why: A complaint., match: {{intent: complaint}}, destinations: {destinations}}}
  - {{name: rest, why: The rest., destinations: []}}
"""


@pytest.fixture
def versions(tmp_path: Path) -> dict[str, RouteTable]:
    """Routes by where complaints go."""
    found = {}
    for destinations in ("[helpdesk]", "[service]", "[]", "[helpdesk, service]"):
        path = tmp_path / "routes.yaml"
        path.write_text(RULES.format(destinations=destinations))
        found[destinations] = RouteTable.load(path, QUEUES)
    return found


def triage(id_: str, **fields: object) -> Triage:
    post = Post.model_validate({"id": id_, "text": "it smokes", **fields})
    return Triage(post=post, intent="complaint", triaged_at=NOW)


class Told:
    """A census that is told of a run of one post, and of what the router made of it."""

    def __init__(self, *tables: RouteTable) -> None:
        self.census = Census(tables[0], QUEUES)
        self.census.read = 1
        self.triage = triage("a")
        self.census.add_post((topics.POSTS, 0, 0), self.triage.post.to_bytes(), 0.0)
        self.add_triage()
        for table in tables[1:]:
            self.census.add_table(table)
            self.add_triage()

    def add_triage(self) -> None:
        self.census.add_triage((topics.TRIAGED, 0, 7), self.triage.to_bytes())

    def routed(self, table: RouteTable) -> list[Ticket]:
        """The router has used this table, and acknowledged the record."""
        found, _ = tickets_for(self.triage, table)
        for number, ticket in enumerate(found):
            self.census.add_ticket(
                ticket.destination, (topics.tickets(ticket.destination), 0, number), ticket.to_bytes()
            )
            step = Delivery(state="done", revision=ticket.revision, at=NOW)
            self.census.add_delivery(ticket.destination, ticket.key.encode(), step.to_bytes())
        self.census.routed = {0: 8}
        return found


@pytest.mark.parametrize("met", ["[helpdesk]", "[service]"])
def test_the_tickets_of_either_version_will_do(versions: dict[str, RouteTable], met: str) -> None:
    told = Told(versions["[helpdesk]"], versions["[service]"])
    assert told.census.missing() == ["a: no tickets of any version of the routes"]
    told.routed(versions[met])
    assert told.census.missing() == []
    assert told.census.drops == {}


def test_a_version_that_sends_it_nowhere_is_met_only_once_the_router_has_passed_it(
    versions: dict[str, RouteTable],
) -> None:
    told = Told(versions["[helpdesk]"], versions["[]"])
    assert told.census.missing() == ["a: no tickets of any version of the routes"]
    told.census.routed = {0: 7}  # the record itself is not acknowledged
    assert told.census.missing() != []
    told.routed(versions["[]"])
    assert told.census.missing() == []
    assert told.census.drops == {DropReason.UNROUTED: 1}
    assert sum_up(told.census, [], None, 1.0).dropped == {"unrouted": 1}


def test_a_post_that_has_tickets_is_not_counted_as_dropped(versions: dict[str, RouteTable]) -> None:
    told = Told(versions["[]"], versions["[helpdesk]"])
    told.routed(versions["[helpdesk]"])
    assert (told.census.missing(), told.census.drops) == ([], {})


def test_half_of_the_tickets_of_a_version_are_not_enough(versions: dict[str, RouteTable]) -> None:
    told = Told(versions["[service]"], versions["[helpdesk, service]"])
    (ticket, _) = tickets_for(told.triage, versions["[helpdesk, service]"])[0]
    assert ticket.destination == "helpdesk"
    told.census.add_ticket("helpdesk", (topics.tickets("helpdesk"), 0, 0), ticket.to_bytes())
    step = Delivery(state="done", revision=0, at=NOW)
    told.census.add_delivery("helpdesk", ticket.key.encode(), step.to_bytes())
    told.census.routed = {0: 8}
    assert told.census.missing() == ["a: no tickets of any version of the routes"]


def test_a_ticket_that_is_there_must_be_delivered_whichever_version_it_is_of(versions: dict[str, RouteTable]) -> None:
    told = Told(versions["[helpdesk]"], versions["[service]"])
    (ticket,), _ = tickets_for(told.triage, versions["[service]"])
    told.census.add_ticket("service", (topics.tickets("service"), 0, 0), ticket.to_bytes())
    told.census.routed = {0: 8}
    assert told.census.missing() == [f"{ticket.key}: not delivered to service"]


def test_versions_that_agree_on_a_post_leave_nothing_open(versions: dict[str, RouteTable]) -> None:
    told = Told(versions["[helpdesk]"], versions["[helpdesk]"])
    assert told.census.undecided() == []
    (ticket,) = tickets_for(told.triage, versions["[helpdesk]"])[0]
    assert told.census.missing() == [f"{ticket.key}: no ticket for helpdesk"]


async def test_a_follower_reads_the_triages_again_and_learns_what_the_router_has_passed(
    broker: str, fresh: str, versions: dict[str, RouteTable]
) -> None:
    settings = KafkaSettings(brokers=(broker,), idempotent_producer=False)
    await asyncio.to_thread(ensure_topics, settings, QUEUES)
    census = Census(versions["[helpdesk]"], QUEUES)
    publisher, follower = Publisher(settings), Follower(settings, census, list(QUEUES), fresh=True, remember=10)
    mine = triage(f"x:{fresh}")
    async with AsyncExitStack() as stack:
        await publisher.start()
        stack.push_async_callback(publisher.stop)
        await follower.begin()
        stack.push_async_callback(follower.end)
        (offset,) = await publisher.append(topics.TRIAGED, 1, [_record(mine)])
        async with asyncio.timeout(60):
            while mine.post.id not in census.triaged:
                await follower.read()
            census.add_table(versions["[]"])
            follower.triages_again()
            assert mine.post.id not in census.triaged
            while mine.post.id not in census.triaged:
                await follower.read()
            assert _is_open(census, mine)
            await _acknowledge(settings, offset + 1)
            while _is_open(census, mine):
                await follower.read()
    (ticket,) = tickets_for(mine, versions["[helpdesk]"])[0]
    assert census.drops[DropReason.UNROUTED] >= 1  # other tests leave triages on these topics
    assert not any(ticket.key in line for line in census.missing())


def _is_open(census: Census, triaged: Triage) -> bool:
    return (triaged.post.id, 0) in [identity for identity, _ in census.undecided()]  # others use these topics too


def _record(triaged: Triage) -> OutRecord:
    return OutRecord(topics.TRIAGED, 1, triaged.post.id.encode(), triaged.to_bytes())


async def _acknowledge(kafka: KafkaSettings, offset: int) -> None:
    """As the router does."""
    consumer = AIOKafkaConsumer(**kafka.connection(), group_id=topics.group("route"), enable_auto_commit=False)
    await consumer.start()
    try:
        where = TopicPartition(topics.TRIAGED, 1)
        consumer.assign([where])
        await consumer.commit({where: offset})
    finally:
        await consumer.stop()

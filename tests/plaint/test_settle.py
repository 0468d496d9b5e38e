"""When a run counts as settled, and what of the topics belongs to it."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web

from plaint.kafka.publisher import OutRecord, Publisher
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from plaint.local.census import Census
from plaint.local.settle import Follower, Summary, receipts, settle
from route.rules import RouteTable
from schemas import topics
from schemas.deadletter import DeadLetter
from schemas.delivery import Delivery
from schemas.post import Post
from schemas.reasons import DeadReason
from schemas.ticket import Ticket, ticket_key
from schemas.triage import Triage

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUEUES = ("helpdesk", "service", "marketing")


class Script:
    """A follower whose topics say at each read what is written here; every read takes one second."""

    def __init__(self, census: Census, *steps: str) -> None:
        self.seconds = 0.0
        self.reads = 0
        self._census = census
        self._steps = list(steps)

    async def read(self) -> int:
        await asyncio.sleep(0)
        self.seconds += 1
        self.reads += 1
        step = self._steps.pop(0) if self._steps else "nothing"
        if step == "post":
            post = Post(id=str(self.reads), text="hello")
            self._census.add_post((topics.POSTS, 0, self.reads), post.to_bytes(), 0.0)
        elif step == "triage":
            post = Post(id=next(iter(self._census.newest.keys() - self._census.triaged.keys())), text="hello")
            triage = Triage(post=post, intent="other", triaged_at=NOW)
            self._census.add_triage((topics.TRIAGED, 0, self.reads), triage.to_bytes())
        return step != "nothing"


@pytest.fixture
def census() -> Census:
    return Census(RouteTable.load(None, QUEUES), QUEUES)


async def settled(census: Census, script: Script, patience_s: float = 10) -> list[str]:
    return await settle(script, census, patience_s, now=lambda: script.seconds)  # type: ignore[arg-type]


async def test_it_settles_once_every_post_that_was_read_has_come_to_its_end(census: Census) -> None:
    census.read = 2
    script = Script(census, "nothing", "post", "nothing", "post", "triage", "nothing", "triage")
    assert await settled(census, script) == []
    assert script.reads == 8


async def test_a_silent_broker_at_the_start_is_not_the_end(census: Census) -> None:
    census.read = 1
    assert await settled(census, Script(census, *["nothing"] * 9, "post", "triage")) == []


async def test_records_that_never_pause_do_not_keep_a_settled_run_from_ending(census: Census) -> None:
    census.read = 1
    script = Script(census, "post", "triage", *["probe"] * 100)
    assert await settled(census, script, patience_s=90) == []
    assert script.seconds < 10


async def test_records_without_progress_do_not_stretch_the_patience(census: Census) -> None:
    census.read = 1
    script = Script(census, "post", *["probe"] * 100)
    assert await settled(census, script) == ["1: no triage"]
    assert script.seconds == pytest.approx(12, abs=10)


async def test_progress_does(census: Census) -> None:
    census.read = 3
    pause = ["nothing"] * 8
    script = Script(census, *["post"] * 3, *pause, "triage", *pause, "triage", *pause, "triage")
    assert await settled(census, script) == []


async def test_what_never_came_is_named(census: Census) -> None:
    census.read = 2
    missing = await settled(census, Script(census, "post"))
    assert missing == ["a post that was read was not written", "1: no triage"]


@pytest.mark.kafka
async def test_a_follower_leaves_out_what_was_there_before_it_began(kafka: str, fresh: str, census: Census) -> None:
    settings, name = KafkaSettings(brokers=(kafka,)), f"settle-{fresh}"
    await asyncio.to_thread(ensure_topics, settings, [name])
    census = Census(RouteTable.load(None, QUEUES), [*QUEUES, name])
    keys = [ticket_key(f"{name}{number}", name) for number in range(2)]
    publisher, follower = Publisher(settings), Follower(settings, census, [name], fresh=False, remember=100)
    async with AsyncExitStack() as stack:
        await publisher.start()
        stack.push_async_callback(publisher.stop)
        await publisher.publish(records(name, 0, keys[0]))
        await follower.begin()
        stack.push_async_callback(follower.end)
        await publisher.publish(records(name, 1, keys[1]))
        async with asyncio.timeout(60):
            while (
                len(census.tickets[name].ended) < 2
                or not census.tickets[name].asked
                or not census.dead
                or not census.triaged
            ):
                await follower.read()
    assert list(census.newest) == list(census.triaged) == [f"{name}1"]
    assert f"{name}0" in census.triaged_before
    assert dict(census.dead) == {"refused": 1}
    assert census.tickets[name].held == set(keys)
    assert (census.tickets[name].taken, census.tickets[name].requests.total()) == ({(keys[1], 0)}, 1)
    assert census.tickets[name].asked == {keys[1]: 0}


def records(destination: str, number: int, key: str) -> list[OutRecord]:
    """A post, its triage, its ticket, its delivery, a dead letter, and one that is somebody else's."""
    id_, name = f"{destination}{number}", key.encode()
    ticket = Ticket(key=key, op="create", revision=0, destination=destination, post_id=id_)
    log = topics.deliveries(destination)
    post = Post(id=id_, text="hello")
    letter = DeadLetter.of(DeadReason.REFUSED, "deliver", id_, "", b"")
    return [
        OutRecord(topics.POSTS, 0, id_.encode(), post.to_bytes()),
        OutRecord(topics.TRIAGED, 0, id_.encode(), Triage(post=post, intent="praise", triaged_at=NOW).to_bytes()),
        OutRecord(topics.tickets(destination), 0, name, ticket.to_bytes()),
        OutRecord(log, 0, name, Delivery(state="sending", at=NOW, ticket=ticket).to_bytes()),
        OutRecord(log, 0, name, Delivery(state="done", at=NOW).to_bytes()),
        OutRecord(topics.DEAD_LETTERS, 0, None, letter.value, letter.headers()),
        OutRecord(topics.DEAD_LETTERS, 0, None, b"no dead letter"),
    ]


async def test_receipts_wait_for_an_inbox_that_is_being_restarted(unused_tcp_port: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b'{"id": "1"}\n{"id": "2"}\n')

    app = web.Application()
    app.router.add_get("/api/receipts", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    asking = asyncio.create_task(receipts(f"http://127.0.0.1:{unused_tcp_port}", patience_s=60))
    await asyncio.sleep(0.1)
    assert not asking.done()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    assert [found["id"] for found in await asking] == ["1", "2"]
    await runner.cleanup()


async def test_an_inbox_that_stays_away_is_an_error(unused_tcp_port: int) -> None:
    with pytest.raises(aiohttp.ClientConnectionError):
        await receipts(f"http://127.0.0.1:{unused_tcp_port}", patience_s=0)


def test_the_summary_for_a_person_holds_every_number() -> None:
    summary = Summary(
        read=9,
        posts=8,
        repeated=1,
        triaged=7,
        intents={"complaint": 6},
        tickets={"helpdesk": 5},
        requests={"helpdesk": 11},
        dropped={"unrouted": 4},
        dead={"refused": 3},
        lost=2,
        duplicates=12,
        seconds=13.25,
    )
    assert summary.text() == (
        "9 posts read, 1 of them repeated, 7 triaged: complaint 6\n"
        "tickets: helpdesk 5; requests: helpdesk 11\n"
        "dropped: unrouted 4; dead letters: refused 3\n"
        "lost: 2; second tickets: 12; 13.2 s"
    )

"""Any history of a partition: edits, repeats and failures, processes that die or are stopped and wake, and then calm."""

import asyncio
from random import Random

import pytest

from route.delivery.entry import owner_record
from route.destinations.base import NeverAgain, NotNow, Outcome, Parcel, Taken
from schemas.ticket import Ticket
from tests.route.delivery.doubles import FakeClock, MemoryLog, Stage, settle, ticket

Version = tuple[int, int]


class Helpdesk:
    """Takes each message once by its id, keeps tickets by key, and fails by chance until all is calm."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.is_calm = False
        self.seen: set[str] = set()
        self.has: dict[str, bool] = {}
        self.second: list[str] = []
        self._newest: dict[str, Version] = {}

    def answer(self, parcel: Parcel) -> Outcome | asyncio.Future[Outcome]:
        chance = 0.0 if self.is_calm else self.random.random()
        if chance < 0.4:
            self._take(parcel)
            return Taken(200)
        if chance < 0.55:
            return NotNow("503", maybe_taken=False)
        if chance < 0.8:
            self._take_perhaps(parcel)
            return NotNow("no answer in time", maybe_taken=True)
        if chance < 0.88:
            return NeverAgain("422", 422)
        self._take_perhaps(parcel)
        return asyncio.get_running_loop().create_future()

    def _take_perhaps(self, parcel: Parcel) -> None:
        if self.random.random() < 0.5:
            self._take(parcel)

    def _take(self, parcel: Parcel) -> None:
        if parcel.message_id in self.seen:
            return
        self.seen.add(parcel.message_id)
        if parcel.op == "create" and self.has.get(parcel.key):
            self.second.append(parcel.message_id)
        version = parcel.revision, parcel.generation
        if version >= self._newest.get(parcel.key, (-1, 0)):
            self._newest[parcel.key] = version
            self.has[parcel.key] = parcel.op != "withdraw"


def some_tickets(random: Random) -> list[Ticket]:
    """What route may write: each post's revisions in their order, some of them again, posts in any order."""
    queues: list[list[Ticket]] = []
    for number in range(random.randint(1, 3)):
        queue: list[Ticket] = []
        revision = 0
        for _ in range(random.randint(1, 4)):
            op = "create" if revision == 0 else random.choice(["update", "withdraw"])
            queue.append(ticket(f"post-{number}", revision, op))
            if random.random() < 0.3:
                queue.append(queue[-1])
            if random.random() < 0.2:
                queue.append(queue[-1].model_copy(update={"generation": random.randint(1, 2)}))
            revision += random.randint(1, 2)
        queues.append(queue)
    found = []
    while waiting := [queue for queue in queues if queue]:
        found.append(random.choice(waiting).pop(0))
    return found + found[: random.randint(0, len(found))]


class History:
    """One partition through all its owners."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.helpdesk = Helpdesk(self.random)
        self.topic = some_tickets(self.random)
        self.log = MemoryLog()
        self.clock = FakeClock()
        self.dead: set[str] = set()
        self.committed = 0
        self.former: Stage | None = None
        self.stage = self.owner()

    def owner(self) -> Stage:
        return Stage(
            self.helpdesk.answer,
            log=self.log,
            clock=self.clock,
            position=self.committed,
            tries=3,
            first_wait_s=2,
            max_wait_s=200,
            breaker_failures=self.random.choice([2, 100]),
            concurrency=self.random.choice([1, 8]),
        )

    async def go_on(self) -> None:
        chance = self.random.random()
        if chance < 0.55 and self.stage.read < len(self.topic):
            await self.stage.take(*self.topic[self.stage.read :][: self.random.randint(1, 3)])
        elif chance < 0.75:
            await self.clock.advance(self.random.choice([1, 5, 70]))
        elif chance < 0.8:  # a process that the group has forgotten wakes: the owner has not read this yet
            self.log.records.append(owner_record("woken", self.clock.wall()))
        elif chance < 0.85 and self.former is not None:  # one that owned it wakes and goes on for a moment
            former, self.former = self.former, None
            await former.take(*(one for one in self.topic[former.read :][:1] if one.op != "withdraw"))
        if self.random.random() < 0.4:
            self.committed = self.stage.lane.offsets.acknowledged
        if self.random.random() < 0.25:
            await self.change_owner()

    async def change_owner(self) -> None:
        self.dead |= {dead.item.key for dead in self.stage.dead}
        self.stage.dispatcher.stop()
        self.stage.is_leased = False
        for flight in list(self.stage.lane.flights):
            flight.cancel()
        await settle()
        self.former, self.stage = self.stage, self.owner()

    async def end(self) -> None:
        self.helpdesk.is_calm = True
        await self.change_owner()
        await self.stage.take(*self.topic[self.stage.read :])
        for _ in range(30):
            await self.clock.advance(100)
        self.dead |= {dead.item.key for dead in self.stage.dead}


@pytest.mark.parametrize("block", range(8))
async def test_whatever_happened_every_ticket_ends_as_its_newest_revision_says_and_none_is_there_twice(
    block: int,
) -> None:
    for seed in range(block * 50, block * 50 + 50):
        history = History(seed)
        for _ in range(history.random.randint(5, 25)):
            await history.go_on()
        await history.end()
        assert not history.helpdesk.second, seed
        assert not history.stage.faults, seed
        assert not history.stage.lane.fold.open, seed
        assert history.stage.lane.offsets.acknowledged == len(history.topic), seed
        for key in {one.key for one in history.topic} - history.dead:
            newest = max(
                (one for one in history.topic if one.key == key), key=lambda one: (one.revision, one.generation)
            )
            assert history.helpdesk.has.get(key, False) == (newest.op != "withdraw"), seed

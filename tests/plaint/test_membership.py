"""A deliver worker's place in its group, without a broker: what it takes, gives up, acknowledges and takes again."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, RebalanceInProgressError

from plaint.kafka.settings import KafkaSettings
from plaint.workers.delivering.lease import Lease
from plaint.workers.delivering.membership import Membership
from route.delivery.fold import Fold
from route.delivery.offsets import Offsets
from tests.route.delivery.doubles import FakeClock, settle

HERE = TopicPartition("plaint.tickets.helpdesk", 0)
SESSION_S = 30.0


class Part:
    """A partition whose log is read when the test says so."""

    def __init__(self, group: "Group") -> None:
        self.number = HERE.partition
        self.fold = Fold()
        self.lane: Any = None
        self.deposed_at: float | None = None
        self.replayed = asyncio.Event()
        self._group = group

    async def claim(self, worker: str) -> None:
        self._group.did.append("claim")

    async def replay(self) -> None:
        await self.replayed.wait()

    def open(self, position: int, timeout_s: float) -> Any:
        self.lane = SimpleNamespace(is_live=True, offsets=Offsets(position))
        return self.lane

    async def close(self) -> None:
        self._group.did.append("close")
        if self.lane is not None:
            self.lane.is_live = False


class Group:
    """A member with everything around it; ``did`` says in which order things happened."""

    def __init__(self, committed: int | None = 7) -> None:
        self.did: list[str] = []
        self.parts: list[Part] = []
        self.faults: list[BaseException] = []
        self.refusal: Exception | None = None
        self.clock = FakeClock()
        self._committed = committed
        kafka = KafkaSettings(session_timeout_s=SESSION_S, heartbeat_s=3, rebalance_timeout_s=60)
        self.lease = Lease(kafka, self.clock.steady)
        around: Any = self
        self.member = Membership(
            around,
            around,
            self.lease,
            self.clock,
            self._make,
            lambda tp, lane: self.did.append(f"open at {lane.offsets.acknowledged}"),
            worker="me",
            timeout_s=15.0,
            session_s=SESSION_S,
            fatal=self.faults.append,
        )

    def _make(self, number: int) -> Any:
        self.parts.append(Part(self))
        return self.parts[-1]

    async def assigned(self) -> Part:
        await self.member.on_partitions_assigned([HERE])
        await settle()
        return self.parts[-1]

    async def opened(self) -> Part:
        part = await self.assigned()
        part.replayed.set()
        await settle()
        self.did.clear()
        return part

    # -- the consumer's part and the follower's ---------------------------------------------------------------------

    def pause(self, tp: TopicPartition) -> None:
        self.did.append("pause")

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.did.append(f"seek {offset}")

    async def committed(self, tp: TopicPartition) -> int | None:
        return self._committed

    async def beginning_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, 3)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.did.append(f"commit {offsets[HERE]}")

    def follow(self, number: int, part: Part) -> None:
        self.did.append("follow")

    def leave(self, number: int, part: Part) -> None:
        self.did.append("leave")


@pytest.mark.parametrize(("committed", "begin"), [(7, 7), (None, 3)])
async def test_a_partition_is_delivered_from_what_the_group_acknowledged_once_its_log_is_read(
    committed: int | None, begin: int
) -> None:
    group = Group(committed)
    part = await group.assigned()
    assert group.did == ["pause", "claim", "follow"]
    assert not group.member.lanes
    part.replayed.set()
    await settle()
    assert group.did[3:] == [f"seek {begin}", f"commit {begin}", f"open at {begin}"]
    assert list(group.member.lanes) == [HERE]
    assert group.lease.is_valid()


async def test_a_partition_that_goes_while_its_log_is_read_is_never_delivered() -> None:
    group = Group()
    part = await group.assigned()
    await group.member.on_partitions_revoked([HERE])
    part.replayed.set()
    await settle()
    assert group.did == ["pause", "claim", "follow", "close", "leave"]
    assert not group.member.partitions


async def test_what_goes_is_finished_then_acknowledged_then_left() -> None:
    group = Group()
    part = await group.opened()
    part.lane.offsets.done(part.lane.offsets.read(7))
    await group.member.on_partitions_revoked([HERE])
    assert group.did == ["close", "commit 8", "leave"]
    assert not group.member.is_member
    assert not group.faults


@pytest.mark.parametrize("cause", [None, RebalanceInProgressError()])
async def test_a_refused_commit_ends_the_lease_unless_the_group_still_knows_us(cause: Exception | None) -> None:
    group = Group()
    await group.opened()
    group.refusal = CommitFailedError()
    group.refusal.__cause__ = cause
    keeping = asyncio.create_task(group.member.keep())
    await group.clock.advance(group.lease.renew_every_s)
    assert group.lease.is_valid() == (cause is not None)
    keeping.cancel()


async def deposed(group: Group) -> Part:
    part = await group.opened()
    part.deposed_at, part.lane.is_live = group.clock.steady(), False
    assert not group.member.lanes
    return part


async def test_what_was_taken_from_us_is_taken_again_after_a_session_in_which_the_group_kept_us() -> None:
    group = Group()
    part = await deposed(group)
    keeping = asyncio.create_task(group.member.keep())
    await group.clock.advance(SESSION_S)
    assert group.parts == [part]
    await group.clock.advance(3)
    assert group.did[-6:-3] == ["close", "commit 7", "leave"]
    assert group.did[-3:] == ["pause", "claim", "follow"]
    assert len(group.parts) == 2
    keeping.cancel()


async def test_it_is_not_taken_again_from_an_owner_that_the_group_has_instead_of_us() -> None:
    group = Group()
    part = await deposed(group)
    group.refusal = CommitFailedError()
    keeping = asyncio.create_task(group.member.keep())
    await group.clock.advance(3 * SESSION_S)
    assert group.parts == [part]
    keeping.cancel()

"""Reads topics for people and tools: to their present end or on and on, in no consumer group.

It works where end offsets are wrong (the embedded broker): where a partition ends is told by the high watermark of its
first answer. Rights that it needs: Describe and Read on the topics, nothing on groups, nothing on the cluster.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, KafkaTimeoutError, TopicAuthorizationFailedError
from aiokafka.partitioner import murmur2

from plaint.cancelled import cancelled
from plaint.kafka.consumer import new_consumer
from plaint.kafka.reaching import are_right, start_client
from plaint.kafka.settings import KafkaSettings
from schemas.deadletter import Header
from schemas.faults import Fault, FaultsFound, Unavailable
from schemas.topics import place

LOOK_MS = 50
"""How long to wait here for what the broker may send: an empty answer wakes nobody, and is all that tells of an end."""
MAX_RECORDS = 2000
PATIENCE_S = 30.0
"""No answer from any partition for so long: the brokers are away."""
IDLE_ANSWERS = 3
"""So many answers without a record short of the end: what stood there was compacted away."""
WIDER = 4
STOP_S = 2.0


class ReadRefused(FaultsFound):
    """The brokers don't let this user read a topic."""


class Stored(NamedTuple):
    """One record of a topic. ``timestamp`` is Kafka's, in seconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]

    @property
    def place(self) -> str:
        """Where a person finds it: ``plaint.posts[3]@1042``."""
        return place(self.topic, self.partition, self.offset)

    @property
    def at(self) -> datetime:
        """When it was written."""
        return datetime.fromtimestamp(self.timestamp, UTC)


@dataclass(frozen=True)
class Start:
    """Where reading begins: at the earliest record, at the first one written ``since`` then, or at the ``newest`` so many.

    ``newest`` counts over all partitions; 0 is the present end.
    """

    since: datetime | None = None
    newest: int | None = None

    @property
    def least_ms(self) -> int:
        """Timestamp that a record must have, in milliseconds."""
        return 0 if self.since is None else int(self.since.timestamp() * 1000)


EARLIEST = Start()
NOW = Start(newest=0)
Progress = Callable[[int, int], None]
"""Called with the offsets passed so far and all that there are."""
Where = Mapping[str, Collection[int]]
"""Partitions by topic."""


def partition_of(key: bytes, partitions: int) -> int:
    """Where Kafka's own clients, plaint's included, put ``key``. librdkafka does otherwise by default: look everywhere then."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


@dataclass
class _Reach:
    """How far one partition was read."""

    start: int
    position: int
    end: int | None = None
    answered_ms: int = 0
    idle: int = 0

    def passed(self, position: int, answered_ms: int) -> None:
        """Note where reading stands after another look."""
        if position > self.position:
            self.idle = 0
        elif answered_ms > self.answered_ms:
            self.idle += 1
        self.position, self.answered_ms = position, max(answered_ms, self.answered_ms)

    @property
    def is_at_end(self) -> bool:
        return self.end is not None and (self.position >= self.end or self.idle >= IDLE_ANSWERS)


@dataclass
class _Patience:
    """Raises Unavailable when nothing has answered for PATIENCE_S."""

    brokers: tuple[str, ...]
    now: Callable[[], float] = time.monotonic
    _since: float = field(default_factory=time.monotonic)
    _latest_ms: int = 0

    def look(self, answered_ms: int) -> None:
        """``answered_ms`` is the time of the newest answer."""
        if answered_ms > self._latest_ms:
            self._latest_ms, self._since = answered_ms, self.now()
        elif self.now() - self._since > PATIENCE_S:
            raise Unavailable(f"no answer from {', '.join(self.brokers)} for {PATIENCE_S:.0f} s; are the brokers up?")


class TopicReader:
    """One connection; ``async with TopicReader(kafka) as reader``. One scan or follow at a time.

    Everything here raises Unavailable if the brokers are away, ReadRefused if rights are missing.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._consumer: AIOKafkaConsumer

    async def __aenter__(self) -> Self:
        self._consumer = new_consumer(self._kafka, client_id="plaint-tools")
        try:
            await start_client(self._consumer, self._kafka)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        # aiokafka 0.14 loses the word that its fetching is to end if that comes while it takes up a new assignment, and
        # waits for ever then. Being cancelled itself, it passes the word once more. Not by asyncio.wait_for, which until
        # Python 3.12 loses it if we are cancelled just as the consumer has stopped.
        stopping = asyncio.create_task(self._consumer.stop())
        try:
            await asyncio.wait([stopping], timeout=STOP_S)
        finally:
            await cancelled(stopping)
        if not stopping.cancelled():
            stopping.result()

    async def partitions(self, topics: Iterable[str]) -> dict[str, list[int]]:
        """The partitions of those of ``topics`` that exist and that this user may see; no topic is made by asking."""
        admin = AIOKafkaAdminClient(**self._kafka.connection(), client_id="plaint-tools")
        try:
            await start_client(admin, self._kafka)
            there = [name for name in dict.fromkeys(topics) if name in set(await admin.list_topics())]
            told = await admin.describe_topics(there) if there else []
        except KafkaError as error:
            raise _told(error, self._kafka) from error
        finally:
            await admin.close()
        return {topic["topic"]: sorted(part["partition"] for part in topic["partitions"]) for topic in told}

    async def scan(
        self, where: Where, start: Start = EARLIEST, progress: Progress | None = None
    ) -> AsyncGenerator[Stored, None]:
        """The records from ``start`` to where each partition ends now; in order within a partition."""
        if start.newest is not None:
            for record in await self._newest(where, start.newest):
                yield record
            return
        reaches = await self._begin(where, start)
        async for record in self._to_end(reaches, start.least_ms, progress):
            yield record

    async def follow(self, where: Where, start: Start = NOW) -> AsyncGenerator[Stored, None]:
        """The records from ``start`` on, and then each as it comes, without end."""
        if start.newest is None:
            await self._begin(where, start)
        else:
            for record in await self._newest(where, start.newest):
                yield record
        patience = _Patience(self._kafka.brokers)
        while True:
            for record in await self._look(()):
                if record.timestamp * 1000 >= start.least_ms:
                    yield record
            patience.look(max((self._answered_ms(tp) for tp in self._consumer.assignment()), default=0))

    # -- where to begin ------------------------------------------------------------------------------------------

    async def _begin(self, where: Where, start: Start) -> dict[TopicPartition, _Reach]:
        """Assign the partitions and go to ``start``; where it is later than all records, to the end."""
        tps = [TopicPartition(topic, number) for topic, numbers in where.items() for number in numbers]
        if not tps:
            return {}
        self._consumer.assign(tps)
        try:
            if start.since is None:
                found = dict(await self._consumer.beginning_offsets(tps))
            else:
                # The ends before the times, so that what comes in between is not passed over.
                found = dict(await self._consumer.end_offsets(tps))
                times = await self._consumer.offsets_for_times(dict.fromkeys(tps, start.least_ms))
                # None: no record was as young. The embedded broker tells offset 0 then; what is older is left out later.
                found |= {tp: known.offset for tp, known in times.items() if known is not None}
        except KafkaError as error:
            raise _told(error, self._kafka) from error
        reaches = {}
        for tp, offset in found.items():
            self._consumer.seek(tp, offset)
            reaches[tp] = _Reach(offset, offset)
        return reaches

    async def _newest(self, where: Where, count: int) -> list[Stored]:
        """The ``count`` newest records, oldest first; reading stands at the end that was found."""
        reaches = await self._begin(where, EARLIEST)
        first = {tp: reach.start for tp, reach in reaches.items()}
        await self._find_ends(reaches)
        found: list[Stored] = []
        window = count
        while True:
            for tp, reach in reaches.items():
                end = reach.end or 0
                reach.start = reach.position = max(first[tp], end - window)
                reach.idle = 0
                self._consumer.seek(tp, reach.position)
            found = [record async for record in self._to_end(reaches, 0, None)] if window else []
            if len(found) >= count or all(reach.start <= first[tp] for tp, reach in reaches.items()):
                break
            window *= WIDER  # a compacted topic holds fewer records than offsets
        for tp, reach in reaches.items():
            self._consumer.seek(tp, reach.end or 0)
        found.sort(key=lambda record: record.timestamp)
        return found[len(found) - count :] if len(found) > count else found

    async def _find_ends(self, reaches: Mapping[TopicPartition, _Reach]) -> None:
        patience = _Patience(self._kafka.brokers)
        while any(reach.end is None for reach in reaches.values()):
            await self._look((), most=1)
            self._note_ends(reaches)
            patience.look(max(map(self._answered_ms, reaches)))

    # -- reading -------------------------------------------------------------------------------------------------

    async def _to_end(
        self, reaches: Mapping[TopicPartition, _Reach], least_ms: int, progress: Progress | None
    ) -> AsyncGenerator[Stored, None]:
        patience = _Patience(self._kafka.brokers)
        unread = {tp for tp, reach in reaches.items() if reach.end is None or reach.position < reach.end}
        self._only(unread, reaches)
        while unread:
            records = await self._look(unread)
            self._note_ends(reaches)
            for record in records:
                end = reaches[TopicPartition(record.topic, record.partition)].end
                if (end is None or record.offset < end) and record.timestamp * 1000 >= least_ms:
                    yield record
            for tp in list(unread):
                reach = reaches[tp]
                reach.passed(await self._consumer.position(tp), self._answered_ms(tp))
                if reach.is_at_end:
                    unread.discard(tp)
                    self._consumer.pause(tp)
            patience.look(max(map(self._answered_ms, reaches)))
            if progress is not None:
                _tell(progress, reaches.values())
        self._consumer.resume(*reaches)

    def _only(self, unread: Collection[TopicPartition], reaches: Iterable[TopicPartition]) -> None:
        for tp in reaches:
            (self._consumer.resume if tp in unread else self._consumer.pause)(tp)

    async def _look(self, among: Collection[TopicPartition], most: int = MAX_RECORDS) -> list[Stored]:
        """What has come of these partitions (of all without them), in the order of time where several have something."""
        try:
            found = await self._consumer.getmany(*among, timeout_ms=LOOK_MS, max_records=most)
        except KafkaError as error:
            raise _told(error, self._kafka) from error
        if len(found) == 1:
            return [_stored(record) for record in next(iter(found.values()))]
        return sorted((_stored(record) for records in found.values() for record in records), key=_timestamp)

    def _note_ends(self, reaches: Mapping[TopicPartition, _Reach]) -> None:
        for tp, reach in reaches.items():
            if reach.end is None:
                reach.end = self._consumer.highwater(tp)

    def _answered_ms(self, tp: TopicPartition) -> int:
        return self._consumer.last_poll_timestamp(tp) or 0


def _timestamp(record: Stored) -> float:
    return record.timestamp


def _stored(record: Any) -> Stored:
    return Stored(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp / 1000,
        record.key,
        record.value,
        record.headers,
    )


def _tell(progress: Progress, reaches: Iterable[_Reach]) -> None:
    read, total = 0, 0
    for reach in reaches:
        read += min(reach.position, reach.end or 0) - reach.start
        total += max(reach.end or 0, reach.start) - reach.start
    progress(read, total)


def _told(error: KafkaError, kafka: KafkaSettings) -> Exception:
    if isinstance(error, TopicAuthorizationFailedError):
        topic = error.args[0] if error.args else "a topic"
        what = f"{(kafka.principal() or 'this user').removeprefix('User:')} may not read {topic}"
        return ReadRefused([Fault(kafka.user_key, what, f"grant it Read and Describe on {topic}")])
    if isinstance(error, KafkaTimeoutError):
        return Unavailable(
            f"a partition gives no answer: {error}; `plaint doctor brokers topics` names what nobody leads"
        )
    return Unavailable(f"{', '.join(kafka.brokers)}: {error!r}; is it up, {are_right(kafka)}?")

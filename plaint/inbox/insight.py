"""What the inbox can learn from the rest of plaint about a post, beyond the webhooks that it gets."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol

from aiokafka.errors import KafkaError

from plaint.cancelled import cancelled
from plaint.inbox.outcome import MAX_TYPED, TYPED, Verdict
from plaint.kafka.reading import ReadRefused, Start, Stored, TopicReader
from plaint.kafka.settings import KafkaSettings
from plaint.leftovers import find_strangers
from plaint.lookup.explain import explain
from plaint.lookup.explanation import Explanation
from plaint.lookup.holds import NO_CLUES, Clues
from route.rules import RouteTable
from route.trial import routed
from schemas.faults import Unavailable
from schemas.record import RecordDropped, RecordInvalid
from schemas.topics import TRIAGED
from schemas.triage import Triage

log = logging.getLogger(__name__)

IDLE_S = 600.0
"""Nobody has looked at the form for so long: reading ends until somebody does."""
BACK = timedelta(seconds=30)
RETRY_S = 2.0
EXPLAIN_S = 20.0


class Insight(Protocol):
    """Looks into plaint's topics. An inbox that stands alone has none."""

    def expect(self) -> None:
        """Somebody may be about to type a post: be ready to tell its verdict."""
        ...

    def verdict(self, post_id: str) -> Verdict | None:
        """What classify and the routes say of a post that was typed since ``expect``, once they have."""
        ...

    async def explain(self, post_id: str) -> Explanation:
        """All that the topics tell of a post. Raises Unavailable or FaultsFound; what they say may be shown."""
        ...


class KafkaInsight:
    """Follows ``plaint.triaged`` while somebody looks at the form, and keeps what concerns the posts that were typed.

    It reads nothing before and after: an inbox that only receives must stay as cheap as it is.
    """

    def __init__(
        self, kafka: KafkaSettings, table: Callable[[], RouteTable], clues: Callable[[], Clues] = lambda: NO_CLUES
    ) -> None:
        """``table`` gives the routes as they are when it is asked, ``clues`` what is known besides the topics."""
        self._kafka = kafka
        self._table = table
        self._clues = clues
        self._verdicts: OrderedDict[str, Verdict] = OrderedDict()
        self._wanted_until = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._one_explains = asyncio.Lock()

    def expect(self) -> None:
        """Read from now on (and a little before) until IDLE_S after the last call. Needs a running event loop."""
        self._wanted_until = time.monotonic() + IDLE_S
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(datetime.now(UTC) - BACK))

    def verdict(self, post_id: str) -> Verdict | None:
        """The verdict on a typed post, once classify has written its triage."""
        return self._verdicts.get(post_id)

    async def explain(self, post_id: str) -> Explanation:
        """As ``plaint explain`` has it, with the tickets of destinations that were removed since; one at a time, since it
        reads whole partitions.
        """
        try:
            async with asyncio.timeout(EXPLAIN_S), self._one_explains:
                table = self._table()
                removed = await find_strangers(self._kafka, table.destinations)
                return await explain(
                    self._kafka, table.destinations, table, post_id, removed=removed, clues=self._clues()
                )
        except TimeoutError:
            raise Unavailable(f"Kafka did not tell it within {EXPLAIN_S:g} s; try `plaint explain`") from None
        except KafkaError as error:
            raise Unavailable(f"Kafka can't be read now: {error!r}") from None

    async def close(self) -> None:
        """End reading."""
        if self._reading is not None:
            await cancelled(self._reading)

    async def _read(self, since: datetime) -> None:
        said = ""
        while time.monotonic() < self._wanted_until:
            try:
                await self._follow(since)
            except (Unavailable, ReadRefused, KafkaError) as error:
                if str(error) != said:
                    log.warning("what classify says of typed posts can't be read: %s", error)
                said = str(error)
                await asyncio.sleep(RETRY_S)
            since = datetime.now(UTC) - BACK

    async def _follow(self, since: datetime) -> None:
        async with TopicReader(self._kafka) as reader:
            where = await reader.partitions([TRIAGED])
            with suppress(TimeoutError):
                async with (
                    asyncio.timeout(IDLE_S) as limit,
                    aclosing(reader.follow(where, Start(since=since))) as records,
                ):
                    async for record in records:
                        self._note(record)
                        limit.reschedule(asyncio.get_running_loop().time() + self._wanted_until - time.monotonic())

    def _note(self, record: Stored) -> None:
        if record.key is None or not record.key.startswith(TYPED.encode()):
            return
        try:
            triage = Triage.from_bytes(record.value)
        except (RecordInvalid, RecordDropped):
            return
        if triage.intent is None:
            return
        self._verdicts[triage.post.id] = Verdict(triage, routed(self._table(), triage))
        if len(self._verdicts) > MAX_TYPED:
            self._verdicts.popitem(last=False)

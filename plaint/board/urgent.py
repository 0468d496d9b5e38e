"""The newest urgent posts, read from ``plaint.triaged`` as they come."""

import asyncio
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

from aiokafka.errors import KafkaError

from plaint.failures import Unavailable
from plaint.kafka.reading import Start, Stored, TopicReader
from plaint.kafka.settings import KafkaSettings
from schemas.faults import FaultsFound
from schemas.record import RecordDropped, RecordInvalid
from schemas.topics import TRIAGED
from schemas.triage import Triage

KEPT = 50
LOOK_BACK = 200
"""Records that are looked at when the board opens."""
RETRY_S = 3.0
_URGENT = b'"urgent":true'
"""As plaint writes it: compact."""


@dataclass(frozen=True, slots=True)
class UrgentPost:
    """One post that can't wait; its text is as it came."""

    at: datetime
    intent: str
    urgency: int
    text: str


class UrgentPosts:
    """``newest`` first. ``trouble`` says why they can't be read, and is empty while they can."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.newest: deque[UrgentPost] = deque(maxlen=KEPT)
        self.trouble = ""
        self._kafka = kafka

    async def follow(self) -> None:
        """Read on and on, from a little back; until cancelled."""
        start = Start(newest=LOOK_BACK)
        while True:
            try:
                async with TopicReader(self._kafka) as reader:
                    where = await reader.partitions([TRIAGED])
                    self.trouble = ""
                    async with aclosing(reader.follow(where, start)) as records:
                        async for record in records:
                            self._add(record)
            except (Unavailable, FaultsFound, KafkaError) as error:
                self.trouble = str(error)
                start = Start(since=datetime.now(UTC))
            await asyncio.sleep(RETRY_S)

    def _add(self, record: Stored) -> None:
        if record.value is None or _URGENT not in record.value:  # most are not, and needn't be parsed
            return
        try:
            triage = Triage.from_bytes(record.value)
        except (RecordInvalid, RecordDropped):
            return
        if triage.urgent and triage.intent is not None:
            self.newest.appendleft(UrgentPost(triage.triaged_at, triage.intent, triage.urgency, triage.post.text))

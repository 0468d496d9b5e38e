"""The newest urgent posts, read from ``plaint.triaged`` as they come."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from aiokafka.errors import KafkaError

from plaint.kafka.reading import Start, Stored, TopicReader
from plaint.kafka.settings import KafkaSettings
from schemas.faults import FaultsFound, Unavailable
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
    revision: int = 0


class UrgentPosts:
    """Each post as its newest revision is, while that is urgent. ``trouble`` says why they can't be read, if they can't."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.trouble = ""
        self._kafka = kafka
        self._posts: dict[bytes | None, UrgentPost] = {}
        self._start = Start(newest=LOOK_BACK)

    @property
    def newest(self) -> list[UrgentPost]:
        """Newest first."""
        return list(reversed(self._posts.values()))

    async def follow(self) -> None:
        """Read on and on, from a little back; until cancelled."""
        while True:
            try:
                async with TopicReader(self._kafka) as reader:
                    where = await reader.partitions([TRIAGED])
                    self.trouble = ""
                    async with aclosing(reader.follow(where, self._start)) as records:
                        async for record in records:
                            self._add(record)
                            self._start = Start(since=record.at)
            except (Unavailable, FaultsFound, KafkaError) as error:
                self.trouble = str(error)
            await asyncio.sleep(RETRY_S)

    def _add(self, record: Stored) -> None:
        known = self._posts.get(record.key)
        if record.value is None:
            self._posts.pop(record.key, None)
            return
        if known is None and _URGENT not in record.value:  # most are not, and needn't be parsed
            return
        try:
            triage = Triage.from_bytes(record.value)
        except (RecordInvalid, RecordDropped):
            return
        post = triage.post
        if known is not None and post.revision < known.revision:
            return
        self._posts.pop(record.key, None)  # once it was edited or deleted, what it said before is nobody's business
        if triage.urgent and triage.intent is not None:
            said = UrgentPost(triage.triaged_at, triage.intent, triage.urgency, post.text, post.revision)
            self._posts[record.key] = said
        if len(self._posts) > KEPT:
            del self._posts[next(iter(self._posts))]

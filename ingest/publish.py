"""Publishing posts and dead letters with kafka-python: each acknowledged by all replicas, or the process fails."""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from threading import Lock, current_thread
from typing import Any

from kafka.errors import KafkaError
from kafka.producer.future import FutureRecordMetadata

from ingest.producer import connected_producer
from ingest.revisions import Revisions
from ingest.source import Item, Refused, too_large
from ingest.stamp import milliseconds, record_value, stamped
from ingest.unacknowledged import Pending, Unacknowledged
from schemas import topics
from schemas.deadletter import DeadLetter, Header
from schemas.faults import Unavailable
from schemas.post import Post
from schemas.reasons import DeadReason
from schemas.record import MAX_RECORD_BYTES

OFFERED: list[Header] = [(topics.OFFERED_HEADER, b"1")]

log = logging.getLogger(__name__)

STAGE = "ingest"
LONG_WAIT_S = 5.0
TICK_S = 1.0
CLOSE_S = 10.0


class PublishFailed(Unavailable):
    """The broker will not take a record, or none answered: what was read is not all written."""


class Busy(Exception):
    """Too much is not yet acknowledged: nothing of what was offered was sent."""


class PostTooLarge(Exception):
    """The post at ``index`` is a record of ``size`` bytes, over MAX_RECORD_BYTES: nothing of what was offered was sent."""

    def __init__(self, index: int, size: int) -> None:
        super().__init__(too_large(size))
        self.index = index


class PostPublisher:
    """Writes posts to plaint.posts, keyed by their id, and refused lines to plaint.deadletters.

    A broker that is away is waited for as long as it takes, with a bounded number of records in memory; records keep
    their order on each partition. ``published`` and ``dead`` count what ``put`` took, ``offered`` what ``offer`` did; once
    ``drain`` has returned, all of it is acknowledged. Safe to use from several threads.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        idempotent: bool,
        start_timeout_s: float = 60.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Connect (options as kafka-python takes them). No topic is made by that, whatever the brokers' settings are.

        Raises PublishFailed if no broker or no topic is found in time.
        """
        self.published = 0
        self.offered = 0
        self.dead: Counter[DeadReason] = Counter()
        self._now = now
        self._lock = Lock()
        self._waiting = Unacknowledged()
        self._offers = Unacknowledged()
        self._broken: Exception | None = None
        self._revisions: dict[str, Revisions] = defaultdict(Revisions)
        self._putting: dict[str, int] = {}
        self._steps = count()
        try:
            self._producer = connected_producer(connection, idempotent, start_timeout_s)
        except KafkaError as error:
            raise PublishFailed(f"no answer from {connection.get('bootstrap_servers')}: {error}") from error
        self._require(topics.POSTS)
        self._require(topics.DEAD_LETTERS)

    def put(self, item: Item, source: str) -> None:
        """Send one item of the source with this name; waits while too much is unacknowledged. Raises PublishFailed."""
        thread = current_thread().name
        self._putting[thread] = next(self._steps)
        try:
            self._put(item, source)
        finally:
            self._putting.pop(thread, None)

    def _put(self, item: Item, source: str) -> None:
        if isinstance(item, Refused):
            self._put_dead_letter(item)
            return
        post, value = self._record(item.post, source, item.as_of)
        if len(value) > MAX_RECORD_BYTES:
            self._put_dead_letter(Refused(DeadReason.TOO_LARGE, item.place, too_large(len(value)), item.raw))
            return
        self._send(topics.POSTS, post.id.encode(), value, [])
        with self._lock:
            self.published += 1

    def offer(self, posts: Sequence[Post], source: str, ended: Callable[[Exception | None], None]) -> None:
        """Send these posts, all or none of them, without waiting for anything.

        ``ended`` is called once, from another thread: with None when all are acknowledged, else with what the broker
        refused one of them for. Raises Busy, PostTooLarge or PublishFailed, and ``ended`` is then not called.
        """
        records = [self._record(post, source) for post in posts]
        for index, (_, value) in enumerate(records):
            if len(value) > MAX_RECORD_BYTES:
                raise PostTooLarge(index, len(value))
        self.settle()
        pending = Pending(len(records), ended)
        with self._lock:
            if not self._offers.has_room():
                raise Busy
            futures = [self._hand_over(topics.POSTS, post.id.encode(), value, OFFERED) for post, value in records]
            for future, (_, value) in zip(futures, records, strict=True):
                self._offers.add(future, len(value))
            self.offered += len(records)
        for future in futures:
            future.add_callback(pending.acknowledged)
            future.add_errback(pending.refused)

    def offers_wait_s(self) -> float:
        """For how long the oldest of what was offered has not been acknowledged; 0 if all of it is."""
        self.settle()
        return self._offers.age_s()

    def settle(self) -> None:
        """Look at what was acknowledged since. Raises PublishFailed if the broker refused a record for good."""
        with self._lock:
            refusals = [*self._waiting.settle(), *self._offers.settle()]
            if refusals and self._broken is None:
                self._broken = PublishFailed(f"the broker refused a record for good: {refusals[0]!r}")
            if self._broken is not None:
                raise self._broken

    def has_all_put(self) -> bool:
        """Whether all that was put is acknowledged. Raises PublishFailed."""
        self.settle()
        return not self._waiting

    def drain(self, give_up: Callable[[], bool] = lambda: False) -> None:
        """Return once everything sent is acknowledged. Raises PublishFailed, also when ``give_up`` says so meanwhile."""
        self._wait_until(lambda: not self.unacknowledged, give_up)

    @property
    def unacknowledged(self) -> int:
        """Records that were sent and are not acknowledged yet."""
        return len(self._waiting) + len(self._offers)

    @property
    def last_acknowledged(self) -> float | None:
        """When an acknowledgement was last seen, in seconds since 1970."""
        return max((one.settled_at for one in (self._waiting, self._offers) if one.settled_at), default=None)

    def waiting(self) -> dict[str, int]:
        """What has no outcome yet, with the number of the oldest such record. Takes no lock: one that hangs may hold it."""
        found = {"records of the sources": self._waiting.first_open(), "posts of the door": self._offers.first_open()}
        return {what: number for what, number in found.items() if number is not None}

    def putting(self) -> dict[str, int]:
        """Threads that are inside ``put``, with a number that changes while they move. Takes no lock either."""
        return self._putting.copy()

    def close(self) -> None:
        """Disconnect. What is not acknowledged by now is given up: ``drain`` first."""
        if self.unacknowledged:
            log.error("%d records were not acknowledged", self.unacknowledged)
            self._producer._sender.force_close()  # close() alone waits for them, gives up and leaves its thread behind
        self._producer.close(timeout=CLOSE_S)

    def _require(self, topic: str) -> None:
        try:
            self._producer.partitions_for(topic)
        except KafkaError as error:
            self.close()
            raise PublishFailed(f"the topic {topic} can't be used: {error!r}") from error

    def _record(self, post: Post, source: str, as_of: datetime | None = None) -> tuple[Post, bytes]:
        """The post as it is published, and its bytes."""

        def revision(received_at: datetime) -> int:
            with self._lock:
                if post.received_at:
                    state = hash((post.event, post.text))
                    return self._revisions[source].said(post.id, milliseconds(received_at), state)
                return self._revisions[source].later(post.id, milliseconds(as_of or received_at))

        post = stamped(post, source, self._now(), revision)
        return post, record_value(post)

    def _put_dead_letter(self, refused: Refused) -> None:
        letter = DeadLetter.of(refused.reason, STAGE, refused.place, refused.detail, refused.raw)
        if refused.whole:
            letter = letter.model_copy(update=refused.whole._asdict())
        self._send(topics.DEAD_LETTERS, None, letter.value, letter.headers())
        with self._lock:
            self.dead[refused.reason] += 1

    def _send(self, topic: str, key: bytes | None, value: bytes, headers: list[Header]) -> None:
        self.settle()
        if not self._waiting.has_room():
            self._wait_until(lambda: self._waiting.has_room(0.9))
        with self._lock:
            self._waiting.add(self._hand_over(topic, key, value, headers), len(value))

    def _hand_over(self, topic: str, key: bytes | None, value: bytes, headers: list[Header]) -> FutureRecordMetadata:
        try:
            return self._producer.send(topic, value, key=key, headers=headers)
        except KafkaError as error:
            self._broken = PublishFailed(f"{topic}: {error!r}")
            raise self._broken from error

    def _wait_until(self, reached: Callable[[], bool], give_up: Callable[[], bool] = lambda: False) -> None:
        """Wait for acknowledgements, and say so if it takes long. Raises PublishFailed."""
        began, said = time.monotonic(), False
        thread = current_thread().name
        while True:
            if thread in self._putting:
                self._putting[thread] = next(self._steps)
            self.settle()
            if reached():
                break
            if give_up():
                raise PublishFailed(f"{self.unacknowledged} records were not acknowledged in time")
            if not said and time.monotonic() - began > LONG_WAIT_S:
                said = True
                log.warning("waiting for the broker to acknowledge %d records", self.unacknowledged)
            self._wait_for_oldest()
        if said:
            log.warning("the broker acknowledges again, after %.0f s", time.monotonic() - began)

    def _wait_for_oldest(self) -> None:
        oldest = self._waiting.oldest() or self._offers.oldest()
        if oldest is None:
            return
        try:
            oldest.get(timeout=TICK_S)
        except KafkaError:
            return  # not yet, or refused: settle tells which

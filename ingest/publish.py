"""Publishing posts and dead letters with kafka-python: each acknowledged by all replicas, or the process fails."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient
from kafka.producer.future import FutureRecordMetadata

from ingest.source import Item, Refused, too_large
from schemas import topics
from schemas.deadletter import DeadLetter, Header
from schemas.post import Post
from schemas.reasons import DeadReason
from schemas.record import MAX_RECORD_BYTES

log = logging.getLogger(__name__)

STAGE = "ingest"
MAX_WAITING = 5_000
MAX_WAITING_BYTES = 16 * 1024 * 1024
"""Bounds of what is sent and not yet acknowledged: kafka-python has none of its own."""
LONG_WAIT_S = 5.0
TICK_S = 1.0
CLOSE_S = 10.0


class PublishFailed(Exception):
    """The broker will not take a record, or none answered: what was read is not all written."""


class PostPublisher:
    """Writes posts to plaint.posts, keyed by their id, and refused lines to plaint.deadletters.

    A broker that is away is waited for as long as it takes, with a bounded number of records in memory; records keep
    their order on each partition. ``published`` and ``dead`` count what ``put`` took; once ``drain`` has returned, all of
    it is acknowledged. Safe to use from several threads.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        idempotent: bool,
        start_timeout_s: float = 60.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Connect (options as kafka-python takes them). Raises PublishFailed if no broker or no topic is found in time."""
        self.published = 0
        self.dead: Counter[DeadReason] = Counter()
        self._now = now
        self._lock = Lock()
        self._waiting: deque[tuple[FutureRecordMetadata, int]] = deque()
        self._waiting_bytes = 0
        self._last_revision = 0
        self._producer = _connect(connection, idempotent, int(start_timeout_s * 1000))
        self._require(topics.POSTS)
        self._require(topics.DEAD_LETTERS)

    def put(self, item: Item, source: str) -> None:
        """Send one item of the source with this name; waits while too much is unacknowledged. Raises PublishFailed."""
        if isinstance(item, Refused):
            self._put_dead_letter(item)
            return
        post = self._stamped(item.post, source)
        value = post.model_dump_json(exclude_unset=True, exclude_none=True).encode()
        if len(value) > MAX_RECORD_BYTES:
            self._put_dead_letter(Refused(DeadReason.TOO_LARGE, item.place, too_large(len(value)), item.raw))
            return
        self._send(topics.POSTS, post.id.encode(), value, [])
        with self._lock:
            self.published += 1

    def settle(self) -> None:
        """Look at what was acknowledged since. Raises PublishFailed if the broker refused a record for good."""
        with self._lock:
            waiting = self._waiting
            while waiting and waiting[0][0].is_done:
                future, size = waiting.popleft()
                self._waiting_bytes -= size
                if future.exception is not None:
                    raise PublishFailed(f"the broker refused a record for good: {future.exception!r}")

    def drain(self, give_up: Callable[[], bool] = lambda: False) -> None:
        """Return once everything sent is acknowledged. Raises PublishFailed, also when ``give_up`` says so meanwhile."""
        self._wait_until(lambda: not self._waiting, give_up)

    def close(self) -> None:
        """Disconnect. What is not acknowledged by now is given up: ``drain`` first."""
        if self._waiting:
            log.error("%d records were not acknowledged", len(self._waiting))
            self._producer._sender.force_close()  # close() alone waits for them, gives up and leaves its thread behind
        self._producer.close(timeout=CLOSE_S)

    def _require(self, topic: str) -> None:
        try:
            self._producer.partitions_for(topic)
        except KafkaError as error:
            self.close()
            raise PublishFailed(f"the topic {topic} can't be used: {error!r}") from error

    def _stamped(self, post: Post, source: str) -> Post:
        """With its version, source, time of receipt and, where a later state of a post needs one, a revision."""
        received_at = post.received_at or self._now()
        stamps: dict[str, object] = {"v": 1, "source": post.source or source, "received_at": received_at}
        if post.event != "create" and not post.revision:
            stamps["revision"] = self._revision(post, received_at)
        return post.model_copy(update=stamps)

    def _revision(self, post: Post, received_at: datetime) -> int:
        milliseconds = max(1, int(received_at.timestamp() * 1000))
        if post.received_at is None:  # two edits in one millisecond are still two
            with self._lock:
                self._last_revision = milliseconds = max(milliseconds, self._last_revision + 1)
        return milliseconds

    def _put_dead_letter(self, refused: Refused) -> None:
        letter = DeadLetter.of(refused.reason, STAGE, refused.place, refused.detail, refused.raw)
        if refused.whole:
            letter = letter.model_copy(update=refused.whole._asdict())
        self._send(topics.DEAD_LETTERS, None, letter.value, letter.headers())
        with self._lock:
            self.dead[refused.reason] += 1

    def _send(self, topic: str, key: bytes | None, value: bytes, headers: list[Header]) -> None:
        self.settle()
        if len(self._waiting) >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES:
            self._wait_until(self._has_room)
        with self._lock:
            try:
                future = self._producer.send(topic, value, key=key, headers=headers)
            except KafkaError as error:
                raise PublishFailed(f"{topic}: {error!r}") from error
            self._waiting.append((future, len(value)))
            self._waiting_bytes += len(value)

    def _has_room(self) -> bool:
        return len(self._waiting) < MAX_WAITING * 0.9 and self._waiting_bytes < MAX_WAITING_BYTES * 0.9

    def _wait_until(self, reached: Callable[[], bool], give_up: Callable[[], bool] = lambda: False) -> None:
        """Wait for acknowledgements, and say so if it takes long. Raises PublishFailed."""
        began, said = time.monotonic(), False
        while True:
            self.settle()
            if reached():
                break
            if give_up():
                raise PublishFailed(f"{len(self._waiting)} records were not acknowledged in time")
            if not said and time.monotonic() - began > LONG_WAIT_S:
                said = True
                log.warning("waiting for the broker to acknowledge %d records", len(self._waiting))
            self._wait_for_oldest()
        if said:
            log.warning("the broker acknowledges again, after %.0f s", time.monotonic() - began)

    def _wait_for_oldest(self) -> None:
        try:
            oldest = self._waiting[0][0]
        except IndexError:  # another thread settled it
            return
        try:
            oldest.get(timeout=TICK_S)
        except KafkaError:
            return  # not yet, or refused: settle tells which


def _connect(connection: Mapping[str, Any], idempotent: bool, timeout_ms: int) -> KafkaProducer:
    """Raises PublishFailed."""
    clients: list[KafkaNetClient] = []

    def keep(**config: Any) -> KafkaNetClient:
        clients.append(KafkaNetClient(**config))
        return clients[-1]

    try:
        return KafkaProducer(
            **connection,
            client_id="plaint-ingest",
            acks="all",
            enable_idempotence=idempotent,
            max_in_flight_requests_per_connection=5 if idempotent else 1,  # the order of a key's records
            delivery_timeout_ms=float("inf"),  # retry as long as it takes
            retry_backoff_ms=200,
            reconnect_backoff_max_ms=2_000,
            linger_ms=5,
            batch_size=64 * 1024,
            allow_auto_create_topics=False,
            max_block_ms=timeout_ms,
            bootstrap_timeout_ms=timeout_ms,
            metrics_enabled=False,
            kafka_client=keep,
        )
    except KafkaError as error:
        for half_open in clients:  # the constructor starts a thread and leaves it behind when it fails
            half_open._net.stop()
            half_open.close()
        raise PublishFailed(f"no answer from {connection.get('bootstrap_servers')}: {error}") from error

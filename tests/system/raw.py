"""Topics written and read past plaint: any bytes in, everything out as it lies there, sound or not."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from hashlib import sha256
from types import TracebackType
from typing import Any, Self

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from tests.system import wire

PARTITIONS = 4
CUT = 256 * 1024
KEY_CUT = 1024


class Writer:
    """Puts records on partitions of one's choice, in the order of the calls. ``compression`` as kafka-python names it."""

    def __init__(self, bootstrap: str, compression: str | None = None) -> None:
        self._producer = KafkaProducer(
            bootstrap_servers=bootstrap,
            acks="all",
            enable_idempotence=False,
            max_in_flight_requests_per_connection=1,
            compression_type=compression,
            max_request_size=64 << 20,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )

    def put(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        key: bytes | None = b"key",
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Callable[[], str]:
        """Send it; what is returned waits and says where it lies. Raises KafkaError if the broker refuses it."""
        future = self._producer.send(topic, value, key=key, headers=list(headers), partition=partition)
        return lambda: f"{topic}[{partition}]@{future.get(timeout=30).offset}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._producer.close(timeout=30)


class Records:
    """Reads plaint's output topics from where they stood when it was made."""

    def __init__(self, bootstrap: str) -> None:
        self.triages: dict[str, list[dict[str, Any]]] = defaultdict(list)
        """By id of the post."""
        self.letters: dict[str, list[Any]] = defaultdict(list)
        """Dead letters as Kafka records, by their place."""
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            fetch_max_wait_ms=500,
            check_crcs=False,
        )
        topics = [wire.TRIAGED, wire.DEAD_LETTERS]
        self._consumer.assign([TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)])
        self._consumer.seek_to_beginning()

    def read(self) -> None:
        """Take in what there is."""
        while polled := self._consumer.poll(timeout_ms=600, max_records=5000):
            for tp, records in polled.items():
                for record in records:
                    self._take(tp.topic, record)

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def reasons(self, place: str) -> list[str]:
        """The reasons of the dead letters of this place."""
        return [headers(letter)["plaint-reason"].decode() for letter in self.letters[place]]

    def _take(self, topic: str, record: Any) -> None:
        if topic == wire.TRIAGED:
            try:
                found = json.loads(record.value or b"")
                self.triages[found["post"]["id"]].append(found)
            except (ValueError, TypeError, KeyError, RecursionError):
                return  # put there by a test
        elif (place := headers(record).get("plaint-place")) is not None:
            self.letters[place.decode()].append(record)


def headers(record: Any) -> dict[str, bytes]:
    """The headers of a record as kafka-python gives it."""
    return dict(record.headers)


def is_letter_of(letter: Any, value: bytes | None, key: bytes | None) -> bool:
    """Whether a dead letter holds these bytes, cut as documented, and tells size and hash of the whole."""
    whole, head = value or b"", headers(letter)
    told = int(head["plaint-size"]) == len(whole) and head["plaint-sha256"].decode() == sha256(whole).hexdigest()
    return told and (letter.value or b"") == whole[:CUT] and (letter.key or b"") == (key or b"")[:KEY_CUT]


def until(reached: Callable[[], bool], timeout_s: float, said: Callable[[], str], pause_s: float = 0.1) -> None:
    """Wait for a condition, asked every ``pause_s``. Fails with ``said`` if it isn't reached in time."""
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline, said()
        time.sleep(pause_s)

"""What the tests of the deliver worker share: a receiver, topics, tickets in, the log out."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition

from plaint.kafka.publisher import OutRecord, Publisher
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from plaint.workers.deliver import deliver_worker
from plaint.workers.delivering.worker import DeliverWorker
from route.destinations.opening import open_destination
from route.destinations.settings import DestinationSettings
from schemas import topics
from schemas.delivery import OWNER_KEY, Delivery
from schemas.record import RecordInvalid
from schemas.ticket import Ticket, ticket_key

SECRET = "whsec_" + "A" * 32
OTHER_SECRET = "whsec_" + "B" * 32
PARTITIONS = 4


def kafka_settings(bootstrap: str, session_s: float = 6.0) -> KafkaSettings:
    """A session of 6 s is the shortest that Apache Kafka allows; the embedded broker takes no idempotent producer."""
    return KafkaSettings(
        brokers=(bootstrap,),
        session_timeout_s=session_s,
        heartbeat_s=session_s / 6,
        rebalance_timeout_s=20,
        idempotent_producer=False,
    )


@dataclass
class Receiver:
    """A helpdesk: counts requests a webhook id, answers what it is told, waits if it is told."""

    url: str = ""
    delay_s: float = 0.0
    answer: Callable[[int], int] = lambda _: 200
    """The status for the n-th request."""
    requests: list[tuple[float, str]] = field(default_factory=list)
    taken: Counter[str] = field(default_factory=Counter)

    async def take(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        webhook_id = request.headers["webhook-id"]
        self.requests.append((time.monotonic(), webhook_id))
        status = self.answer(len(self.requests))
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if status == 200:
            self.taken[webhook_id] += 1
        return web.json_response({"id": webhook_id[:8]}, status=status)

    @property
    def repeated(self) -> int:
        """Requests for an id that was taken before."""
        return self.taken.total() - len(self.taken)


@asynccontextmanager
async def receiving(kind: type[Receiver] = Receiver, **options: Any) -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    receiver = kind(**options)
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def destination(url: str, **changed: Any) -> dict[str, Any]:
    """Settings of a destination with short times."""
    times = {"timeout_s": 5.0, "first_wait_s": 0.2, "max_wait_s": 1.0, "breaker_probe_s": 0.2}
    return {"url": url, "secret": SECRET, **times, **changed}


@asynccontextmanager
async def delivering(
    bootstrap: str, name: str, url: str, session_s: float = 6.0, **changed: Any
) -> AsyncIterator[DeliverWorker]:
    """A worker in this process, ended as by SIGTERM."""
    settings = DestinationSettings.model_validate(destination(url, **changed))
    faults: list[BaseException] = []
    stop = asyncio.Event()
    opened = open_destination(settings, time.time)
    try:
        worker = deliver_worker(kafka_settings(bootstrap, session_s), name, settings, opened, fatal=faults.append)
        running = asyncio.create_task(worker.run(stop))
        try:
            yield worker
        finally:
            stop.set()
            await running
    finally:
        await opened.close()
    assert not faults


def ticket(number: int, name: str, op: str = "create", revision: int = 0) -> Ticket:
    """A ticket for destination ``name``."""
    return Ticket.model_validate(
        {
            "key": ticket_key(f"post-{number}", name),
            "op": op,
            "revision": revision,
            "destination": name,
            "post_id": f"post-{number}",
            "text": "" if op == "withdraw" else f"Velt Mobil charged me twice, {number}",
        }
    )


def partition_of(key: str) -> int:
    """Where the tickets of one key lie."""
    return int(key[:8], 16) % PARTITIONS


async def write(bootstrap: str, records: Iterable[OutRecord]) -> None:
    """Write any records."""
    publisher = Publisher(kafka_settings(bootstrap))
    await publisher.start()
    await publisher.publish(records)
    await publisher.stop()


async def send(bootstrap: str, *tickets: Ticket) -> None:
    """Route's part."""
    await write(
        bootstrap,
        [OutRecord(topics.tickets(t.destination), partition_of(t.key), t.key.encode(), t.to_bytes()) for t in tickets],
    )


async def make_topics(bootstrap: str, name: str) -> None:
    """The topics of one destination."""
    await asyncio.to_thread(ensure_topics, kafka_settings(bootstrap), [name])


async def until(what: Callable[[], bool | Awaitable[bool]], timeout_s: float = 90.0) -> None:
    """Return once ``what`` holds. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while True:
            holds = what()
            if holds if isinstance(holds, bool) else await holds:
                return
            await asyncio.sleep(0.02)


async def read_topic(bootstrap: str, topic: str, count: int, timeout_s: float = 60.0) -> list[Any]:
    """The records of a topic once there are ``count`` and no more have come for a moment; in order in each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    found: list[Any] = []
    try:
        consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
        async with asyncio.timeout(timeout_s):
            while True:
                more = await consumer.getmany(timeout_ms=700, max_records=5000)
                for records in more.values():
                    found += records
                if not more and len(found) >= count:
                    return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


async def histories(bootstrap: str, name: str, keys: int) -> dict[str, list[Delivery]]:
    """The steps of each ticket in the log, which must hold at least ``keys`` records; garbage is left out."""
    found: dict[str, list[Delivery]] = {}
    for record in await read_topic(bootstrap, topics.deliveries(name), keys):
        key = (record.key or b"").decode("utf-8", "replace")
        if key == OWNER_KEY:
            continue
        try:
            found.setdefault(key, []).append(Delivery.from_bytes(record.value))
        except RecordInvalid:
            continue
    return found


async def committed(bootstrap: str, name: str) -> int:
    """The sum of the group's offsets over the partitions."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=topics.group(f"deliver-{name}"), enable_auto_commit=False
    )
    await consumer.start()
    try:
        return sum([await consumer.committed(TopicPartition(topics.tickets(name), n)) or 0 for n in range(PARTITIONS)])
    finally:
        await consumer.stop()

"""``python -m tests.bench.floor``: what the libraries alone cost a post, with nothing of plaint around them.

Two things that every post needs, each by the library that plaint uses and as plaint uses it, but with an empty program:

- one POST of a signed body of a ticket's size from aiohttp's client to aiohttp's server, over kept-alive connections of one
  machine, both on uvloop, 32 at a time; the client signs, the server checks the signature and answers 200;
- the six records that a post leaves in Kafka (post, triage, ticket, and three of the delivery log), written by aiokafka in
  batches as large as a batch of posts makes them, and the three that are read on, read by aiokafka, on the embedded broker.

CPU is what the kernel counted for each process. What plaint takes outside the model can't be less than the sum while each
ticket is a request of its own, Python speaks HTTP on both sides, and each hop goes through Kafka.
"""

import argparse
import asyncio
import base64
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

import aiohttp
import psutil
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from plaint.broker import tansu
from tests.bench.whole_way import ROOT, processor
from tests.support.kafka_process import die_with_parent

KEY = sha256(b"a key for a benchmark").digest()
AT_ONCE = 32
"""Requests under way, as many as a destination has by default."""
BATCH = 512
"""Posts that are labelled together, and so whose records are written together."""
PARTITIONS = 4
RECORDS = {"posts": 350, "triaged": 1300, "tickets": 1100, "accepted": 1300, "sending": 1300, "done": 150}
"""Bytes of the value of each record of a post, as the airline posts make them."""
READ = ("posts", "triaged", "tickets")
BODY = b'{"type":"complaint.urgent","timestamp":"2026-01-01T00:00:00Z","data":"%b"}' % (b"x" * 1100)


# -- HTTP ----------------------------------------------------------------------------------------------------------------


def signature(id_: str, at: str, body: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(KEY, f"{id_}.{at}.".encode() + body, "sha256")).decode()


async def take(request: web.Request) -> web.Response:
    body = await request.read()
    given = request.headers
    wanted = signature(given["webhook-id"], given["webhook-timestamp"], body)
    right = hmac.compare_digest(wanted, given["webhook-signature"])
    return web.Response(status=200 if right else 401, body=b'{"id":"1"}', content_type="application/json")


async def receive() -> None:
    """Be the server; its port is the first line of standard output."""
    app = web.Application()
    app.router.add_post("/hooks/{queue}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


@contextmanager
def receiver() -> Iterator[tuple[str, psutil.Process]]:
    command = [sys.executable, "-m", "tests.bench.floor", "--receive"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, preexec_fn=die_with_parent) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/hooks/service", psutil.Process(process.pid)
        process.terminate()


async def send(url: str, wanted: int) -> None:
    """So many POSTs. Raises SystemExit if one is not taken."""
    left = iter(range(wanted))
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=AT_ONCE),
        timeout=aiohttp.ClientTimeout(total=10),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    ) as session:

        async def work() -> None:
            for number in left:
                at = str(int(time.time()))
                headers = {
                    "Content-Type": "application/json",
                    "webhook-id": f"{number}",
                    "webhook-timestamp": at,
                    "webhook-signature": signature(f"{number}", at, BODY),
                }
                async with session.post(url, data=BODY, headers=headers, allow_redirects=False) as answer:
                    await answer.read()
                    if answer.status != 200:
                        raise SystemExit(f"answered {answer.status}")

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def http(posts: int) -> dict[str, float]:
    """µs of CPU a request."""
    with receiver() as (url, server):
        uvloop.run(send(url, 500))
        before, began = _cpu(server), time.process_time()
        uvloop.run(send(url, posts))
        return {"client": (time.process_time() - began) / posts * 1e6, "server": (_cpu(server) - before) / posts * 1e6}


# -- Kafka ---------------------------------------------------------------------------------------------------------------


async def carry(bootstrap: str, posts: int) -> None:
    """The records of so many posts, batch by batch, and those that are read on read as they come."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_batch_size=1_000_000)
    consumer = AIOKafkaConsumer(*READ, bootstrap_servers=bootstrap, auto_offset_reset="latest", fetch_max_wait_ms=500)
    await producer.start()
    for topic in RECORDS:
        await producer.partitions_for(topic)
    await consumer.start()
    await consumer.seek_to_end()
    try:
        reading = asyncio.create_task(_read(consumer, posts * len(READ)))
        for start in range(0, posts, BATCH):
            count = min(BATCH, posts - start)
            for topic, size in RECORDS.items():
                await asyncio.gather(*(_write(producer, topic, p, size, count) for p in range(PARTITIONS)))
        await reading
    finally:
        await consumer.stop()
        await producer.stop()


async def _write(producer: AIOKafkaProducer, topic: str, partition: int, size: int, count: int) -> None:
    batch = producer.create_batch()
    for number in range(partition, count, PARTITIONS):
        batch.append(key=b"%032d" % number, value=b"x" * size, timestamp=None)
    batch.close()
    await (await producer.send_batch(batch, topic, partition=partition))


async def _read(consumer: AIOKafkaConsumer, wanted: int) -> None:
    while wanted > 0:
        wanted -= sum(map(len, (await consumer.getmany(timeout_ms=500)).values()))


def kafka(posts: int) -> dict[str, float]:
    """µs of CPU a post."""
    from kafka.admin import KafkaAdminClient, NewTopic

    with tansu.start(30.0) as broker:
        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in RECORDS])
        admin.close()
        uvloop.run(carry(broker.bootstrap, BATCH))
        server = psutil.Process(broker.process.pid)
        before, began = _cpu(server), time.process_time()
        uvloop.run(carry(broker.bootstrap, posts))
        return {"client": (time.process_time() - began) / posts * 1e6, "broker": (_cpu(server) - before) / posts * 1e6}


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Print a table and a last line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=16_000)
    parser.add_argument("--receive", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.receive:
        uvloop.run(receive())
    requests, records = http(options.posts), kafka(options.posts)
    print(f"HTTP: client {requests['client']:.0f}, server {requests['server']:.0f} µs of CPU a request")
    print(f"Kafka: client {records['client']:.0f}, embedded broker {records['broker']:.0f} µs of CPU a post")
    total = sum(requests.values()) + sum(records.values())
    print(f"together {total:.0f} µs")
    print(json.dumps({"cpu": processor(), "http": requests, "kafka": records, "total_us": round(total)}))


if __name__ == "__main__":
    main()

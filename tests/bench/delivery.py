"""``make bench-delivery``: one deliver worker, signed webhooks to a receiver on this machine, tickets from a real Kafka.

The tickets lie in Kafka before the worker starts. Counted is from the first twentieth to the last ticket at the receiver,
which checks every signature. CPU is what the kernel counted for each process meanwhile. Kafka, worker and receiver share
the machine's cores, so with two of them the worker is not alone on one.

Then the hard case of ``max_per_minute``: a backlog of low priority lies in Kafka in front of one urgent ticket; how long
does that one take from the worker's first request, and how much memory does the worker need?
"""

import argparse
import asyncio
import base64
import hmac
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson
import psutil

from tests.bench.whole_way import PLAINT, ROOT, processor
from tests.support.kafka_process import KafkaProcess, die_with_parent, why_no_kafka

SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes for a benchmark").decode()
NAME = "bench"
PARTITIONS = 4
PATIENCE_S = 60.0
LIMIT_PER_MINUTE = 600


# -- the receiver, a process of its own ------------------------------------------------------------------------------


class Desk(asyncio.Protocol):
    """One connection of the leanest receiver that still reads HTTP, checks each signature and knows each id."""

    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    ids: dict[bytes, float] = {}  # noqa: RUF012 - one desk a process
    repeated = forged = 0

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            fields = {name.lower(): value for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n"))}
            length = int(fields.get(b"content-length", b"0"))
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            answer = orjson.dumps(self._stats() if head.startswith(b"GET") else self._take(fields, rest[:length]))
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(answer), answer)
            )

    def _take(self, fields: dict[bytes, bytes], body: bytes) -> dict[str, str]:
        webhook_id = fields[b"webhook-id"]
        signed = b"%b.%b.%b" % (webhook_id, fields[b"webhook-timestamp"], body)
        mac = b"v1," + base64.b64encode(hmac.digest(self.key, signed, "sha256"))
        if not hmac.compare_digest(mac, fields[b"webhook-signature"]):
            Desk.forged += 1
        elif webhook_id in self.ids:
            Desk.repeated += 1
        else:
            self.ids[webhook_id] = time.perf_counter()
        return {"id": webhook_id[:8].decode()}

    def _stats(self) -> dict[str, Any]:
        return {
            "taken": len(self.ids),
            "repeated": self.repeated,
            "forged": self.forged,
            "last": max(self.ids.values(), default=0.0) if len(self.ids) < 100 else next(reversed(self.ids.values())),
            "first": next(iter(self.ids.values()), 0.0),
            "urgent": self.ids.get(urgent_id(), 0.0),
        }


async def receive() -> None:
    """Be the receiver; its port is the first line of standard output."""
    server = await asyncio.get_running_loop().create_server(Desk, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


class Receiver:
    """Talks to it."""

    def __init__(self, port: int, pid: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process = psutil.Process(pid)

    def stats(self) -> dict[str, float]:
        with urllib.request.urlopen(f"{self.url}/", timeout=30) as answer:
            found: dict[str, float] = json.load(answer)
        return found

    def wait(self, worker: "subprocess.Popen[bytes]", name: str, at_least: float) -> dict[str, float]:
        """Its counts once ``name`` has come so far. Raises SystemExit if nothing comes any more."""
        last, moved = -1.0, time.perf_counter()
        while (found := self.stats())[name] < at_least:
            if found["taken"] != last:
                last, moved = found["taken"], time.perf_counter()
            if worker.poll() is not None or time.perf_counter() - moved > PATIENCE_S:
                raise SystemExit(f"the worker stands still: {found}")
            time.sleep(0.02)
        return found


@contextmanager
def receiver() -> Iterator[Receiver]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.delivery", "--receive"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent,
    ) as process:
        assert process.stdout is not None
        yield Receiver(int(process.stdout.readline()), process.pid)
        process.terminate()


# -- the tickets -----------------------------------------------------------------------------------------------------


def ticket(number: int, text: str, priority: str) -> Any:
    from schemas.ticket import Ticket, ticket_key

    return Ticket.model_validate(
        {
            "key": ticket_key(f"bench:{number}", NAME),
            "op": "create",
            "revision": 0,
            "destination": NAME,
            "post_id": f"bench:{number}",
            "rule": "complaints",
            "priority": priority,
            "network": "bench",
            "text": text,
            "author": {"id": f"acct:{number % 5000}", "handle": f"someone{number % 5000}", "followers": number % 997},
            "language": "en",
            "intent": "complaint",
            "confidence": 0.93,
            "sentiment": "negative",
            "urgency": 2,
            "triaged_at": "2026-01-01T12:00:00Z",
        }
    )


def urgent_id() -> bytes:
    from schemas.ticket import ticket_key

    return ticket_key("bench:-1", NAME).encode() + b"-0"


async def fill(kafka: dict[str, Any], count: int, priority: str, urgent: bool) -> int:
    """Topics with ``count`` tickets and, if wanted, an urgent one behind them; the mean size of a ticket in bytes."""
    from plaint.kafka.publisher import OutRecord, Publisher
    from plaint.kafka.settings import KafkaSettings
    from plaint.kafka.topics import ensure_topics
    from schemas import topics
    from schemas.ticket import ticket_partition

    settings = KafkaSettings.model_validate(kafka)
    await asyncio.to_thread(ensure_topics, settings, [NAME])
    lines = (ROOT / "ingest" / "samples" / "posts.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [found["text"] for found in map(json.loads, lines) if found.get("text")]
    publisher = Publisher(settings)
    await publisher.start()
    size = 0
    for begin in range(0, count, 5000):
        made = [ticket(n, texts[n % len(texts)], priority) for n in range(begin, min(begin + 5000, count))]
        if urgent and begin + 5000 >= count:
            made.append(ticket(-1, texts[0], "urgent"))
        records = [
            OutRecord(topics.tickets(NAME), ticket_partition(one.key, PARTITIONS), one.key.encode(), one.to_bytes())
            for one in made
        ]
        size += sum(len(record.value) for record in records)
        await publisher.publish(records)
    await publisher.stop()
    return size // (count + urgent)


# -- the runs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bench:
    """A Kafka with tickets in it, a receiver, and a worker that has just been started."""

    kafka: psutil.Process
    receiver: Receiver
    worker: "subprocess.Popen[bytes]"
    size: int


@contextmanager
def bench(count: int, priority: str, urgent: bool, **settings: Any) -> Iterator[Bench]:
    with (
        tempfile.TemporaryDirectory(prefix="plaint-bench-") as name,
        KafkaProcess(Path(name) / "kafka", heap="1g") as node,
    ):
        kafka = {"brokers": [node.bootstrap], "partitions": PARTITIONS}
        size = asyncio.run(fill(kafka, count, priority, urgent))
        with receiver() as desk:
            destination = {"url": f"{desk.url}/hook", "secret": SECRET, **settings}
            env = os.environ | {
                "PLAINT_KAFKA": json.dumps(kafka),
                "PLAINT_DESTINATIONS": json.dumps({NAME: destination}),
            }
            with subprocess.Popen(
                [*PLAINT, "run", "deliver", "--destination", NAME], cwd=name, env=env, preexec_fn=die_with_parent
            ) as worker:
                yield Bench(psutil.Process(node.pid), desk, worker, size)
                worker.terminate()
                if worker.wait(60):
                    raise SystemExit("the worker did not end well")


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def throughput(count: int, concurrency: int) -> dict[str, Any]:
    """Deliveries a second and their costs. Raises SystemExit if one is missing, repeated or wrongly signed."""
    with bench(count, "normal", False, concurrency=concurrency) as run:
        processes = {"worker": psutil.Process(run.worker.pid), "receiver": run.receiver.process, "kafka": run.kafka}
        begin = run.receiver.wait(run.worker, "taken", count // 20)
        began, before = time.perf_counter(), {name: _cpu(process) for name, process in processes.items()}
        end = run.receiver.wait(run.worker, "taken", count)
        seconds = time.perf_counter() - began
        cpu = {name: _cpu(process) - before[name] for name, process in processes.items()}
        memory = processes["worker"].memory_info().rss / 1e6
        if end["repeated"] or end["forged"]:
            raise SystemExit(f"{end['repeated']} repeated, {end['forged']} wrongly signed")
    measured = count - begin["taken"]
    return {
        "tickets": count,
        "ticket_bytes": run.size,
        "concurrency": concurrency,
        "per_s": round(measured / seconds),
        "us": {name: round(spent / measured * 1e6) for name, spent in cpu.items()},
        "worker_cores": round(cpu["worker"] / seconds, 2),
        "worker_mb": round(memory),
    }


def behind_backlog(count: int) -> dict[str, Any]:
    """How long an urgent ticket takes behind ``count`` low ones, at a limit that lets few of them through."""
    with bench(count, "low", True, max_per_minute=LIMIT_PER_MINUTE, backlog=count + 1000) as run:
        found = run.receiver.wait(run.worker, "urgent", 1e-9)
        memory = psutil.Process(run.worker.pid).memory_info().rss / 1e6
    return {
        "backlog": count,
        "max_per_minute": LIMIT_PER_MINUTE,
        "urgent_after_s": round(found["urgent"] - found["first"], 2),
        "low_sent_before": round(found["taken"]) - 1,
        "worker_mb": round(memory),
    }


def main() -> None:
    """Print a table and a last line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=100_000)
    parser.add_argument(
        "--backlog", type=int, default=100_000, help="low tickets before the urgent one; 0: not measured"
    )
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--receive", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.receive:
        import uvloop

        uvloop.install()
        asyncio.run(receive())
        return
    if reason := why_no_kafka():
        raise SystemExit(reason)
    found = {"cpu": processor(), **throughput(options.tickets, options.concurrency)}
    print(f"{found['per_s']} signed deliveries a second, of {found['ticket_bytes']} bytes each")
    for name, spent in found["us"].items():
        print(f"  {name:<10} {spent:6} µs of CPU each")
    print(f"  the worker took {found['worker_cores']} cores and {found['worker_mb']} MB")
    if options.backlog:
        hard = behind_backlog(options.backlog)
        found["hard"] = hard
        print(
            f"an urgent ticket behind {hard['backlog']} low ones, {hard['max_per_minute']} requests a minute: "
            f"{hard['urgent_after_s']} s after the first request, {hard['worker_mb']} MB"
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()

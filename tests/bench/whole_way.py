"""``make bench``: the whole way against the bare engine, on the same posts in one run.

The bare engine is the shipped model called in a loop in one process with nothing around it: the best that the machine can
do; a first run of it is thrown away, since a processor that has been idle is faster for a while. The whole way is ``plaint
up`` as a newcomer starts it (embedded broker, inbox): posts from a file through four stages into signed webhooks. Both take
turns, and the ratio is that of posts a second, pair by pair.

CPU is what the kernel counted for each process from the first post to the last ticket; start-up is left out. Outside the
model is everything but the model's own work, which the bare engine tells. The posts are ``$PLAINT_DATA``'s airline posts,
which no model was trained on; without them the shipped samples, again and again.

At the end posts come at half of the rate that the whole way reached, one by one, and each ticket's time is measured: from the
post being handed to ingest to the receiver having taken the webhook.
"""

import argparse
import asyncio
import csv
import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import psutil

from plaint.inbox.settings import QUEUES
from plaint.kafka.settings import KafkaSettings
from plaint.local.census import Census
from plaint.local.settle import Follower, receipts, settle
from route.rules import RouteTable
from schemas.ticket import ticket_key

PLAINT = (sys.executable, "-P", "-m", "plaint")
ROOT = Path(__file__).parents[2]
WARM = 600
"""Posts that go the whole way before the ones that are measured."""
QUIET_S = 4.0
"""No new ticket for this long, and the run is over; it ended with the last one."""

BARE = """
import json, sys, time
from models.engine import Engine
texts = [json.loads(line)["text"] for line in open(sys.argv[1], encoding="utf-8")]
engine = Engine.load(remembered=0)
engine.score(texts[:256])
wall, cpu = time.perf_counter(), time.process_time()
for start in range(0, len(texts), int(sys.argv[2])):
    engine.score(texts[start : start + int(sys.argv[2])])
print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))
"""


@dataclass(frozen=True)
class Measured:
    """Seconds of wall clock and of CPU; CPU by process name where there are several."""

    wall: float
    cpu: dict[str, float]


def posts(wanted: int) -> Iterator[dict[str, str]]:
    """Posts for both sides: of different ids and texts as people wrote them."""
    data = Path(os.environ.get("PLAINT_DATA", ROOT.parent / "shared" / "data"))
    airlines = data / "public" / "twcs_airlines_asapp" / "data.csv.gz"
    if airlines.exists():
        with gzip.open(airlines, "rt", encoding="utf-8", newline="") as file:
            rows = {row["first_tweet_id"]: row["text"] for row in csv.DictReader(file)}
        yield from ({"id": f"x:{id_}", "text": text} for id_, text in islice(rows.items(), wanted))
        return
    sys.stderr.write(f"{airlines} is not there: using the shipped samples again and again, which flatters both sides\n")
    lines = (ROOT / "ingest" / "samples" / "posts.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [found["text"] for found in map(json.loads, lines) if "text" in found]
    yield from ({"id": f"s:{n}", "text": texts[n % len(texts)]} for n in islice(count(), wanted))


def bare_engine(file: Path, chunk: int) -> Measured:
    """The model alone."""
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(file), str(chunk)], cwd=ROOT, check=True, capture_output=True
    )
    found = json.loads(done.stdout)
    return Measured(found["wall"], {"model": found["cpu"]})


@contextmanager
def plaint_up(log: Path) -> Iterator[tuple[psutil.Process, str, str]]:
    """A running ``plaint up`` without a source: its process, its broker and its inbox."""
    with log.open("w+") as out:
        process = subprocess.Popen([*PLAINT, "up"], stdout=out, stderr=out, cwd=log.parent)
        try:
            broker = _wait_for(log, "on 127.0.0.1:", process).partition(":")[0]
            address = _wait_for(log, "inbox: ", process)
            yield psutil.Process(process.pid), f"127.0.0.1:{broker}", address
        finally:
            process.terminate()
            process.wait(60)


def _wait_for(log: Path, words: str, process: "subprocess.Popen[bytes]") -> str:
    while process.poll() is None:
        _, found, rest = log.read_text().partition(words)
        if found and "\n" in rest:
            return rest.partition("\n")[0].strip()
        time.sleep(0.1)
    raise SystemExit(log.read_text())


def whole_way(file: Path, wanted: int, folder: Path) -> Measured:
    """The same posts through ``plaint up``. Raises SystemExit if one of them was lost."""
    with plaint_up(folder / "up.log") as (parent, broker, inbox):
        with _reading_stdin(broker) as ingest:
            _warm_up(ingest, inbox)
            before, read, started = _cpu(parent), sum(ingest.cpu_times()[:2]), time.perf_counter()
            ingest.stdin.write(file.read_bytes())
            ingest.stdin.close()
            ingest_cpu = _cpu_until_its_end(ingest) - read
        ended = last_ticket(inbox, started, wanted // 2)
        after = _cpu(parent)
        missing = asyncio.run(_missing(KafkaSettings(brokers=(broker,), idempotent_producer=False), WARM + wanted))
        if missing:
            raise SystemExit(f"{len(missing)} lost: {missing[:5]}")
    cpu = {name: after[name] - before.get(name, 0.0) for name in after}
    cpu["ingest"] = cpu.get("ingest", 0.0) + ingest_cpu
    return Measured(ended - started, cpu)


@contextmanager
def _reading_stdin(broker: str) -> Iterator["psutil.Popen"]:
    """An ingest worker that publishes what is written to it, started before anything is measured."""
    env = os.environ | {"PLAINT_KAFKA": json.dumps({"brokers": [broker], "idempotent_producer": False})}
    ingest = psutil.Popen(
        [*PLAINT, "run", "ingest", "--source", "stdin"], env=env, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        yield ingest
    finally:
        with suppress(psutil.NoSuchProcess):  # it has ended by itself
            ingest.terminate()
            ingest.wait(60)


def _warm_up(ingest: "psutil.Popen", inbox: str) -> None:
    for n in range(WARM):
        _hand_over(ingest, {"id": f"w:{n}", "text": f"flight {n} cancelled, no help"})
    ingest.stdin.flush()
    last_ticket(inbox, time.perf_counter(), 400)


def _hand_over(ingest: "psutil.Popen", post: Mapping[str, str]) -> None:
    ingest.stdin.write(json.dumps(post).encode() + b"\n")


def latencies(found: Sequence[Mapping[str, str]], per_second: float, folder: Path) -> list[float]:
    """Seconds from handing each post over to its ticket being taken, of those that gave one, sorted."""
    handed: dict[str, float] = {}
    with plaint_up(folder / "up.log") as (_, broker, inbox), _reading_stdin(broker) as ingest:
        _warm_up(ingest, inbox)
        started = time.time()
        for n, post in enumerate(found):
            time.sleep(max(0.0, started + n / per_second - time.time()))
            handed[post["id"]] = time.time()
            _hand_over(ingest, post)
            ingest.stdin.flush()
        last_ticket(inbox, time.perf_counter(), 0)
        taken = {receipt["key"]: receipt["taken_at"] for receipt in asyncio.run(receipts(inbox, 10.0))}
    keys = {ticket_key(id_, queue): at for id_, at in handed.items() for queue in QUEUES}
    return sorted(taken[key] - at for key, at in keys.items() if key in taken)


def _cpu_until_its_end(ingest: "psutil.Popen") -> float:
    """CPU of a process over its whole life once it has ended, in seconds."""
    _, status, usage = os.wait4(ingest.pid, 0)
    if status:
        raise SystemExit("ingest failed")
    return float(usage.ru_utime + usage.ru_stime)


def stage_of(process: psutil.Process) -> str:
    """``classify``, ``deliver-helpdesk``, ``inbox``, ``broker`` …: what a process of ``plaint up`` is."""
    words = process.cmdline()
    arguments = words[words.index("plaint") + 1 :] if "plaint" in words else []
    if arguments[:2] == ["run", "deliver"]:
        return f"deliver-{arguments[-1]}"
    return (arguments[1] if arguments[:1] == ["run"] else arguments[0]) if arguments else "broker"


def _cpu(parent: psutil.Process) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for process in [parent, *parent.children(recursive=True)]:
        times = process.cpu_times()
        found[stage_of(process).partition("-")[0]] += times.user + times.system
    return found


def last_ticket(
    inbox: str, since: float, at_least: int, between: Callable[[], None] = lambda: time.sleep(0.1)
) -> float:
    """When the last ticket came, once none has come for a while. ``between`` is called again and again meanwhile."""
    first, last, moved = _taken(inbox), 0, since
    while time.perf_counter() - moved < QUIET_S or last < at_least:
        taken = _taken(inbox) - first
        if taken != last:
            last, moved = taken, time.perf_counter()
        between()
    return moved


def _taken(inbox: str) -> int:
    """Webhooks that the inbox has taken; none while it starts."""
    try:
        with urllib.request.urlopen(f"{inbox}/api/stats", timeout=10) as answer:
            return int(json.load(answer)["taken"])
    except urllib.error.URLError:
        return 0


async def _missing(kafka: KafkaSettings, read: int) -> list[str]:
    census = Census(RouteTable.load(None, QUEUES), QUEUES)
    census.read = read
    follower = Follower(kafka, census, list(QUEUES), fresh=True, remember=0)
    await follower.begin()
    try:
        return await settle(follower, census, patience_s=20)
    finally:
        await follower.end()


def processor() -> str:
    """The processor's name and what counts for matrix work on it."""
    text = Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
    name = next(
        (line.partition(": ")[2] for line in text.splitlines() if line.startswith("model name")), platform.processor()
    )
    flags = [flag for flag in ("amx_tile", "avx512_vnni", "avx512_bf16", "avx2") if f" {flag}" in text]
    return f"{name} ({', '.join(flags)}), {os.cpu_count()} cores"


def main() -> None:
    """Print a table and a last line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=16_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--chunk", type=int, default=4096, help="texts a call of the bare engine")
    parser.add_argument("--latency-s", type=float, default=30, help="how long posts come at half load; 0 leaves it out")
    options = parser.parse_args()
    pairs: list[tuple[Measured, Measured]] = []
    with tempfile.TemporaryDirectory(prefix="plaint-bench-") as name:
        folder = Path(name)
        file = folder / "posts.jsonl"
        file.write_text("".join(json.dumps(post) + "\n" for post in posts(options.posts)), encoding="utf-8")
        bare_engine(file, options.chunk)
        for number in range(options.pairs):
            pair = bare_engine(file, options.chunk), whole_way(file, options.posts, folder)
            pairs.append(pair)
            bare, whole = (options.posts / measured.wall for measured in pair)
            print(f"pair {number + 1}: bare {bare:.0f} posts/s, whole way {whole:.0f} posts/s")
        result = _result(pairs, options.posts)
        if options.latency_s:
            result |= _at_half_load(result["whole_posts_per_s"] / 2, options.latency_s, folder)
    print(json.dumps(result))


def _at_half_load(per_second: float, seconds: float, folder: Path) -> dict[str, float]:
    found = latencies(list(posts(int(per_second * seconds))), per_second, folder)
    p50, p99 = (found[int(len(found) * share)] for share in (0.5, 0.99))
    print(
        f"at {per_second:.0f} posts/s: ticket taken after {p50:.2f} s (p50), {p99:.2f} s (p99), {found[-1]:.2f} s (slowest)"
    )
    return {"latency_p50_s": round(p50, 3), "latency_p99_s": round(p99, 3)}


def _result(pairs: list[tuple[Measured, Measured]], n: int) -> dict[str, Any]:
    model = statistics.median(bare.cpu["model"] for bare, _ in pairs) / n * 1e6
    names = sorted({name for _, whole in pairs for name in whole.cpu})
    cpu = {name: statistics.median(whole.cpu.get(name, 0.0) for _, whole in pairs) / n * 1e6 for name in names}
    for name in names:
        print(
            f"  {name:<10} {cpu[name]:8.0f} µs of CPU a post"
            + (f", {model:.0f} of them the model" if name == "classify" else "")
        )
    return {
        "cpu": processor(),
        "posts": n,
        "bare_posts_per_s": round(statistics.median(n / bare.wall for bare, _ in pairs), 1),
        "whole_posts_per_s": round(statistics.median(n / whole.wall for _, whole in pairs), 1),
        "ratio": round(statistics.median(bare.wall / whole.wall for bare, whole in pairs), 3),
        "model_us": round(model),
        "outside_model_us": round(sum(cpu.values()) - model),
        "us": {name: round(value) for name, value in cpu.items()},
    }


if __name__ == "__main__":
    main()

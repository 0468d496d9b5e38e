"""What the embedded broker does under the kill test: ``plaint up`` with one worker a stage, its workers killed with -9.

``python -m tests.chaos embedded``, part of ``make chaos``. Told, not judged: it is no broker for production.
"""

import argparse
import random
import re
import time
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.report import Section, say_faults, table, total
from tests.system.posts import write_posts
from tests.system.receiver import TAKES_LONG
from tests.system.stack import DESTINATIONS, Plaint, Stack
from tests.system.verdict import Verdict, settle

WORKERS = ("run classify", "run route", *(f"run deliver --destination {name}" for name in DESTINATIONS))
PAUSE_S = 4.0
"""Between two kills: ``plaint up`` takes five ends of one worker within 30 s for a crash loop."""
HEAD = ("posts", "kills", "triaged", "tickets due", "tickets", "lost", "second", "requests", "s")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this test."""
    parser.add_argument("--embedded-posts", type=int, default=4_000, help="posts through the embedded broker")
    parser.add_argument("--embedded-kills", type=int, default=20, help="kills with the embedded broker")


def run(options: argparse.Namespace, folder: Path) -> Section:
    """Run it with logs under ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    print(f"embedded broker: {options.embedded_posts} posts, {options.embedded_kills} kills ...", flush=True)
    ids = write_posts(folder / "posts.jsonl", "e:", options.embedded_posts)
    begun = time.monotonic()
    with Stack(folder / "stack", "", workers=0, settings={"kafka": {"brokers": []}}) as stack:
        stack.receiver.wait()
        stack.receiver.fail(TAKES_LONG)
        rate = len(ids) / (options.embedded_kills * PAUSE_S + 5)
        source = f"file:{folder / 'posts.jsonl'},rate={rate}"
        up = Plaint("up", ["up", "--source", source], stack.environment("up"), folder)
        up.start()
        try:
            stack.bootstrap = _address(up)
            kills = _kill(stack, up, len(ids), options.embedded_kills)
            verdict = settle(stack, ids, None, 240)
        finally:
            up.end()
    say_faults(verdict)
    return _section(verdict, kills, time.monotonic() - begun)


def _address(up: Plaint) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = re.search(r"broker.* on (127\.0\.0\.1:\d+)", up.said())
        if found:
            return found[1]
        time.sleep(0.1)
    raise TimeoutError(f"plaint up named no broker:\n{up.said()}")


def _kill(stack: Stack, up: Plaint, posts: int, kills: int) -> int:
    dice = random.Random(1)
    done = 0
    while done < kills:
        time.sleep(PAUSE_S)
        if len(stack.read().triages) >= posts or not up.running:
            break
        wanted = WORKERS[done % len(WORKERS)]
        found = [child for child in psutil.Process(up.pid).children(True) if wanted in " ".join(_command(child))]
        if found:
            dice.choice(found).kill()
            done += 1
    return done


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _section(verdict: Verdict, kills: int, seconds: float) -> Section:
    row: list[Any] = [verdict.posts, kills, verdict.triaged, total(verdict.expected), total(verdict.tickets)]
    row += [verdict.lost, len(verdict.second) + len(verdict.unexpected), total(verdict.requests), round(seconds)]
    numbers = {**verdict.counts(), "kills": kills, "seconds": round(seconds, 1)}
    return Section("kill -9 with the embedded broker, one worker a stage", table(HEAD, [row]), numbers, False)

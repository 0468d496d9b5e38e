"""Whole lives of posts while everything fails: ``python -m tests.chaos lives``, part of ``make chaos``.

Posts are created, edited, deleted and created again, the routes change, workers are killed and stopped, the receiver fails in
every way, and a person turns destinations off and sends tickets again. Each run has a seed of its own, which is printed.
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos.report import Section, table
from tests.support.kafka_process import KafkaProcess
from tests.system.stack import DESTINATIONS, Stack
from tests.system.trouble import LIVES, Report, live_through

ENDS = [f"{name} {end}" for name in DESTINATIONS for end in ("there", "withdrawn", "none")]
HEAD = ("seed", "posts", "states", *ENDS, "requests", "strikes", "workers that ended", "faults", "s")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this test; the first seed is that of the kill test."""
    parser.add_argument("--lives", type=int, default=5, help="runs of whole lives, each with the next seed")
    parser.add_argument("--lives-posts", type=int, default=120, help="posts in each of them")
    parser.add_argument("--lives-seconds", type=float, default=70, help="how long each of them strikes")


def run(options: argparse.Namespace, folder: Path) -> Section:
    """Run it with data and logs under ``folder``."""
    reports: dict[int, Report] = {}
    with (
        KafkaProcess(folder / "kafka") as node,
        Stack(folder / "stack", node.bootstrap, static=not options.dynamic, destination=LIVES) as stack,
    ):
        stack.receiver.wait()
        for seed in range(options.seed, options.seed + options.lives):
            print(f"lives of {options.lives_posts} posts, seed {seed} ...", flush=True)
            reports[seed] = report = live_through(
                stack, seed, posts=options.lives_posts, seconds=options.lives_seconds, timeout_s=400
            )
            for name, found in report.found.faults.items():
                print(f"  {name}: " + "\n    ".join(found), flush=True)
    rows = [_row(seed, report) for seed, report in reports.items()]
    bad = any(report.found.faults for report in reports.values())
    return Section("whole lives", table(HEAD, rows), {str(seed): _numbers(r) for seed, r in reports.items()}, bad)


def _row(seed: int, report: Report) -> list[Any]:
    ends = [report.found.ends[name] for name in ENDS]
    faults = sum(map(len, report.found.faults.values()))
    strikes, exits = len(report.done), len(report.exits)
    return [seed, report.posts, report.states, *ends, report.requests, strikes, exits, faults, round(report.seconds)]


def _numbers(report: Report) -> dict[str, Any]:
    return {
        "states": report.states,
        "ends": report.found.ends,
        "requests": report.requests,
        "strikes": Counter(done.split()[0] for done in report.done),
        "worker_exits": [f"{incident.name}: {incident.what}" for incident in report.exits],
        "faults": report.found.faults,
        "seconds": round(report.seconds, 1),
    }

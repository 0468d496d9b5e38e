"""The long kill test on a real Kafka: ``python -m tests.chaos kills``, part of ``make chaos``.

Two workers a stage; classify, route and deliver workers are killed with -9 again and again while posts flow, once with a
receiver that works and once with one that drops a line in five.
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos.report import Section, is_bad, say_faults, table, total
from tests.support.kafka_process import KafkaProcess
from tests.system.kills import KillReport, kill_while_flowing
from tests.system.receiver import DROPS_ONE_IN_FIVE, TAKES_LONG
from tests.system.stack import HEAVY, Stack

SLOWEST = 25
"""Posts a second that a busy machine manages at least."""
RECEIVERS: dict[str, tuple[dict[str, Any], ...]] = {"works": (TAKES_LONG,), "drops 1 in 5": DROPS_ONE_IN_FIVE}
HEAD = (
    "receiver",
    "posts",
    "kills",
    "triaged",
    "triaged again",
    "with another intent",
    "tickets due",
    "tickets",
    "lost",
    "second",
    "requests",
    "repeats: in flight at a kill",
    "repeats: dropped by the receiver",
    "repeats: lost its session",
    "repeats: no answer in time",
    "repeats: unexplained",
    "workers that ended",
    "s",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this test."""
    parser.add_argument("--posts", type=int, default=20_000, help="posts for the receiver that works")
    parser.add_argument("--kills", type=int, default=64, help="kills with the receiver that works")
    parser.add_argument("--dropped-posts", type=int, default=6_000, help="posts for the receiver that drops lines")
    parser.add_argument("--dropped-kills", type=int, default=20, help="kills with that receiver")
    parser.add_argument("--rate", type=float, default=1000, help="posts a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dynamic", action="store_true", help="workers are no static members of their groups")


def run(options: argparse.Namespace, folder: Path) -> Section:
    """Run it with data and logs under ``folder``."""
    reports = _reports(options, folder)
    text = table(HEAD, [_row(name, report) for name, report in reports.items()])
    bad = any(is_bad(report.verdict) or report.unexplained or _too_many(report) for report in reports.values())
    return Section(
        "kill -9, with the shipped model", text, {name: _numbers(report) for name, report in reports.items()}, bad
    )


def _reports(options: argparse.Namespace, folder: Path) -> dict[str, KillReport]:
    reports: dict[str, KillReport] = {}
    sizes = zip((options.posts, options.dropped_posts), (options.kills, options.dropped_kills), strict=True)
    with (
        KafkaProcess(folder / "kafka") as node,
        Stack(folder / "stack", node.bootstrap, static=not options.dynamic, settings={"classify": HEAVY}) as stack,
    ):
        for (name, rules), (posts, kills) in zip(RECEIVERS.items(), sizes, strict=True):
            stack.receiver.wait()
            stack.receiver.fail(*rules)
            print(f"receiver {name}: {posts} posts, {kills} kills ...", flush=True)
            report = kill_while_flowing(
                stack,
                folder,
                f"k{len(reports)}-{options.seed}",
                posts=posts,
                rate=options.rate,
                kills=kills,
                seed=options.seed,
                timeout_s=posts / SLOWEST + kills * 10 + 300,
            )
            reports[name] = report
            say_faults(report.verdict, [f"unexplained: {line}" for line in report.unexplained])
    return reports


def _too_many(report: KillReport) -> bool:
    return any(count > report.may_repeat(name) for name, count in report.in_flight.items())


def _row(name: str, report: KillReport) -> list[Any]:
    verdict = report.verdict
    return [
        name,
        verdict.posts,
        len(report.kills),
        verdict.triaged,
        verdict.triages_repeated,
        verdict.wavering,
        total(verdict.expected),
        total(verdict.tickets),
        verdict.lost,
        len(verdict.second) + len(verdict.unexpected),
        total(verdict.requests),
        total(report.in_flight),
        total(report.unanswered),
        total(report.moved),
        total(report.late),
        len(report.unexplained),
        len(report.exits),
        round(report.seconds),
    ]


def _numbers(report: KillReport) -> dict[str, Any]:
    kills = Counter(kill.name[:-2] for kill in report.kills)
    return {
        **report.verdict.counts(),
        "kills": dict(kills),
        "repeats_in_flight": report.in_flight,
        "repeats_unanswered": report.unanswered,
        "repeats_moved": report.moved,
        "repeats_late": report.late,
        "repeats_unexplained": len(report.unexplained),
        "worker_exits": [f"{incident.name}: {incident.what}" for incident in report.exits],
        "seconds": round(report.seconds, 1),
    }

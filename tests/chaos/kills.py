"""The long kill test on a real Kafka: ``python -m tests.chaos.kills``, part of ``make chaos``.

Two workers a stage; classify, route and deliver workers are killed with -9 again and again while posts flow, once with a
receiver that works and once with one that drops a line in five. Exit code 1 if anything was lost or came twice as a ticket.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos.report import is_bad, last_line, machine, table, total
from tests.support.kafka_process import KafkaProcess, why_no_kafka
from tests.system.kills import KillReport, kill_while_flowing
from tests.system.receiver import DROPS_ONE_IN_FIVE, TAKES_LONG
from tests.system.stack import Stack

RECEIVERS: dict[str, tuple[dict[str, Any], ...]] = {"works": (TAKES_LONG,), "drops 1 in 5": DROPS_ONE_IN_FIVE}
HEAD = (
    "receiver",
    "posts",
    "kills",
    "triaged",
    "triaged again",
    "tickets due",
    "tickets",
    "lost",
    "second",
    "requests",
    "repeats: in flight at a kill",
    "repeats: no answer",
    "repeats: unexplained",
    "s",
)


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description="Kill workers of plaint while posts flow through a real Kafka.")
    parser.add_argument("--posts", type=int, default=20_000, help="posts for the receiver that works")
    parser.add_argument("--kills", type=int, default=64, help="kills with the receiver that works")
    parser.add_argument("--dropped-posts", type=int, default=6_000, help="posts for the receiver that drops lines")
    parser.add_argument("--dropped-kills", type=int, default=20, help="kills with that receiver")
    parser.add_argument("--rate", type=float, default=200, help="posts a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dynamic", action="store_true", help="workers are no static members of their groups")
    parser.add_argument("--folder", type=Path, help="keep data and logs here")
    options = parser.parse_args()
    if reason := why_no_kafka():
        print(f"no kill test: {reason}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="plaint-chaos-") as temporary:
        reports = _run(options, options.folder or Path(temporary))
    print(f"\nkill -9 on {machine()}\n")
    print(table(HEAD, [_row(name, report) for name, report in reports.items()]))
    bad = any(is_bad(report.verdict) or report.unexplained for report in reports.values())
    print(last_line({"bad": bad, **{name: _numbers(report) for name, report in reports.items()}}))
    return int(bad)


def _run(options: argparse.Namespace, folder: Path) -> dict[str, KillReport]:
    reports: dict[str, KillReport] = {}
    sizes = zip((options.posts, options.dropped_posts), (options.kills, options.dropped_kills), strict=True)
    with (
        KafkaProcess(folder / "kafka") as node,
        Stack(folder / "stack", node.bootstrap, static=not options.dynamic) as stack,
    ):
        for (name, rules), (posts, kills) in zip(RECEIVERS.items(), sizes, strict=True):
            if not posts:
                continue
            _until(stack)
            stack.receiver.fail(*rules)
            print(f"receiver {name}: {posts} posts, {kills} kills ...", flush=True)
            prefix = f"k{len(reports)}-{options.seed}"
            reports[name] = kill_while_flowing(
                stack,
                folder,
                prefix,
                posts=posts,
                rate=options.rate,
                kills=kills,
                seed=options.seed,
                timeout_s=posts / options.rate + 300,
            )
            for fault, found in reports[name].verdict.faults.items():
                print(f"  {fault}: {', '.join(found)}", flush=True)
            for line in reports[name].unexplained[:5]:
                print(f"  unexplained: {line}", flush=True)
    return reports


def _until(stack: Stack, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not stack.receiver.answers():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the receiver did not start: {stack.inbox.said()}")
        time.sleep(0.1)


def _row(name: str, report: KillReport) -> list[Any]:
    verdict = report.verdict
    return [
        name,
        verdict.posts,
        len(report.kills),
        verdict.triaged,
        verdict.triages_repeated,
        total(verdict.expected),
        total(verdict.tickets),
        verdict.lost,
        len(verdict.second) + len(verdict.unexpected),
        total(verdict.requests),
        total(report.in_flight),
        total(report.unanswered),
        len(report.unexplained),
        round(report.seconds),
    ]


def _numbers(report: KillReport) -> dict[str, Any]:
    kills = Counter(kill.name[:-2] for kill in report.kills)
    return {
        **report.verdict.counts(),
        "kills": dict(kills),
        "repeats_in_flight": report.in_flight,
        "repeats_unanswered": report.unanswered,
        "repeats_unexplained": len(report.unexplained),
        "seconds": round(report.seconds, 1),
    }


if __name__ == "__main__":
    sys.exit(main())

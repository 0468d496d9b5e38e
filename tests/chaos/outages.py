"""Long outages on a real Kafka while posts flow: ``python -m tests.chaos outages``, part of ``make chaos``."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos.report import Section, is_bad, say_faults, table, total
from tests.support.kafka_process import KafkaProcess
from tests.system.outages import (
    OutageReport,
    kafka_dies,
    kafka_stops,
    outage,
    receiver_goes,
    receiver_hangs,
    workers_stop,
)
from tests.system.stack import CONCURRENCY, DESTINATIONS, SESSION_S, Stack

RATE = 30.0
HEAD = (
    "outage",
    "s",
    "posts",
    "tickets due",
    "tickets",
    "lost",
    "second",
    "by a non-owner",
    "requests",
    "tries while away",
    "first after, s",
    "most at once after",
    "workers that ended",
    "settled after the last post, s",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this test."""
    parser.add_argument("--outage", type=float, default=60, help="how long Kafka and the receiver are away, seconds")


def run(options: argparse.Namespace, folder: Path) -> Section:
    """Run it with data and logs under ``folder``."""
    away = float(options.outage)
    reports: dict[str, OutageReport] = {}
    with KafkaProcess(folder / "kafka") as node, Stack(folder / "stack", node.bootstrap) as stack:
        stack.receiver.wait()
        for number, (name, happen) in enumerate(_outages(stack, node, away).items()):
            print(f"outage: {name} ...", flush=True)
            lasts = away if "worker" not in name else SESSION_S + 6
            reports[name] = outage(
                stack,
                folder,
                f"o{number}",
                posts=int(RATE * (lasts + 20)),
                rate=RATE,
                before_s=5,
                happen=happen,
                timeout_s=lasts + 400,
            )
            say_faults(reports[name].verdict)
    bad = any(is_bad(report.verdict) or _stormed(name, report) for name, report in reports.items())
    rows = [_row(name, report) for name, report in reports.items()]
    return Section("outages", table(HEAD, rows), {name: _numbers(r) for name, r in reports.items()}, bad)


def _outages(stack: Stack, node: KafkaProcess, away: float) -> dict[str, Callable[[], None]]:
    stopped = SESSION_S + 6
    return {
        "Kafka stopped": kafka_stops(stack, node, away),
        "Kafka killed, started again": kafka_dies(stack, node),
        "classify worker stopped": workers_stop(stack, ["classify-0"], stopped),
        "route worker stopped": workers_stop(stack, ["route-0"], stopped),
        "deliver workers stopped": workers_stop(stack, ["helpdesk-0", "service-0"], stopped),
        "receiver gone": receiver_goes(stack, away),
        "receiver hangs": receiver_hangs(stack, away),
    }


def _stormed(name: str, report: OutageReport) -> bool:
    if not name.startswith("receiver"):
        return False
    tried = max(report.tried.values())
    return tried > report.may_try(workers=2) or max(report.most_at_once.values()) > 2 * CONCURRENCY


def _row(name: str, report: OutageReport) -> list[Any]:
    verdict = report.verdict
    away = name.startswith("receiver")
    return [
        name,
        round(report.ended - report.began),
        verdict.posts,
        total(verdict.expected),
        total(verdict.tickets),
        verdict.lost,
        len(verdict.second) + len(verdict.unexpected),
        len(verdict.strays),
        total(verdict.requests),
        " + ".join(str(report.tried[name]) for name in DESTINATIONS) if away else "",
        "-" if report.first_after is None else f"{report.first_after - report.ended:.1f}",
        max(report.most_at_once.values()),
        len(report.exits),
        round(report.settled - max(report.ended, report.fed), 1),
    ]


def _numbers(report: OutageReport) -> dict[str, Any]:
    return {
        **report.verdict.counts(),
        "away_s": round(report.ended - report.began, 1),
        "first_after_s": None if report.first_after is None else round(report.first_after - report.ended, 2),
        "settled_after_last_post_s": round(report.settled - max(report.ended, report.fed), 1),
        "tried_while_away": report.tried,
        "most_at_once_after": report.most_at_once,
        "worker_exits": [f"{incident.name}: {incident.what}" for incident in report.exits],
    }

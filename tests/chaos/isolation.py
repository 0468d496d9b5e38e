"""One destination dead with a long backlog: ``python -m tests.chaos isolation``, part of ``make chaos``.

The same even load goes to the other destination before, while workers of the dead one leave and join, and once all is
delivered. The p99 in between is held against the larger of the other two: where they differ, it is the machine.
"""

import argparse
from pathlib import Path
from statistics import median

from tests.chaos.report import Section, table
from tests.support.kafka_process import KafkaProcess
from tests.system.isolation import Isolation, Latencies, isolate, p99
from tests.system.stack import Stack

RATIO = 1.2
"""How much longer the p99 may be than it was."""
HEAD = (
    "",
    "tickets",
    "p50 ms from accepted",
    "p99 ms from accepted",
    "p50 ms from put",
    "p99 ms from put",
    "p99 of 1 s",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this test."""
    parser.add_argument("--backlog", type=int, default=50_000, help="tickets that wait for the dead destination")
    parser.add_argument("--steady-rate", type=float, default=50, help="tickets a second for the other")
    parser.add_argument("--steady-seconds", type=float, default=60, help="how long, before and during")
    parser.add_argument("--moves", type=int, default=4, help="how often a worker leaves and another joins")


def run(options: argparse.Namespace, folder: Path) -> Section:
    """Run it with data and logs under ``folder``."""
    print(f"one destination dead with {options.backlog} tickets ...", flush=True)
    with KafkaProcess(folder / "kafka") as node, Stack(folder / "stack", node.bootstrap) as stack:
        stack.receiver.wait()
        found = isolate(
            stack,
            backlog=options.backlog,
            rate=options.steady_rate,
            seconds=options.steady_seconds,
            moves=options.moves,
            timeout_s=options.backlog / 20 + 60,
        )
    ratio = p99(found.during.from_accepted) / max(p99(found.before.from_accepted), p99(found.after.from_accepted))
    rows = [_row("before", found.before), _row("during", found.during), _row("after", found.after)]
    measured = f"p99 from accepted, during to the larger other: {ratio:.2f}"
    text = "\n".join([table(HEAD, rows), "", measured, _backlog(found), _memory(found)])
    bad = ratio > RATIO or found.arrived < found.backlog or found.second > 0
    numbers = {"ratio": ratio, "backlog": found.backlog, "arrived": found.arrived, "second": found.second}
    return Section("isolation", text, numbers | {"requests": found.requests}, bad)


def _row(name: str, found: Latencies) -> tuple[object, ...]:
    parts = [f"{measure(part):.1f}" for part in (found.from_accepted, found.from_put) for measure in (median, p99)]
    return name, len(found.at), *parts, f"{found.p99_of_windows():.1f}"


def _backlog(found: Isolation) -> str:
    return (
        f"{found.arrived} of {found.backlog} arrived {found.returned_s:.0f} s after the destination was back, "
        f"{found.second} of them twice, in {found.requests} requests"
    )


def _memory(found: Isolation) -> str:
    lines = []
    for name, sizes in found.memory.items():
        part = max(1, len(sizes) // 4)
        lines.append(
            f"memory of {name}: {median(sizes[:part]):.0f} MB in the first quarter, {median(sizes[-part:]):.0f} MB in the "
            f"last, {max(sizes):.0f} MB at most"
        )
    return "\n".join(lines)

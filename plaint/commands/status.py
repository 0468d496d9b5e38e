"""``plaint status``: each stage on one line, and what is wrong with what to do about it."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from plaint.diagnosis.finding import Finding
from plaint.diagnosis.judgement import judged
from plaint.diagnosis.quiet import hush
from plaint.diagnosis.status import StageStatus, Status, look
from plaint.local.running import destinations_at_hand, kafka_at_hand, running_at_hand
from plaint.logs import escaped
from plaint.settings import Settings, load_settings
from plaint.terminal import SecondsType, echo_while_read, span


@click.command()
@click.option(
    "--ask",
    "addresses",
    multiple=True,
    metavar="URL",
    help="Where a stage, or another `plaint up`, tells of itself: http://classify-0:8322. The `plaint up` that runs here is "
    "asked anyway.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option(
    "--watch",
    type=SecondsType(0.5),
    is_flag=False,
    flag_value=5.0,
    metavar="[SECONDS]",
    help="Look again and again.",
)
@click.pass_obj
def status(config: Path | None, addresses: tuple[str, ...], as_json: bool, watch: float | None) -> None:
    """Show how each stage is: alive, what waits, what is not delivered; and what to do about what is wrong.

    Exit code 0 if all is well, 1 if something is named.

    \b
    plaint status
    plaint status --json | jq '.findings[]'
    plaint status --watch
    """
    hush()
    settings = load_settings(config)
    while True:
        found = _now(settings, addresses)
        _show(found, as_json, watch is not None)
        if watch is None:
            sys.exit(1 if found.findings else 0)
        time.sleep(watch)


def _now(settings: Settings, addresses: Sequence[str]) -> Status:
    running = running_at_hand(settings)
    asked = [*addresses, running.monitoring if running else ""]
    return judged(asyncio.run(look(kafka_at_hand(settings), destinations_at_hand(settings), asked)))


def _show(found: Status, as_json: bool, again: bool) -> None:
    say = click.echo if again else echo_while_read  # nobody waits for the exit code of one who looks again and again
    if as_json:
        say(found.model_dump_json(indent=None if again else 2))
        return
    if again:
        click.clear()
        click.echo(f"{found.at.astimezone():%H:%M:%S}")
    for line in lines(found):
        say(escaped(line))


def lines(found: Status) -> list[str]:
    """One line a stage, then each finding with its mend."""
    wide = max((len(stage.name) for stage in found.stages), default=0)
    stages = [f"{stage.name:{wide}}  {_about(stage)}" for stage in found.stages]
    return [*stages, *told(found.findings, "all is well")]


def told(findings: Sequence[Finding], well: str) -> list[str]:
    """Findings for a person, or that there are none."""
    if not findings:
        return ["", well]
    shown = [""]
    for one in findings:
        shown += [f"{'!' if one.severity == 'fail' else '·'} {one.place}: {one.what}", f"    → {one.mend}"]
    return shown


def _about(stage: StageStatus) -> str:
    parts = [_life(stage)]
    if stage.lag is not None:
        since = f", oldest {span(stage.oldest_waiting_s)}" if stage.oldest_waiting_s is not None else ""
        parts.append(f"lag {stage.lag:,}{since}{_by_partition(stage)}")
    if stage.open_tickets is not None:
        age = stage.oldest_undelivered_s
        parts.append(f"undelivered {stage.open_tickets:,}{f', oldest {span(age)}' if age is not None else ''}")
    if stage.breaker:
        parts.append("breaker open" if stage.breaker == "open" else "breaker closed")
    if stage.disabled:
        parts.append("disabled")
    return "  ".join(parts)


def _life(stage: StageStatus) -> str:
    if stage.done:
        return "done"
    if stage.stopped:
        return "stopped"
    if not stage.processes:
        return "unknown" if stage.processes is None else "not running"
    words = f"alive × {stage.processes}"
    return f"{words} (rebalancing)" if stage.group.endswith("Rebalance") else words


def _by_partition(stage: StageStatus) -> str:
    behind = {number: lag for number, lag in stage.lags.items() if lag}
    return f" ({', '.join(f'{number}: {lag:,}' for number, lag in behind.items())})" if len(behind) > 1 else ""

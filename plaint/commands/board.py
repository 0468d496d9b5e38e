"""``plaint board``: how the running plaint does, live."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path

import click
from rich.console import Console

from plaint.board.screen import Board, can_draw
from plaint.diagnosis.quiet import hush
from plaint.failures import EXIT_INTERRUPTED
from plaint.local.running import kafka_at_hand, running_at_hand
from plaint.settings import load_settings
from schemas.faults import Unavailable

EVERY_S = 5.0


@click.command()
@click.option(
    "--at", "address", metavar="URL", help="Where a `plaint up` tells of itself; without it, the one running here."
)
@click.option("--once", is_flag=True, help="Write one line and end.")
@click.pass_obj
def board(config: Path | None, address: str | None, once: bool) -> None:
    """Show a running `plaint up` live: posts a second, intents, urgent posts, stages, latency. Ctrl-C ends it (130).

    Where no board can be drawn (no terminal, TERM=dumb) it writes a line every 5 s. NO_COLOR is heeded.

    \b
    plaint board
    plaint board --at http://127.0.0.1:8322
    """
    settings = load_settings(config)
    running = running_at_hand(settings)
    monitoring = address or (running.monitoring if running is not None else "")
    if not monitoring:
        where = "here on kafka.brokers" if settings.kafka.brokers else "here"
        tells_nothing = f"the `plaint up` that runs {where} tells nothing (monitoring.enabled)"
        what = tells_nothing if running else f"no `plaint up` runs {where}"
        raise Unavailable(f"{what}; start one in another terminal, or give --at")
    shown = Board(monitoring, kafka_at_hand(settings), running.inbox if running is not None else "")
    console = Console()
    hush()
    work = shown.draw(console) if can_draw(console) and not once else shown.tell(sys.stdout, EVERY_S, once)
    try:
        asyncio.run(_until_ended(work))
    except asyncio.CancelledError:
        sys.exit(EXIT_INTERRUPTED)


async def _until_ended(work: Coroutine[None, None, None]) -> None:
    """A signal ends it as Ctrl-C does, so that the terminal gets back what it showed before."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await task

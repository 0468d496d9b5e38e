"""``plaint up``: the whole way on this machine."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.resources import files
from pathlib import Path

import click

from ingest.settings import SourceSettings
from plaint.commands.run import read_sources
from plaint.local.running import Running
from plaint.local.up import Run, forget_environment
from plaint.preflight import check_broker, check_setup
from plaint.settings import Settings, SettingsInvalid, load_settings
from plaint.terminal import SecondsType, echo_to_who_listens


@click.command()
@click.option(
    "--source", "sources", multiple=True, help="file:PATH, file:- or stdin; instead of the settings' sources."
)
@click.option("--samples", is_flag=True, help="Read the 200 sample posts that plaint ships.")
@click.option("--exit-when-done", is_flag=True, help="End once every post that was read has come to its end.")
@click.option(
    "--summary", type=click.Choice(["text", "json"]), default="text", help="How to sum up the run at the end."
)
@click.option(
    "--patience",
    type=SecondsType(1),
    default=120.0,
    show_default=True,
    help="Seconds without any progress after which what is missing is lost.",
)
@click.option(
    "--board/--no-board",
    "board",
    default=None,
    help="Show a live board instead of log lines, which are written when it ends. Without it: on a terminal.",
)
@click.pass_obj
def up(
    config: Path | None,
    sources: tuple[str, ...],
    samples: bool,
    exit_when_done: bool,
    summary: str,
    patience: float,
    board: bool | None,
) -> None:
    """Run the whole way on this machine, from a source to the helpdesk.

    Without kafka.brokers in the settings an embedded broker is started; without destinations an inbox stands in for the
    helpdesk and shows the tickets on a web page. Exit code 1 if anything was lost.

    \b
    plaint up --samples
    plaint up --source file:posts.jsonl --exit-when-done --summary json
    """
    settings = load_settings(config)
    forget_environment()
    found = read_sources(sources) if sources else list(settings.sources)
    if samples:
        found.append(SourceSettings(path=str(files("ingest") / "samples" / "posts.jsonl"), name="samples"))
    if exit_when_done and (not found or any(source.loop for source in found)):
        raise click.UsageError("--exit-when-done needs a source that ends: --source file:PATH or --samples, no loop")
    if wrong := [*check_broker(settings), *check_setup(settings, found)]:
        raise SettingsInvalid(wrong)
    run = Run(settings, found, exit_when_done, patience)
    around = _board(settings, board)
    code = run.run(partial(echo_to_who_listens, err=summary == "json"), around)
    if run.summary is not None and exit_when_done:
        echo_to_who_listens(run.summary.model_dump_json() if summary == "json" else run.summary.text())
    sys.exit(code)


def _board(settings: Settings, wanted: bool | None) -> Callable[[Running], AbstractContextManager[None]]:
    """The board around a run if it is wanted and can be drawn: both streams must be the terminal, or its lines would tear it.

    Raises click.UsageError where it was asked for and can't be.
    """
    if wanted is False:
        return lambda running: nullcontext()
    from rich.console import Console

    from plaint.board.screen import around, can_draw

    console = Console(file=sys.__stdout__)
    drawable = can_draw(console) and sys.stderr.isatty() and settings.monitoring.enabled
    if wanted and not drawable:
        what = "a terminal for both output and errors, TERM other than dumb, and monitoring.enabled"
        raise click.UsageError(f"--board needs {what}")
    return partial(around, console, settings.kafka) if drawable else lambda running: nullcontext()

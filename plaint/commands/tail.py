"""``plaint tail``: what passes, as it passes."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

import click

from plaint.cancelled import cancelled
from plaint.local.running import destinations_at_hand, kafka_at_hand
from plaint.lookup.destinations import chosen_destinations
from plaint.lookup.tail import KINDS, TELLS, Kind, Tail, Wanted, searcher, words
from plaint.settings import load_settings
from plaint.terminal import EVERY_S, MOMENT, TEXT, json_line, nobody_reads_stdout
from schemas.labels import INTENTS


@click.command()
@click.argument("kinds", nargs=-1, type=click.Choice(KINDS))
@click.option(
    "--intent", "intents", multiple=True, type=click.Choice([str(one) for one in INTENTS]), help="Only these."
)
@click.option("--urgent", is_flag=True, help="Only what was judged urgent.")
@click.option("--destination", "destinations", multiple=True, help="Only tickets and deliveries of these.")
@click.option("--network", "networks", type=TEXT, multiple=True, help="Only posts of these networks.")
@click.option(
    "--grep",
    type=TEXT,
    metavar="REGEX",
    help="Only where this (RE2, any case) is found in the text, or in a dead letter's detail.",
)
@click.option("--since", type=MOMENT, help="Begin then, not now: 10m, 2h, 3d ago, or 2026-05-01T12:00:00Z.")
@click.option("-n", "--lines", "most", type=click.IntRange(1), help="End after so many lines.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def tail(
    config: Path | None,
    kinds: tuple[Kind, ...],
    intents: tuple[str, ...],
    urgent: bool,
    destinations: tuple[str, ...],
    networks: tuple[str, ...],
    grep: str | None,
    since: datetime | None,
    most: int | None,
    as_json: bool,
) -> None:
    """Show posts, triage, tickets, deliveries or dead letters as they pass; triage if none is named. Ctrl-C ends it (130).

    Needs Describe and Read on the topics that are shown, and no consumer group.

    \b
    plaint tail --urgent
    plaint tail posts --since 1h --grep 'refund|money back' -n 20
    plaint tail tickets deliveries --destination helpdesk --json | jq .
    """
    settings = load_settings(config)
    shown = tuple(dict.fromkeys(kinds)) or ("triage",)
    _check({"--intent": intents, "--urgent": urgent, "--destination": destinations, "--network": networks}, shown)
    known = destinations_at_hand(settings)
    wanted = Wanted(
        intents=intents,
        urgent=urgent,
        destinations=chosen_destinations(destinations, known),
        networks=[name.casefold() for name in networks],
        grep=_searcher(grep),
        since=since,
    )
    asyncio.run(_print(Tail(kafka_at_hand(settings), shown, known, wanted), most, as_json, len(shown) > 1))


def _check(filters: dict[str, object], shown: tuple[Kind, ...]) -> None:
    for name, value in filters.items():
        unknown = [kind for kind in shown if kind not in TELLS[name]]
        if value and unknown:
            raise click.UsageError(
                f"{name} says nothing of {', '.join(unknown)}: it goes with {', '.join(TELLS[name])}"
            )


def _searcher(grep: str | None) -> Callable[[str], bool] | None:
    if grep is None:
        return None
    try:
        return searcher(grep)
    except ValueError as error:
        raise click.BadParameter(f"is no expression that RE2 knows: {error}", param_hint="--grep") from None


async def _print(following: Tail, most: int | None, as_json: bool, with_kind: bool) -> None:
    tasks = [asyncio.create_task(_follow(following, most, as_json, with_kind)), asyncio.create_task(_reader_left())]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        await cancelled(task)
    for task in done:
        task.result()


async def _follow(following: Tail, most: int | None, as_json: bool, with_kind: bool) -> None:
    count = 0
    async with aclosing(following.lines()) as lines:
        async for line in lines:
            click.echo(json_line(line.json_fields()) if as_json else words(line, with_kind))
            count += 1
            if count == most:
                return


async def _reader_left() -> None:
    """Return once nobody reads on. Where no line comes, writing one won't tell."""
    while not nobody_reads_stdout():  # noqa: ASYNC110 - it is another program that leaves
        await asyncio.sleep(EVERY_S)

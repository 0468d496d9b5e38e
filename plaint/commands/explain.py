"""``plaint explain POST``: why a post has a ticket, or none."""

import asyncio
import sys
from pathlib import Path

import click

from plaint.commands.holding import ASK
from plaint.leftovers import find_strangers
from plaint.local.plan import stood_in
from plaint.local.running import destinations_at_hand, kafka_at_hand
from plaint.lookup.explain import explain as look
from plaint.lookup.explain_text import lines
from plaint.lookup.holds import clues_at_hand
from plaint.lookup.routes import table_at_hand
from plaint.settings import load_settings
from plaint.terminal import TEXT, Reading, echo_while_read, json_line


@click.command()
@click.argument("post", type=TEXT)
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@click.option("--everywhere", is_flag=True, help="Look on every partition, for producers that choose them otherwise.")
@ASK
@click.pass_obj
def explain(config: Path | None, post: str, as_json: bool, everywhere: bool, addresses: tuple[str, ...]) -> None:
    """Say all that is known of the post with this id: why it has a ticket, or none.

    Its revisions, its label with each part of the urgency, the rules that did not take it and the one that did, its
    tickets with every attempt and what holds them back, those for destinations that were taken out of the settings too, what
    was dropped, dead letters, and what can't be known any more.
    Exit code 1 if nothing is known.

    Needs Describe and Read on plaint.posts, plaint.triaged, plaint.deadletters, plaint.tickets.* and plaint.deliveries.*.
    With Describe on the group plaint-route it tells whether route has settled the post already.

    \b
    plaint explain at://did:plc:abc/app.bsky.feed.post/3k
    plaint explain 1234567 --json | jq .summary
    """
    settings = load_settings(config)
    kafka, known = kafka_at_hand(settings), destinations_at_hand(settings)
    others = asyncio.run(find_strangers(kafka, known))
    destinations = (*known, *(name for name in stood_in(settings) if name in others))
    removed = [name for name in others if name not in destinations]
    with Reading("reading") as reading:
        told = asyncio.run(
            look(
                kafka,
                destinations,
                table_at_hand(settings, destinations),
                post,
                removed=removed,
                everywhere=everywhere,
                progress=reading,
                clues=clues_at_hand(settings, kafka, addresses),
            )
        )
    if as_json:
        echo_while_read(json_line(told.model_dump(mode="json")))
    else:
        for line in lines(told):
            echo_while_read(line)
    sys.exit(0 if told.found else 1)

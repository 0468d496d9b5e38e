"""``plaint tickets list|show|retry``: how tickets stand, by the delivery logs."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from plaint.again.plan import Done, Plan
from plaint.again.tickets import plan_retries
from plaint.again.tickets import retry as send_again
from plaint.commands.holding import ASK, destination_at, done_fields, done_words, holds_at, notice
from plaint.kafka.settings import KafkaSettings
from plaint.local.running import destinations_at_hand, kafka_at_hand
from plaint.lookup.destinations import chosen_destinations
from plaint.lookup.explain_text import life_lines
from plaint.lookup.explanation import Hold
from plaint.lookup.hold_words import hold_in_short
from plaint.lookup.holds import NO_CLUES, Clues, clues_at_hand
from plaint.lookup.tickets import STATES, Listed, State, TicketRow, WantedTickets, key_of, list_tickets, show_tickets
from plaint.settings import SettingsInvalid, load_settings
from plaint.terminal import (
    SPAN,
    TEXT,
    Reading,
    confirmed,
    echo_to_who_listens,
    json_line,
    one_line,
    span,
)
from schemas.faults import Fault, shown

MANY = 10
"""So many tickets, or more, are asked about before they go again."""


@click.group()
def tickets() -> None:
    """List and show tickets, and have them tried again.

    Needs Describe and Read on plaint.deliveries.* and plaint.tickets.*; retry needs Write on plaint.tickets.*, and Read on
    plaint.deadletters for tickets that are older than plaint.tickets.* keep them.
    """


@tickets.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Without it: open and dead.")
@click.option("--destination", "destinations", multiple=True, help="Only of these.")
@click.option("--older", type=SPAN, help="Of at least this age: 10m, 2h, 3d.")
@click.option("--younger", type=SPAN, help="Of at most this age.")
@click.option("-n", "--most", type=click.IntRange(0), default=100, show_default=True, help="Newest so many; 0: all.")
@ASK
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def list_(
    config: Path | None,
    states: tuple[State, ...],
    destinations: tuple[str, ...],
    older: float | None,
    younger: float | None,
    most: int,
    addresses: tuple[str, ...],
    as_json: bool,
) -> None:
    """List tickets, oldest first: those that are open or dead, unless states are named.

    An open one says what it waits for: its next try, a limit, or a destination that is disabled or down.

    \b
    plaint tickets list
    plaint tickets list --state open --destination helpdesk --older 1h
    plaint tickets list --state done --younger 10m --json | jq -r .remote_url
    """
    settings = load_settings(config)
    kafka, known = kafka_at_hand(settings), destinations_at_hand(settings)
    chosen = chosen_destinations(destinations, known) or known
    wanted = WantedTickets(states or ("open", "dead"), older or 0.0, float("inf") if younger is None else younger)
    rows, count, off = _list(kafka, chosen, wanted, most, clues_at_hand(settings, kafka, addresses))
    for row in rows:
        click.echo(json_line(row.model_dump(mode="json")) if as_json else _row(row))
    if not as_json:
        more = f"; the {count - len(rows)} oldest are left out, -n 0 shows all" if count > len(rows) else ""
        echo_to_who_listens(f"{count} ticket{'s' * (count != 1)}{more}", err=True)
        notice(off.values())


def _list(
    kafka: KafkaSettings,
    destinations: Sequence[str],
    wanted: WantedTickets,
    most: int,
    clues: Clues = NO_CLUES,
) -> Listed:
    with Reading("reading the delivery logs") as reading:
        return asyncio.run(list_tickets(kafka, destinations, wanted, most, reading, clues))


def _row(row: TicketRow) -> str:
    tries = f"{row.attempt} request{'s' * (row.attempt != 1)}"
    said = [row.key, row.destination, row.state, span(row.age.total_seconds()), tries]
    if row.under_way:
        said.append("one under way")
    if row.hold is not None and row.state == "open":
        said.append(hold_in_short(row.hold))
    elif not row.under_way and row.next_try is not None:
        wait = (row.next_try - datetime.now(UTC)).total_seconds()
        said.append(f"next in {span(wait)}" if wait > 0 else "due now")
    said += [str(row.status)] if row.status is not None else []
    said += [row.reason] if row.reason else []
    said += [f"as {one_line(row.remote_id, 60)}"] if row.remote_id else []
    said += [one_line(row.remote_url, 200)] if row.remote_url else []
    return "  ".join([*said, one_line(row.post_id, 120)]).rstrip()


@tickets.command()
@click.argument("ticket", type=TEXT)
@ASK
@click.option("--json", "as_json", is_flag=True, help="As one JSON object a ticket.")
@click.pass_obj
def show(config: Path | None, ticket: str, addresses: tuple[str, ...], as_json: bool) -> None:
    """Show a ticket's whole life: what route asked for, every attempt that the delivery log tells of, what holds it back.

    TICKET is its key, its webhook-id, or the id of its post, which may have a ticket at each destination.

    \b
    plaint tickets show 45ad88101944a0f348d3d72c19c300bd
    plaint tickets show reddit:t3_pw01v7y --json
    """
    settings = load_settings(config)
    kafka, known = kafka_at_hand(settings), destinations_at_hand(settings)
    clues = clues_at_hand(settings, kafka, addresses)
    with Reading("reading") as reading:
        found = asyncio.run(show_tickets(kafka, known, ticket, reading, clues))
    if not found:
        raise SettingsInvalid([_unknown(ticket)])
    for life in found:
        if as_json:
            click.echo(json_line(life.model_dump(mode="json")))
            continue
        for line in life_lines(life):
            click.echo(line)


def _unknown(name: str) -> Fault:
    mend = "give a ticket's key, a webhook-id or a post's id; plaint tickets list shows them"
    return Fault(shown(one_line(name)), "is no ticket that is known", mend)


@tickets.command("retry")
@click.argument("names", type=TEXT, metavar="[TICKET]...", nargs=-1)
@click.option("--state", "states", multiple=True, type=click.Choice(["open", "dead"]), help="All of this state.")
@click.option("--destination", "destinations", multiple=True, help="Only of these.")
@click.option("--older", type=SPAN, help="Of at least this age: 10m, 2h, 3d.")
@click.option("--younger", type=SPAN, help="Of at most this age.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--yes", is_flag=True, help=f"Do not ask; {MANY} or more are asked about otherwise.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: ticket, sent, place, why, hold.")
@click.pass_obj
def retry_(
    config: Path | None,
    names: tuple[str, ...],
    states: tuple[State, ...],
    destinations: tuple[str, ...],
    older: float | None,
    younger: float | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Have tickets tried now: open ones are due at once, dead ones go again, with all their tries.

    They go in a new generation: same key, a webhook-id of its own, so that the receiver takes it. What was delivered
    meanwhile is not sent again. Where the destination is disabled or down they wait, which is said. Exit code 1 if one of
    them could not be sent.

    \b
    plaint tickets retry 45ad88101944a0f348d3d72c19c300bd
    plaint tickets retry --state dead --destination helpdesk --younger 1d --dry-run
    """
    if not (names or states):
        raise click.UsageError("name tickets, or a --state")
    settings = load_settings(config)
    kafka, known = kafka_at_hand(settings), destinations_at_hand(settings)
    chosen = chosen_destinations(destinations, known) or known
    keys = _keys(kafka, chosen, names)
    if states:
        wanted = WantedTickets(states, older or 0.0, float("inf") if younger is None else younger)
        keys |= {row.key: row.key for row in _list(kafka, chosen, wanted, 0).rows}
    if len(keys) >= MANY and not dry_run:
        confirmed(f"have {len(keys)} tickets tried again?", yes)
    plans = _planned(kafka, chosen, keys)
    topics = [plan.record.topic for plan in plans if plan.record is not None]
    holds = holds_at(kafka, topics, clues_at_hand(settings, kafka))
    done = [plan.would() for plan in plans] if dry_run or not topics else asyncio.run(send_again(kafka, plans))
    for one in done:
        echo_to_who_listens(_told(one, holds.get(destination_at(one.place)), dry_run, as_json))
    if not as_json:
        notice(holds.values())
    sys.exit(0 if all(one.place for one in done) else 1)


def _keys(kafka: KafkaSettings, destinations: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """The keys that ``names`` mean, with those names. Raises SettingsInvalid with each that means no ticket."""
    keys: dict[str, str] = {}
    asked = {key_of(name, destination): name for name in names for destination in destinations}
    if asked:
        wanted = WantedTickets(STATES, keys=asked.keys())
        keys = {row.key: row.key for row in _list(kafka, destinations, wanted, 0).rows}
    known = {asked[key] for key in keys}
    faults = [_unknown(name) for name in names if name not in known]
    if faults:
        raise SettingsInvalid(faults)
    return keys


def _planned(kafka: KafkaSettings, destinations: Sequence[str], keys: Mapping[str, str]) -> list[Plan]:
    with Reading("reading") as reading:
        return asyncio.run(plan_retries(kafka, destinations, keys, reading)) if keys else []


def _told(one: Done, hold: Hold | None, dry_run: bool, as_json: bool) -> str:
    if as_json:
        return json_line({"ticket": one.name, **done_fields(one, hold, dry_run)})
    verb = "would go to" if dry_run else "goes again as"
    return f"{one.name}  {one_line(done_words(one, hold, verb))}"

"""``plaint destination``: which destinations get nothing, and turning one off or on again."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from plaint.commands.holding import ASK
from plaint.kafka.settings import KafkaSettings
from plaint.local.running import destinations_at_hand, kafka_at_hand
from plaint.logs import escaped
from plaint.lookup.holds import Clues, clues_at_hand, look_for_holds
from plaint.settings import SettingsInvalid, load_settings
from plaint.switches import switch_states, turn
from plaint.terminal import TEXT
from route.delivery.switch import Disabled
from schemas.faults import Fault, one_of, shown

MAX_WHY_CHARS = 300


@click.group()
def destination() -> None:
    """Turn a destination off or on again: while it is off nothing is sent, and its tickets wait.

    A destination that answers 410, or refuses one ticket after the other, turns itself off.
    """


@destination.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@ASK
@click.pass_obj
def list_(config: Path | None, as_json: bool, addresses: tuple[str, ...]) -> None:
    """Show each destination: on, or off, since when and why.

    \b
    plaint destination list
    """
    settings = load_settings(config)
    kafka, known = kafka_at_hand(settings), destinations_at_hand(settings)
    found = asyncio.run(_look(kafka, known, clues_at_hand(settings, kafka, addresses)))
    width = max(map(len, found), default=0)
    for name, off in found.items():
        click.echo(json.dumps(_fields(name, off)) if as_json else f"{name:<{width}}  {escaped(_told(off))}")


async def _look(kafka: KafkaSettings, destinations: Sequence[str], clues: Clues) -> dict[str, Disabled | None]:
    holds = await look_for_holds(clues)
    return {state.destination: holds.why_off(state) for state in await switch_states(kafka, destinations)}


@destination.command()
@click.argument("name")
@click.pass_obj
def enable(config: Path | None, name: str) -> None:
    """Send to NAME again; what waited goes at once.

    \b
    plaint destination enable helpdesk
    """
    _turn(config, name, None)
    click.echo(f"{name} is on; its deliver workers hear of it within a second")


@destination.command()
@click.argument("name")
@click.option("--why", type=TEXT, required=True, help="The reason, for whoever finds it off.")
@click.pass_obj
def disable(config: Path | None, name: str, why: str) -> None:
    """Send nothing to NAME until it is enabled again; what is under way comes to its end.

    \b
    plaint destination disable helpdesk --why "maintenance until noon"
    """
    if not why.strip() or len(why) > MAX_WHY_CHARS:
        raise click.UsageError(f"--why takes 1 to {MAX_WHY_CHARS} characters")
    _turn(config, name, why.strip())
    click.echo(f"{name} is off; its tickets wait until `plaint destination enable {name}`")


def _turn(config: Path | None, name: str, off: str | None) -> None:
    settings = load_settings(config)
    kafka, known = kafka_at_hand(settings), destinations_at_hand(settings)
    if name not in known:
        raise SettingsInvalid([Fault("NAME", f"{shown(name)} is no destination", one_of(name, known))])
    asyncio.run(turn(kafka, name, off))


def _told(off: Disabled | None) -> str:
    if off is None:
        return "on"
    by = "" if off.settings else "by a person, "
    return f"off since {_moment(off.since)}, {by}{off.reason}"


def _fields(name: str, off: Disabled | None) -> dict[str, object]:
    found: dict[str, object] = {"destination": name, "enabled": off is None}
    if off is not None:
        found |= {
            "since": _moment(off.since),
            "why": off.reason,
            "status": off.status,
            "by": "answers" if off.settings else "person",
        }
    return found


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

"""What commands that send tickets again, or look at them, share: what holds them back, said once a destination."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from plaint.again.plan import Done
from plaint.kafka.settings import KafkaSettings
from plaint.lookup.explanation import Hold
from plaint.lookup.hold_words import hold_in_short, hold_notice
from plaint.lookup.holds import Clues, destination_holds
from plaint.terminal import echo_to_who_listens, one_line
from schemas import topics

ASK = click.option(
    "--ask",
    "addresses",
    multiple=True,
    metavar="URL",
    help="Where a deliver process tells of itself, http://deliver-0:8322: it knows whether its destination is down. The "
    "`plaint up` that runs here is asked anyway.",
)


def destination_at(place: str) -> str:
    """Whose ticket lies, or goes, there, by its topic; empty for a record that is no ticket."""
    return topics.destination_of(place.partition("[")[0])


def holds_at(kafka: KafkaSettings, places: Iterable[str], clues: Clues) -> Mapping[str, Hold]:
    """What holds back the tickets of these places, by destination. Ask before they are sent: this may fail."""
    names = sorted({name for place in places if (name := destination_at(place))})
    return asyncio.run(destination_holds(kafka, names, clues))


def done_fields(one: Done, hold: Hold | None, dry_run: bool) -> dict[str, Any]:
    """What was done, for JSON."""
    told = hold.model_dump(mode="json") if hold is not None else None
    return {"sent": bool(one.place) and not dry_run, "place": one.place, "why": one.why, "hold": told}


def done_words(one: Done, hold: Hold | None, verb: str) -> str:
    """What was done, for a person; ``verb`` is such as ``goes again as``."""
    if not one.place:
        return f"not sent: {one.why}"
    return f"{verb} {one.place}" + (f"  {hold_in_short(hold)}" if hold is not None else "")


def notice(holds: Iterable[Hold | None]) -> None:
    """Say on stderr once of each destination that gets nothing why, and what to do."""
    told: Sequence[Hold] = [hold for hold in holds if hold is not None and hold.is_of_destination]
    for hold in {one.destination: one for one in told}.values():
        for line in hold_notice(hold):
            echo_to_who_listens(one_line(line), err=True)

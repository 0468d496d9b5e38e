"""``plaint check-config``: everything that can be wrong with the settings and routes, before anything runs."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from aiokafka.errors import KafkaError

from plaint.diagnosis.quiet import hush
from plaint.failures import EXIT_USAGE
from plaint.kafka.admin import open_admin
from plaint.leftovers import CONNECT_S, judge, leftovers
from plaint.local.plan import stood_in
from plaint.logs import escaped
from plaint.preflight import check_broker, check_kafka, check_setup, check_weights
from plaint.settings import Settings, Sound, read_settings
from plaint.terminal import echo_to_who_listens
from route.rules import review
from schemas.faults import Fault, Unavailable


@click.command("check-config")
@click.option(
    "--broker/--no-broker",
    default=None,
    help="Look at the brokers for undelivered tickets of destinations that were removed, or don't. Without either they are "
    "looked at if kafka.brokers names some that answer.",
)
@click.option(
    "--strict", is_flag=True, help="Take notes for faults: an expired silence, a destination that nobody uses."
)
@click.pass_obj
def check_config(config: Path | None, broker: bool | None, strict: bool) -> None:
    """Check the settings, sources, weights, secrets and routes, and run the examples that each rule carries.

    Faults keep plaint from running as it was meant to: a rule that can never match, a destination that doesn't exist, a
    removed one with undelivered tickets. Notes don't. Exit code 0 if all can be used, 1 if only the routes have faults, 2 if
    anything else has.

    \b
    plaint check-config
    plaint --config plaint.yaml check-config --broker --strict
    """
    found = read_settings(config)
    settings = found.settings
    setup = [*found.faults, *check_broker(settings), *check_weights(settings)]
    if ("kafka",) not in found.left_out:  # by whose times those of destinations are judged
        setup += check_setup(settings, settings.sources)
    routes, notes = _routes(found)
    left: Sequence[Fault] = ()
    if not found.faults:
        left, more = _leftovers(settings, False if check_kafka(settings.kafka) else broker)
        notes = [*notes, *_only_up(settings), *more]
    for fault in (*setup, *left, *routes):
        echo_to_who_listens(escaped(str(fault)), err=True)
    for note in notes:
        echo_to_who_listens(escaped(f"note: {note}"), err=True)
    if code := _code([*setup, *left], [*routes, *notes] if strict else routes):
        sys.exit(code)
    click.echo("settings and routes can be used")


def _routes(found: Sound) -> tuple[Sequence[Fault], Sequence[Fault]]:
    """Faults and notes of the routes, where it is known which they are and what destinations there are."""
    settings = found.settings
    sections = {part[0] for part in found.left_out}
    if found.left_out & {("route",), ("destinations",)} or not sections <= Settings.model_fields.keys():
        return (), ()
    faulty = [str(part[1]) for part in found.left_out if part[0] == "destinations"]
    names = [*settings.destinations, *faulty, *stood_in(settings)]
    return review(settings.route.routes, names, datetime.now(UTC), own=settings.destinations)


def _code(others: Sequence[Fault], routes: Sequence[Fault]) -> int:
    if count := len(others) + len(routes):
        echo_to_who_listens(f"{count} fault{'s' * (count > 1)}", err=True)
        return EXIT_USAGE if others else 1
    return 0


def _leftovers(settings: Settings, wanted: bool | None) -> tuple[list[Fault], list[Fault]]:
    """Faults and notes of removed destinations. Raises Unavailable if the brokers are ``wanted`` and away."""
    if wanted is False or not (settings.kafka.brokers or wanted):
        return judge([], settings)
    hush()
    try:
        with open_admin(settings.kafka, CONNECT_S):
            pass
        found = asyncio.run(leftovers(settings.kafka, {*settings.destinations, *stood_in(settings)}))
    except (KafkaError, Unavailable) as error:
        if wanted:
            raise Unavailable(str(error)) from error
        note = Fault(
            "kafka.brokers", f"can't be asked for tickets of removed destinations: {error}", "try --broker later"
        )
        return [], [note]
    return judge(found, settings)


def _only_up(settings: Settings) -> list[Fault]:
    """Notes where some of the shipped routes' destinations are set up and others aren't; who has none means `plaint up`."""
    missing = stood_in(settings) if settings.destinations else ()
    what = "the shipped routes name it, and only `plaint up` puts its inbox in its place: `plaint run route` refuses to start"
    mend = "give it a url and a secret, or write routes of your own (route.routes) without it"
    return [Fault(f"destinations.{name}", what, mend) for name in missing]

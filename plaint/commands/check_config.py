"""``plaint check-config``: everything that can be wrong with the settings and routes, before anything runs."""

import sys
from pathlib import Path

import click

from plaint.failures import EXIT_USAGE
from plaint.preflight import check_setup, check_weights
from plaint.settings import load_settings
from plaint.up import INBOX_QUEUES
from route.rules import check_routes


@click.command("check-config")
@click.pass_obj
def check_config(config: Path | None) -> None:
    """Check the settings, sources, weights, secrets and routes, and run the examples that each rule carries.

    Exit code 0 if all can be used, 1 if only the routes have faults, 2 if anything else has.
    """
    settings = load_settings(config)
    setup = [*check_setup(settings, settings.sources), *check_weights(settings)]
    routes = check_routes(settings.route.routes, list(settings.destinations) or INBOX_QUEUES)
    for fault in (*setup, *routes):
        click.echo(str(fault), err=True)
    if count := len(setup) + len(routes):
        click.echo(f"{count} fault{'s' * (count > 1)}", err=True)
        sys.exit(EXIT_USAGE if setup else 1)
    click.echo("settings and routes can be used")

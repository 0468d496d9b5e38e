"""``plaint check-config``: everything that can be wrong with the settings and routes, before anything runs."""

import sys
from pathlib import Path

import click

from plaint.settings import load_settings
from plaint.up import INBOX_QUEUES
from route.rules import check_routes


@click.command("check-config")
@click.pass_obj
def check_config(config: Path | None) -> None:
    """Check the settings and the routes, and run the examples that each rule carries.

    Exit code 0 if they can be used, 1 if the routes have faults, 2 if the settings have.
    """
    settings = load_settings(config)
    faults = check_routes(settings.route.routes, list(settings.destinations) or INBOX_QUEUES)
    for fault in faults:
        click.echo(str(fault), err=True)
    if faults:
        click.echo(f"{len(faults)} fault{'s' * (len(faults) > 1)} in the routes", err=True)
        sys.exit(1)
    click.echo("settings and routes can be used")

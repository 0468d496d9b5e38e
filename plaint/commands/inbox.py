"""``plaint inbox``: the receiver that ``plaint up`` starts, alone."""

import asyncio
from pathlib import Path

import click

from plaint.failures import Unavailable
from plaint.inbox.server import serve
from plaint.settings import load_settings


@click.command()
@click.pass_obj
def inbox(config: Path | None) -> None:
    """Receive signed webhooks on this machine and show them as tickets by queue. For trying out and for tests."""
    import uvloop

    settings = load_settings(config).inbox
    uvloop.install()
    try:
        asyncio.run(serve(settings, lambda url: click.echo(url)))
    except OSError as error:
        raise Unavailable(f"inbox: {error}; mend inbox.host, inbox.port or inbox.journal") from None

"""``plaint inbox``: the receiver that ``plaint up`` starts, alone."""

import asyncio
import logging
from pathlib import Path

import click

from plaint.heap import settle_heap
from plaint.inbox.door import Door
from plaint.inbox.insight import KafkaInsight
from plaint.inbox.server import serve
from plaint.lookup.holds import clues_at_hand
from plaint.lookup.routes import FreshTable
from plaint.monitoring.monitor import Monitor
from plaint.monitoring.needs import Needs
from plaint.settings import Settings, load_settings
from route.yamlfile import FileInvalid
from schemas.faults import Unavailable

log = logging.getLogger(__name__)


@click.command()
@click.pass_obj
def inbox(config: Path | None) -> None:
    """Receive signed webhooks on this machine and show them as tickets by queue. For trying out and for tests."""
    import uvloop

    settings = load_settings(config)
    uvloop.install()
    settle_heap()
    try:
        with Monitor("inbox", settings.monitoring, needs=Needs(inbox="does not listen yet")).told() as monitor:
            asyncio.run(_serve(settings, monitor.needs))
    except OSError as error:
        raise Unavailable(f"inbox: {error}; mend inbox.journal") from None


async def _serve(settings: Settings, needs: Needs) -> None:
    def ready(url: str) -> None:
        needs.met("inbox")
        click.echo(url)

    door = Door(settings.door.url, settings.door.token) if settings.door.open else None
    insight = _insight(settings) if settings.kafka.brokers else None
    try:
        await serve(settings.inbox, ready, door, insight)
    finally:
        if insight is not None:
            await insight.close()


def _insight(settings: Settings) -> KafkaInsight | None:
    """None where the routes can't be used: the stages say so, a receiver of webhooks gets by without."""
    try:
        table = FreshTable(settings.route.routes, list(settings.destinations))
    except FileInvalid as error:
        log.warning("the pages don't tell where posts go, the routes have faults: %s", error)
        return None
    return KafkaInsight(settings.kafka, table, lambda: clues_at_hand(settings, settings.kafka))

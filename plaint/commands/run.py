"""``plaint run STAGE``: one stage of the way in this process, against your own Kafka."""

import asyncio
import os
from pathlib import Path

import click
from pydantic import ValidationError

from ingest.settings import SourceSettings
from plaint.kafka.topics import ensure_topics
from plaint.settings import Settings, SettingsInvalid, load_settings
from schemas.faults import Fault, one_of
from schemas.record import faults

INSTANCE = "PLAINT_INSTANCE"


@click.group()
def run() -> None:
    """Run one stage until SIGTERM. Each stage scales by starting it more than once, up to kafka.partitions.

    PLAINT_INSTANCE names this process among the others of its stage (a pod's name, say): after a crash its work goes on
    at once instead of after kafka.session_timeout_s. It must be unique to the process.
    """


def _ready(config: Path | None, needs_destinations: bool = True) -> Settings:
    """The settings, with brokers and topics there. Raises SettingsInvalid."""
    settings = load_settings(config)
    wrong = []
    if not settings.kafka.brokers:
        mend = "name your brokers, such as PLAINT_KAFKA__BROKERS='[\"kafka:9092\"]'; only `plaint up` brings one along"
        wrong.append(Fault("kafka.brokers", "is empty", mend))
    if needs_destinations and not settings.destinations:
        wrong.append(Fault("destinations", "is empty", "name where tickets go; only `plaint up` brings an inbox along"))
    if wrong:
        raise SettingsInvalid(wrong)
    ensure_topics(settings.kafka, settings.destinations)
    return settings


@run.command()
@click.option("--source", "sources", multiple=True, help="file:PATH or file:- ; instead of the settings' sources.")
@click.option("--report", type=click.Path(path_type=Path), help="Write what was read to this file as JSON at the end.")
@click.pass_obj
def ingest(config: Path | None, sources: tuple[str, ...], report: Path | None) -> None:
    """Publish posts from the sources to plaint.posts; ends when all sources have."""
    from plaint.workers.ingest import ingest as work

    settings = _ready(config, needs_destinations=False)
    chosen = read_sources(sources) if sources else list(settings.sources)
    if not chosen:
        raise SettingsInvalid([Fault("sources", "is empty", "give --source file:PATH or name sources in the settings")])
    work(settings.kafka, chosen, report)


def read_sources(given: tuple[str, ...]) -> list[SourceSettings]:
    """Sources as they are written on the command line. Raises SettingsInvalid."""
    try:
        return [SourceSettings.model_validate(source) for source in given]
    except ValidationError as error:
        raise SettingsInvalid([Fault("--source", faults(error), "write file:PATH, file:- or stdin")]) from None


@run.command("classify")
@click.pass_obj
def classify_(config: Path | None) -> None:
    """Label posts: plaint.posts → plaint.triaged."""
    from plaint.workers.classify import classify as work

    settings = _ready(config, needs_destinations=False)
    work(settings.kafka, settings.classify, os.environ.get(INSTANCE))


@run.command("route")
@click.pass_obj
def route_(config: Path | None) -> None:
    """Make tickets: plaint.triaged → plaint.tickets.<destination>."""
    from plaint.workers.route import route as work

    settings = _ready(config)
    work(settings.kafka, settings.route.routes, list(settings.destinations), os.environ.get(INSTANCE))


@run.command("deliver")
@click.option("--destination", required=True, help="Id of one destination in the settings.")
@click.pass_obj
def deliver_(config: Path | None, destination: str) -> None:
    """Deliver the tickets of one destination; each destination has processes of its own."""
    import uvloop

    from plaint.workers.deliver import deliver as work

    settings = _ready(config)
    if destination not in settings.destinations:
        raise SettingsInvalid(
            [
                Fault(
                    "--destination",
                    f'"{destination}" is not in the settings',
                    one_of(destination, settings.destinations),
                )
            ]
        )
    uvloop.install()
    asyncio.run(work(settings.kafka, destination, settings.destinations[destination], os.environ.get(INSTANCE)))

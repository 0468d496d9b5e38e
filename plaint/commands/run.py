"""``plaint run STAGE``: one stage of the way in this process, against your own Kafka."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from pydantic import ValidationError

from ingest.settings import SourceSettings
from plaint.heap import settle_heap
from plaint.kafka.joining import require_reads
from plaint.kafka.rights import stage_topics
from plaint.kafka.topics import ensure_topics
from plaint.monitoring.monitor import Monitor
from plaint.monitoring.needs import Needs
from plaint.monitoring.state import StageName
from plaint.settings import Settings, SettingsInvalid, load_settings
from plaint.settings_faults import in_words
from schemas.faults import Fault, one_of, shown
from schemas.topics import DELIVER

INSTANCE = "PLAINT_INSTANCE"
JOINING = "waits for its place in its group"
BROKER_WAIT_S = 30.0
"""How long a stage waits for a broker when it starts; then it ends, to be started again by whoever keeps it running."""


@click.group()
def run() -> None:
    """Run one stage until SIGTERM. Each stage scales by starting it more than once, up to kafka.partitions.

    PLAINT_INSTANCE names this process among the others of its stage (a pod's name, say): after a crash its work goes on
    at once instead of after kafka.session_timeout_s. It must be unique to the process.
    """


def _monitor(settings: Settings, stage: StageName, destination: str = "", **needs: str) -> Monitor:
    """What tells of this process; ``needs`` are those that it has beside Kafka and its topics."""
    lacking = Needs(kafka="no broker has answered yet", topics="were not looked at yet", **needs)
    instance = os.environ.get(INSTANCE)
    return Monitor(stage, settings.monitoring, destination=destination, instance=instance, needs=lacking)


def _ready(
    settings: Settings, stage: str, wrong: Sequence[Fault], monitor: Monitor, needs_destinations: bool = True
) -> None:
    """Return once the topics are there and the stage may read them and be in its group.

    Raises SettingsInvalid with ``wrong`` and what else is, TopicsWrong, JoinRefused, BrokerAway.
    """
    from plaint.preflight import check_kafka

    found = [*check_kafka(settings.kafka), *wrong]
    if not settings.kafka.brokers:
        mend = "name your brokers, such as PLAINT_KAFKA__BROKERS='[\"kafka:9092\"]'; only `plaint up` brings one along"
        found.append(Fault("kafka.brokers", "is empty", mend))
    if needs_destinations and not settings.destinations:
        found.append(Fault("destinations", "is empty", "name where tickets go; only `plaint up` brings an inbox along"))
    if found:
        raise SettingsInvalid(found)
    used = stage_topics(stage, list(settings.destinations))
    ensure_topics(settings.kafka, settings.destinations, only=used, timeout_s=BROKER_WAIT_S)
    require_reads(settings.kafka, stage, list(settings.destinations))
    monitor.needs.met("kafka", "topics")


@run.command()
@click.option(
    "--source", "sources", multiple=True, help="file:PATH, file:- or stdin; instead of the settings' sources."
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="Write what was read to this file as JSON when the sources have ended. With a door, sources whose report stands "
    "there already are not read again.",
)
@click.option("--door", is_flag=True, help="Take posts by HTTP as well, as door.open does.")
@click.pass_obj
def ingest(config: Path | None, sources: tuple[str, ...], report: Path | None, door: bool) -> None:
    """Publish posts from the sources and the HTTP door to plaint.posts; without a door it ends when all sources have.

    \b
    plaint run ingest --source file:posts.jsonl
    plaint run ingest --door
    """
    from plaint.preflight import check_door, check_sources
    from plaint.workers.ingest import ingest as work

    settings = load_settings(config)
    chosen = read_sources(sources) if sources else list(settings.sources)
    opened = settings.door if door or settings.door.open else None
    wrong = [*check_sources(chosen), *(check_door(opened) if opened else ())]
    if not chosen and not opened:
        mend = "give --source file:PATH or --door, or name sources in the settings"
        wrong.append(Fault("sources", "is empty", mend))
    with _monitor(settings, "ingest").told() as monitor:
        _ready(settings, "ingest", wrong, monitor, needs_destinations=False)
        work(settings.kafka, chosen, monitor, report, opened)


def read_sources(given: tuple[str, ...]) -> list[SourceSettings]:
    """Sources as they are written on the command line. Raises SettingsInvalid with the faults of all of them."""
    found, wrong = [], []
    for text in given:
        try:
            found.append(SourceSettings.model_validate(text))
        except ValidationError as error:
            mend = (
                "write file:PATH or stdin, and options after commas, such as file:posts.csv,columns.id=tweet_id,rate=10"
            )
            wrong += [Fault(f"--source {shown(text)}", what, mend) for what in _faults(error)]
    if wrong:
        raise SettingsInvalid(wrong)
    return found


def _faults(error: ValidationError) -> Iterator[str]:
    """Each with the option that it is of."""
    for found in error.errors(include_url=False):
        yield " ".join([*(["its", ".".join(map(str, found["loc"]))] if found["loc"] else []), in_words(found)])


@run.command("classify")
@click.pass_obj
def classify_(config: Path | None) -> None:
    """Label posts: plaint.posts → plaint.triaged."""
    settings = load_settings(config)
    with _monitor(settings, "classify", model="is being loaded", group=JOINING).told() as monitor:
        from plaint.workers.classify import classify as work  # takes a second, in which somebody may ask

        _ready(settings, "classify", [], monitor, needs_destinations=False)
        work(settings.kafka, settings.classify, monitor, os.environ.get(INSTANCE))


@run.command("route")
@click.pass_obj
def route_(config: Path | None) -> None:
    """Make tickets: plaint.triaged → plaint.tickets.<destination>."""
    settings = load_settings(config)
    with _monitor(settings, "route", routes="are being read", group=JOINING).told() as monitor:
        from plaint.workers.route import route as work

        _ready(settings, "route", [], monitor)
        work(settings.kafka, settings.route, list(settings.destinations), monitor, os.environ.get(INSTANCE))


@run.command("deliver")
@click.option("--destination", required=True, help="Id of one destination in the settings.")
@click.pass_obj
def deliver_(config: Path | None, destination: str) -> None:
    """Deliver the tickets of one destination; each destination has processes of its own."""
    import uvloop

    from plaint.preflight import check_destination
    from plaint.workers.deliver import deliver as work

    settings = load_settings(config)
    chosen = settings.destinations.get(destination)
    if chosen is not None:
        wrong = check_destination(destination, chosen, settings.kafka)
    else:
        mend = one_of(destination, settings.destinations)
        wrong = [Fault("--destination", f"{shown(destination)} is not in the settings", mend)]
    with _monitor(settings, "deliver", destination, group=JOINING).told() as monitor:
        _ready(settings, DELIVER + destination, wrong, monitor)
        assert chosen is not None, "it would be a fault"
        uvloop.install()
        settle_heap()
        asyncio.run(work(settings.kafka, destination, chosen, monitor, os.environ.get(INSTANCE)))

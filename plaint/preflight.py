"""What can be known to fail before anything starts: broker, sources, weights and destinations, looked at without Kafka."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ingest.file import FileSource
from ingest.http.settings import DoorSettings
from ingest.settings import SourceSettings
from plaint.broker.kafka_release import release_faults
from plaint.kafka.certificate import TlsUnusable
from plaint.kafka.settings import KafkaSettings
from plaint.monitoring.settings import ADDRESS_FILE_MEND, MonitoringSettings
from plaint.settings import Settings
from plaint.workers.delivering.lease import LOG_WRITE_S
from route.destinations.settings import DestinationSettings
from schemas.faults import Fault


def check_setup(settings: Settings, sources: Sequence[SourceSettings]) -> list[Fault]:
    """Every fault of what Kafka is reached with, the sources, the door, the destinations and monitoring."""
    return [
        *check_kafka(settings.kafka),
        *check_address_file(settings.monitoring),
        *check_sources(sources),
        *(check_door(settings.door) if settings.door.open is not False else ()),
        *(
            fault
            for name, destination in settings.destinations.items()
            for fault in check_destination(name, destination, settings.kafka)
        ),
    ]


def check_broker(settings: Settings) -> list[Fault]:
    """What keeps `plaint up` from starting the local Kafka, where it is to start one."""
    if settings.kafka.brokers or settings.broker.embedded != "kafka":
        return []
    return release_faults(settings.broker)


def check_kafka(kafka: KafkaSettings) -> Sequence[Fault]:
    """Whether what it is reached with can be read."""
    try:
        kafka.connection()
    except TlsUnusable as wrong:
        return wrong.faults
    return ()


def check_address_file(settings: MonitoringSettings) -> list[Fault]:
    """Whether it may be written, as far as that can be seen without writing it."""
    if not settings.enabled or settings.address_file is None:
        return []
    file = settings.address_file.absolute()
    if os.access(file.parent, os.W_OK | os.X_OK) and not file.is_dir():
        return []
    return [Fault("monitoring.address_file", f"{file} can't be written", ADDRESS_FILE_MEND)]


def check_door(settings: DoorSettings) -> list[Fault]:
    """What keeps the door from opening, with keys as in the settings."""
    return [replace(fault, place=f"door.{fault.place}") for fault in settings.faults()]


def check_sources(sources: Sequence[SourceSettings]) -> list[Fault]:
    """What keeps these sources from starting, with keys as in the settings."""
    return [
        replace(fault, place=f"sources[{index}].{fault.place}")
        for index, settings in enumerate(sources)
        for fault in FileSource(settings).faults()
    ]


def check_weights(settings: Settings) -> list[Fault]:
    """Whether the model's files are there and whole, and what its labels mean."""
    from models.loading import model_faults  # costs numpy

    return model_faults(settings.classify.model, settings.classify.models)


def check_destination(name: str, destination: DestinationSettings, kafka: KafkaSettings) -> list[Fault]:
    """Whether its files can be read, and whether a request can end within a rebalance."""
    found = []
    files: tuple[tuple[str, Callable[[], object], str], ...] = (
        ("secret_file", destination.signing_keys, "a secret on each line"),
        ("ca_file", destination.ssl_context, "certificates in PEM (-----BEGIN CERTIFICATE-----)"),
        ("proxy_login_file", destination.login, "the proxy's user:password in its first line"),
    )
    for key, read, holding in files:
        try:
            read()
        except (OSError, ValueError) as error:
            what = _unreadable(error) if isinstance(error, OSError) else str(error)
            mend = f"give a file that this user can read, with {holding}"
            found.append(Fault(f"destinations.{name}.{key}", what, mend))
    longest = kafka.rebalance_timeout_s - LOG_WRITE_S
    if destination.timeout_s > longest:
        what = f"is {destination.timeout_s:g} s, but in a rebalance a request has {longest:g} s to end"
        enough = destination.timeout_s + LOG_WRITE_S
        mend = f"set it to at most {longest:g}, or kafka.rebalance_timeout_s to at least {enough:g}"
        found.append(Fault(f"destinations.{name}.timeout_s", what, mend))
    return found


def _unreadable(error: OSError) -> str:
    """With the whole path, since one that is relative counts from the working directory."""
    where = "" if error.filename is None else f"{Path(error.filename).absolute()} "
    return f"{where}can't be read: {error.strerror or error}"

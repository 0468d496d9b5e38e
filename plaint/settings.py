"""The settings: one YAML file and ``PLAINT_…`` environment variables, composed from the rooms' own, checked at once.

``PLAINT_KAFKA__BROKERS='["kafka:9092"]'`` is ``kafka.brokers`` in the file; the environment wins. Unknown keys are
refused in both. Every fault is told with its key, what is wrong and the mend.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from classify.settings import ClassifySettings
from ingest.http.settings import DoorSettings
from ingest.settings import SourceSettings
from plaint.broker.settings import BrokerSettings
from plaint.inbox.settings import InboxSettings
from plaint.kafka.settings import KafkaSettings
from plaint.masking import hide_secrets
from plaint.monitoring.settings import MonitoringSettings
from plaint.settings_faults import faults_of
from plaint.settings_given import Values, read_given, spelled
from route.destinations.settings import DestinationSettings
from route.settings import RouteSettings
from route.yamlfile import FileInvalid, KeyPath
from schemas.faults import Fault, FaultsFound
from schemas.ticket import DestinationId

USUAL = "plaint.yaml"
"""The file in the working directory that is read where none is named."""


class Settings(BaseModel):
    """All settings of plaint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kafka: KafkaSettings = KafkaSettings()
    broker: BrokerSettings = BrokerSettings()
    sources: tuple[SourceSettings, ...] = ()
    door: DoorSettings = DoorSettings()
    classify: ClassifySettings = ClassifySettings()
    route: RouteSettings = RouteSettings()
    destinations: dict[DestinationId, DestinationSettings] = Field(default_factory=dict)
    inbox: InboxSettings = InboxSettings()
    monitoring: MonitoringSettings = MonitoringSettings()

    def environment(self) -> dict[str, str]:
        """These settings as variables, secrets included: what a child process is started with."""
        return {
            spelled((name,)): orjson.dumps(value, default=_revealed).decode()
            for name, value in self.model_dump().items()
        }


class SettingsInvalid(FaultsFound):
    """The settings can't be used."""


@dataclass(frozen=True)
class Sound:
    """Settings as far as they can be used, and every fault of them.

    ``left_out`` are the sections that have faults, and the destinations: ``("kafka",)``, ``("destinations", "helpdesk")``. A
    name that is no section, ``("kafak",)``, may have been meant for any.
    """

    settings: Settings
    faults: Sequence[Fault]
    left_out: frozenset[KeyPath]


def load_settings(file: Path | None) -> Settings:
    """Read the settings. ``file`` None means ``plaint.yaml`` in the working directory, if there is one, be it a broken link.

    Raises SettingsInvalid with every fault found.
    """
    found = read_settings(file)
    if found.faults:
        raise SettingsInvalid(found.faults)
    return found.settings


def read_settings(file: Path | None) -> Sound:
    """The same where faults keep nobody from looking at the rest. Raises SettingsInvalid for a file that is no YAML."""
    if file is None and os.path.lexists(USUAL):
        file = Path(USUAL)
    try:
        given = read_given(Settings, file)
    except FileInvalid as error:
        raise SettingsInvalid(error.faults) from None
    faults, left_out = given.faults, set(map(_part, given.faulty))
    try:
        settings = Settings.model_validate(given.values)
    except ValidationError as error:
        faults += faults_of(error, given)
        left_out |= {_part(found["loc"]) for found in error.errors(include_url=False, include_input=False)}
        settings = Settings.model_validate(_without(left_out, given.values))
    hide_secrets(settings)
    return Sound(settings, [fault for _, fault in sorted(faults, key=lambda found: found[0])], frozenset(left_out))


def _part(path: KeyPath) -> KeyPath:
    """What is left out for a fault at ``path``: its section, of destinations the one that has it."""
    return path[:2] if path[0] == "destinations" else path[:1]


def _without(parts: set[KeyPath], values: Values) -> Values:
    """``values`` but for these parts of them."""
    return {
        name: {key: inner for key, inner in value.items() if (name, key) not in parts}
        if isinstance(value, dict)
        else value
        for name, value in values.items()
        if (name,) not in parts
    }


def _revealed(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no setting")

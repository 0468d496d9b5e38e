"""The settings: one YAML file and ``PLAINT_…`` environment variables, composed from the rooms' own, checked at once.

``PLAINT_KAFKA__BROKERS='["kafka:9092"]'`` is ``kafka.brokers`` in the file; the environment wins. Unknown keys are
refused in both. Every fault is told with its key, what is wrong and the mend.
"""

import os
import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import orjson
from pydantic import Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from classify.settings import ClassifySettings
from ingest.http.settings import DoorSettings
from ingest.settings import SourceSettings
from plaint.broker.settings import BrokerSettings
from plaint.inbox.settings import InboxSettings
from plaint.kafka.settings import KafkaSettings
from plaint.masking import hide_secrets
from plaint.monitoring.settings import MonitoringSettings
from route.destinations.settings import DestinationSettings
from route.settings import RouteSettings
from route.yamlfile import FileInvalid, Lines, read_yaml
from schemas.faults import Fault, FaultsFound, one_of
from schemas.ticket import DestinationId

PREFIX = "PLAINT_"
OWN_VARIABLES = {
    "PLAINT_CONFIG",
    "PLAINT_DATA",
    "PLAINT_KAFKA_HOME",
    "PLAINT_INSTANCE",
    "PLAINT_LOG_LEVEL",
    "PLAINT_RUNTIME_DIR",
    "PLAINT_LISTEN_FD",
}
"""Variables that are no settings: where the file is, where data for training lies, and what differs a process."""


class Settings(BaseSettings):
    """All settings of plaint."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, env_ignore_empty=True
    )

    kafka: KafkaSettings = KafkaSettings()
    broker: BrokerSettings = BrokerSettings()
    sources: tuple[SourceSettings, ...] = ()
    door: DoorSettings = DoorSettings()
    classify: ClassifySettings = ClassifySettings()
    route: RouteSettings = RouteSettings()
    destinations: dict[DestinationId, DestinationSettings] = Field(default_factory=dict)
    inbox: InboxSettings = InboxSettings()
    monitoring: MonitoringSettings = MonitoringSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, whose content comes as keyword arguments."""
        return env_settings, init_settings

    def environment(self) -> dict[str, str]:
        """These settings as variables, secrets included: what a child process is started with."""
        return {
            PREFIX + name.upper(): orjson.dumps(value, default=_revealed).decode()
            for name, value in self.model_dump().items()
        }


class SettingsInvalid(FaultsFound):
    """The settings can't be used."""


def load_settings(file: Path | None) -> Settings:
    """Read the settings. ``file`` None means ``plaint.yaml`` in the working directory, if there is one.

    Raises SettingsInvalid with every fault found.
    """
    if file is None and Path("plaint.yaml").is_file():
        file = Path("plaint.yaml")
    written, lines = _from_file(file)
    faults = _unknown_variables()
    try:
        settings = Settings(**written)
    except ValidationError as error:
        found = error.errors(include_url=False)
        faults += [_fault(e, file, lines) for e in sorted(found, key=lambda e: _line(e, lines))]
    except SettingsError as error:
        faults.append(_unparsed(error))
    if faults:
        raise SettingsInvalid(faults)
    hide_secrets(settings)
    return settings


def _from_file(file: Path | None) -> tuple[dict[str, Any], Lines]:
    if file is None:
        return {}, {}
    try:
        written, lines = read_yaml(file)
    except FileInvalid as error:
        raise SettingsInvalid(list(error.faults)) from None
    if written is None:
        return {}, lines
    if not isinstance(written, dict) or not all(isinstance(key, str) for key in written):
        raise SettingsInvalid([Fault(file.name, "is no map of settings", "start with a key such as kafka:")])
    return written, lines


def _unknown_variables() -> list[Fault]:
    sections = [PREFIX + name.upper() for name in Settings.model_fields]
    return [
        Fault(name, "is no setting", one_of(name.split("__")[0], [*sections, *OWN_VARIABLES]))
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and name not in OWN_VARIABLES and name.split("__")[0] not in sections
    ]


def _unparsed(error: SettingsError) -> Fault:
    """pydantic-settings names the field in its message, and leaves the value out."""
    named = re.search(r'field "(\w+)"', str(error))
    place = PREFIX + named[1].upper() if named else "environment"
    return Fault(place, "or a variable that begins with it can't be read as JSON", "write lists and maps as JSON")


def _line(error: ErrorDetails, lines: Lines) -> int:
    """Where the setting stands in the file, or what it is missing in; 0 for one of the environment."""
    loc = error["loc"]
    return next((lines[loc[:n]] for n in range(len(loc), 0, -1) if loc[:n] in lines), 0)


def _fault(error: ErrorDetails, file: Path | None, lines: Lines) -> Fault:
    key = ".".join(str(step) for step in error["loc"] if step != "[key]") or "settings"
    line = _line(error, lines)
    place = f"{file.name}:{line}: {key}" if file and line else key
    return Fault(place, _what(error), _mend(error))


def _what(error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        return "is no setting"
    if error["type"] == "missing":
        return "is missing"
    return error["msg"].removeprefix("Value error, ").removeprefix("Input ")


def _mend(error: ErrorDetails) -> str:
    if error["loc"][-1:] == ("[key]",):
        return "write an id of a-z, 0-9 and -, which begins with a letter"
    if error["type"] == "extra_forbidden":
        known = list(getattr(_at(error["loc"][:-1]), "model_fields", {}))
        return one_of(str(error["loc"][-1]), known) if known else "remove it"
    section = getattr(_at(error["loc"][:-1]), "model_fields", {})
    field = section.get(error["loc"][-1]) if error["loc"] else None
    return f"it takes: {field.description}" if field and field.description else "see docs/configuration.md"


def _at(loc: tuple[int | str, ...]) -> Any:
    """The model that describes the section at ``loc``, by walking the fields; None where there is none."""
    model: Any = Settings
    for step in loc:
        fields = getattr(model, "model_fields", None)
        if fields is not None:
            model = _given(fields[step].annotation) if step in fields else None
        else:  # inside a map or list of models
            model = (get_args(model) or (None,))[-1 if isinstance(step, str) else 0]
    return model


def _given(annotation: Any) -> Any:
    """The type of a setting that may be left out, without its None."""
    options = [option for option in get_args(annotation) if option is not NoneType]
    return options[0] if get_origin(annotation) in (Union, UnionType) and len(options) == 1 else annotation


def _revealed(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no setting")

"""Which broker ``plaint up`` starts when ``kafka.brokers`` names none."""

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.choice import user_data_folder


def kafka_home_from_env() -> Path | None:
    """``$PLAINT_KAFKA_HOME`` if it is set."""
    value = os.environ.get("PLAINT_KAFKA_HOME", "")
    return Path(value) if value else None


class BrokerSettings(BaseModel):
    """``broker:`` in the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    embedded: Annotated[
        Literal["tansu", "kafka"],
        Field(description="tansu: in memory, its data goes with it. kafka: a local Apache Kafka release, data kept."),
    ] = "tansu"
    kafka_home: Path | None = Field(
        default_factory=kafka_home_from_env,
        description="Folder of an Apache Kafka release (with libs/*.jar); PLAINT_KAFKA_HOME if not given.",
    )
    data_dir: Path = Field(
        default_factory=user_data_folder,
        description="Where the local Kafka keeps its data, one plaint at a time; without it the folder `plaint` in "
        "XDG_DATA_HOME, or in ~/.local/share.",
    )
    heap: Annotated[
        str, Field(pattern=r"^[1-9]\d{0,5}[mg]$", description="Java heap of the local Kafka: 512m, 2g.")
    ] = "512m"
    start_timeout_s: Annotated[
        float, Field(gt=0, le=600, description="Seconds that the broker has to answer after it was started.")
    ] = 60.0

    @model_validator(mode="after")
    def _kafka_needs_a_home(self) -> Self:
        if self.embedded == "kafka" and self.kafka_home is None:
            raise ValueError("embedded: kafka needs kafka_home or PLAINT_KAFKA_HOME: the folder of a Kafka release")
        return self

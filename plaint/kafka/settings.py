"""How to reach Kafka."""

import ssl
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Seconds = Annotated[float, Field(gt=0, le=3600)]


class KafkaSettings(BaseModel):
    """``kafka:`` in the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    brokers: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[^\s:/,]+:\d{1,5}$")], ...],
        Field(
            description="Bootstrap servers, host:port. Empty: only `plaint up` works, which starts an embedded broker."
        ),
    ] = ()
    partitions: Annotated[
        int,
        Field(ge=1, le=1000, description="Partitions of each topic that plaint creates; the bound of workers a stage."),
    ] = 4
    replication_factor: Annotated[
        int, Field(ge=1, le=10, description="Replicas of each topic that plaint creates.")
    ] = 1
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        Field(description="How the brokers want to be spoken to."),
    ] = "PLAINTEXT"
    ssl_cafile: Annotated[
        str, Field(description="File of the certificate authorities to trust; empty: the system's.")
    ] = ""
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], Field(description="Used with SASL_PLAINTEXT and SASL_SSL.")
    ] = "SCRAM-SHA-512"
    sasl_username: Annotated[str, Field(description="User name for SASL.")] = ""
    sasl_password: Annotated[
        SecretStr, Field(description="Password for SASL; better from a file or the environment.")
    ] = SecretStr("")
    session_timeout_s: Annotated[
        Seconds, Field(description="A worker silent for this long loses its partitions to the others.")
    ] = 30.0
    heartbeat_s: Annotated[Seconds, Field(description="Time between two signs of life to the group's coordinator.")] = (
        3.0
    )
    rebalance_timeout_s: Annotated[
        Seconds, Field(description="How long the others wait in a rebalance for a worker to finish what is in flight.")
    ] = 60.0
    idempotent_producer: Annotated[
        bool,
        Field(description="Let the broker drop what a producer sends again; false only for brokers that refuse it."),
    ] = True

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.heartbeat_s * 3 > self.session_timeout_s:
            raise ValueError("heartbeat_s must be at most a third of session_timeout_s")
        if self.security_protocol.startswith("SASL") and not (
            self.sasl_username and self.sasl_password.get_secret_value()
        ):
            raise ValueError("sasl_username and sasl_password are needed with this security_protocol")
        return self

    def connection(self) -> dict[str, Any]:
        """Keyword arguments to connect; aiokafka's and kafka-python's clients name them alike."""
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.brokers),
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = ssl.create_default_context(cafile=self.ssl_cafile or None)
        if self.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password.get_secret_value()
        return options

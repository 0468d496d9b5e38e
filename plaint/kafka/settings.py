"""How to reach Kafka."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from plaint.kafka import certificate
from plaint.kafka.certificate import TlsUnusable
from plaint.masking import hide_secret
from schemas.faults import Fault

Seconds = Annotated[float, Field(gt=0, le=3600)]


def _with_port(broker: str) -> str:
    if not 0 < int(broker.rpartition(":")[2]) < 65536:
        raise ValueError("must end with a port, 1 to 65535")
    return broker


def _from_file(file: Path) -> str:
    """A password without the end of its line. Raises ValueError, which holds no secret."""
    try:
        password = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise ValueError(f"can't be read: {why}") from None
    if not password:
        raise ValueError("is empty")
    hide_secret(password)
    return password


class KafkaSettings(BaseModel):
    """``kafka:`` in the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    brokers: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[^\s:/,]+:\d{1,5}$"), AfterValidator(_with_port)], ...],
        Field(
            description="Bootstrap servers, host:port. Empty: `plaint up` starts an embedded broker, the tools look for a "
            "running `plaint up`, and `plaint run` refuses to start."
        ),
    ] = ()
    partitions: Annotated[
        int,
        Field(ge=1, le=1000, description="Partitions of each topic that plaint creates; the bound of workers a stage."),
    ] = 4
    replication_factor: Annotated[
        int | None,
        Field(
            ge=1,
            le=10,
            description="Replicas of each topic that plaint creates. Empty: as many as the brokers give a topic themselves, "
            "their default.replication.factor.",
        ),
    ] = None
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        Field(description="How the brokers want to be spoken to."),
    ] = "PLAINTEXT"
    ssl_cafile: Annotated[
        str, Field(description="File of the certificate authorities to trust; empty: the system's.")
    ] = ""
    ssl_certfile: Annotated[
        Path | None,
        Field(
            description="File of the certificate to show to brokers that ask for one, with those between it and its authority "
            "behind it, in PEM; read when a process starts."
        ),
    ] = None
    ssl_keyfile: Annotated[
        Path | None,
        Field(description="File of that certificate's key, in PEM; without it the key stands in ssl_certfile."),
    ] = None
    ssl_keyfile_password: Annotated[
        SecretStr,
        Field(
            description="Password of that key if it is encrypted; better from ssl_keyfile_password_file, or from "
            "PLAINT_KAFKA__SSL_KEYFILE_PASSWORD."
        ),
    ] = SecretStr("")
    ssl_keyfile_password_file: Annotated[
        Path | None, Field(description="File that holds the password of that key, such as a mounted secret.")
    ] = None
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], Field(description="Used with SASL_PLAINTEXT and SASL_SSL.")
    ] = "SCRAM-SHA-512"
    sasl_username: Annotated[str, Field(description="User name for SASL.")] = ""
    sasl_password: Annotated[
        SecretStr,
        Field(description="Password for SASL; better from sasl_password_file, or from PLAINT_KAFKA__SASL_PASSWORD."),
    ] = SecretStr("")
    sasl_password_file: Annotated[
        Path | None, Field(description="File that holds the password for SASL, such as a mounted secret.")
    ] = None
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
        if found := "; ".join(self._contradictions()):
            raise ValueError(found)
        return self

    def _contradictions(self) -> Iterator[str]:
        if self.heartbeat_s * 3 > self.session_timeout_s:
            yield "heartbeat_s must be at most a third of session_timeout_s"
        yield from self._certificate_contradictions()
        in_settings = bool(self.sasl_password.get_secret_value())
        if in_settings and self.sasl_password_file is not None:
            yield "one of sasl_password and sasl_password_file is needed, not both"
        elif self.security_protocol.startswith("SASL"):
            if not (self.sasl_username and (in_settings or self.sasl_password_file)):
                yield "sasl_username and sasl_password (or sasl_password_file) are needed with this security_protocol"
            try:
                self.password()
            except ValueError as error:
                yield str(error)

    def _certificate_contradictions(self) -> Iterator[str]:
        in_settings = bool(self.ssl_keyfile_password.get_secret_value())
        if in_settings and self.ssl_keyfile_password_file is not None:
            yield "one of ssl_keyfile_password and ssl_keyfile_password_file is needed, not both"
        if self.ssl_certfile is not None:
            if not self.security_protocol.endswith("SSL"):
                yield "ssl_certfile is shown over TLS only: security_protocol must be SSL or SASL_SSL with it"
            return
        if self.ssl_keyfile is not None:
            yield "ssl_keyfile needs ssl_certfile"
        if in_settings or self.ssl_keyfile_password_file is not None:
            yield "the password of a key needs ssl_certfile"

    @property
    def user_key(self) -> str:
        """The setting that says who this is to the brokers. With SASL that is the login, whatever certificate is shown."""
        by_certificate = self.ssl_certfile is not None and self.security_protocol == "SSL"
        return certificate.CERTFILE if by_certificate else "kafka.sasl_username"

    def principal(self) -> str | None:
        """Whom rights name, such as ``User:plaint``, unless the brokers have mapping rules; None where that is anybody.

        Raises TlsUnusable if that is who a certificate names which can't be read.
        """
        if self.ssl_certfile is None or self.user_key != certificate.CERTFILE:
            return f"User:{self.sasl_username}" if self.sasl_username else None
        return f"User:{certificate.read(self.ssl_certfile).subject}"

    def password(self) -> str:
        """For SASL; without the end of its line where it is in a file. Raises ValueError, which holds no secret."""
        if self.sasl_password_file is None:
            return self.sasl_password.get_secret_value()
        try:
            return _from_file(self.sasl_password_file)
        except ValueError as error:
            raise ValueError(f"sasl_password_file {self.sasl_password_file} {error}") from None

    def ssl_context(self) -> ssl.SSLContext:
        """What the brokers' certificates are checked with, and what shows them that of this client. Raises TlsUnusable."""
        faults = []
        try:
            context = ssl.create_default_context(cafile=self.ssl_cafile or None)
        except OSError as error:
            why = "holds none" if isinstance(error, ssl.SSLError) else f"can't be read: {error.strerror}"
            mend = "give a file that this user can read, with certificates in PEM (-----BEGIN CERTIFICATE-----)"
            faults.append(Fault("kafka.ssl_cafile", f"{Path(self.ssl_cafile).absolute()} {why}", mend))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the certificate may have faults as well
        if self.ssl_certfile is not None:
            faults += self._show(context, self.ssl_certfile)
        if faults:
            raise TlsUnusable(faults)
        return context

    def _show(self, context: ssl.SSLContext, certfile: Path) -> list[Fault]:
        """Have ``context`` show the certificate; what keeps it from that."""
        password = self.ssl_keyfile_password.get_secret_value()
        if file := self.ssl_keyfile_password_file:
            try:
                password = _from_file(file)
            except ValueError as error:
                mend = "give a file that this user can read, with the password of the key in it"
                return [Fault("kafka.ssl_keyfile_password_file", f"{file.absolute()} {error}", mend)]
        return certificate.load(context, certfile, self.ssl_keyfile, password)

    def connection(self) -> dict[str, Any]:
        """Keyword arguments to connect; aiokafka's and kafka-python's clients name them alike. Raises TlsUnusable."""
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.brokers),
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = self.ssl_context()
        if self.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.password()
        return options

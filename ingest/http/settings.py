"""``door:`` in the settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from ingest.http.listening import address, is_loopback
from schemas.faults import Fault
from schemas.webhook_secret import SigningSecret, signing_key

DEFAULT_PORT = 8320
POSTS_PATH = "/v1/posts"
MIN_TOKEN_CHARS = 16


class DoorSettings(BaseModel):
    """The HTTP door, `POST /v1/posts`: posts that other programs send.

    Whoever sends signs the request (Standard Webhooks 1.0.0) or shows a bearer token; either will do where both are set.
    On a loopback address neither is needed, elsewhere it does not start without. It speaks plain HTTP: put a proxy that
    speaks TLS before it where requests leave the machine.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    open: bool | None = Field(
        default=None,
        description="Whether ingest takes posts by HTTP. Without it `plaint up` does, unless it ends by itself, and "
        "`plaint run ingest` does not.",
    )
    host: Annotated[str, Field(min_length=1)] = Field(default="127.0.0.1", description="Address to listen on.")
    port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        default=None,
        description=f"Port; 0 for any free one. Without it {DEFAULT_PORT}; `plaint up` takes another if that is in use.",
    )
    secret: SigningSecret | None = Field(
        default=None, description="Signing secret shared with the senders: whsec_ and base64 of 24 to 64 bytes."
    )
    secret_file: Path | None = Field(
        default=None, description="File with signing secrets, one a line; each is taken, while senders move over."
    )
    token: SecretStr | None = Field(
        default=None, description=f"Bearer token of the senders, at least {MIN_TOKEN_CHARS} characters without spaces."
    )
    token_file: Path | None = Field(default=None, description="File with bearer tokens, one a line; each is taken.")
    max_body_bytes: int = Field(
        default=1024 * 1024, ge=1024, le=16 * 1024 * 1024, description="Largest request body in bytes."
    )
    max_posts: int = Field(default=1000, ge=1, le=10_000, description="Most posts of one request.")
    ack_timeout_s: float = Field(
        default=10.0, gt=0, le=60, description="Seconds that Kafka may take to acknowledge a request's posts."
    )

    @field_validator("token")
    @classmethod
    def _is_token(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None:
            _check_token(token.get_secret_value())
        return token

    @property
    def is_guarded(self) -> bool:
        """Whether senders must prove who they are."""
        return any((self.secret, self.secret_file, self.token, self.token_file))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def url(self) -> str:
        """Its address for a program on this machine."""
        return address(self.host, DEFAULT_PORT if self.port is None else self.port)

    def signing_keys(self) -> tuple[str, ...]:
        """Every secret to take, ``whsec_…``. Raises ValueError or OSError; neither holds a secret."""
        keys = [*([self.secret.get_secret_value()] if self.secret else []), *_lines(self.secret_file, signing_key)]
        return tuple(keys)

    def tokens(self) -> tuple[str, ...]:
        """Every token to take. Raises ValueError or OSError; neither holds a token."""
        return (*([self.token.get_secret_value()] if self.token else []), *_lines(self.token_file, _check_token))

    def faults(self) -> list[Fault]:
        """What keeps it from starting, with places inside ``door:``."""
        found = []
        if not self.is_guarded and not self.is_loopback:
            what = f"{self.host} can be reached from elsewhere, and there is neither a secret nor a token"
            found.append(Fault("host", what, "set door.secret_file or door.token_file, or listen on 127.0.0.1"))
        for place, read in (("secret_file", self.signing_keys), ("token_file", self.tokens)):
            try:
                read()
            except (OSError, ValueError) as error:
                what = f"can't be read: {error.strerror}" if isinstance(error, OSError) else str(error)
                found.append(Fault(place, what, "give a file that this user can read, with one on each line"))
        return found


def _check_token(token: str) -> None:
    if len(token) < MIN_TOKEN_CHARS or not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError(f"must be at least {MIN_TOKEN_CHARS} printable ASCII characters without spaces")


def _lines(file: Path | None, check: Callable[[str], object]) -> list[str]:
    if file is None:
        return []
    found = file.read_text(encoding="ascii", errors="replace").split()
    if not found:
        raise ValueError(f"{file} is empty")
    for line in found:
        try:
            check(line)
        except ValueError as error:
            raise ValueError(f"{file}: each line {error}") from None
    return found

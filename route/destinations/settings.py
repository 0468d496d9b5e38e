"""``destinations:`` in the settings: one map a destination, named by its id."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from route.destinations.signing import signing_key

Share = Annotated[float, Field(ge=0, lt=1)]


class DestinationSettings(BaseModel):
    """A destination of tickets: a signed webhook (Standard Webhooks 1.0.0).

    As shipped a ticket is tried 18 times over about 26 hours, then it is a dead letter; while the destination is down
    nothing of that is used up.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: Literal["webhook"] = Field(default="webhook", description="What kind of destination it is.")
    url: str = Field(
        repr=False,
        max_length=2048,
        description="Address that tickets are POSTed to; https, but for addresses of your own network. It may hold a token.",
    )
    secret: SecretStr | None = Field(
        default=None, description="Signing secret shared with the receiver: whsec_ and base64 of 24 to 64 bytes."
    )
    secret_file: Path | None = Field(
        default=None,
        description="File with the signing secret instead; of several, one a line, each signs, while receivers move over.",
    )
    allow_private: bool = Field(
        default=False,
        description="Let the host's name stand for an address of a private network. One written as an IP address may.",
    )
    timeout_s: float = Field(
        default=15.0, gt=0, le=60, description="Seconds that one request may take, its answer included."
    )
    tries: int = Field(default=18, ge=1, le=1000, description="Requests that a ticket is worth before it is given up.")
    first_wait_s: float = Field(
        default=5.0, gt=0, le=86_400, description="Seconds from the first failure to the next try; then twice as long."
    )
    max_wait_s: float = Field(default=14_400.0, gt=0, le=86_400, description="Longest wait between two tries, seconds.")
    jitter: Share = Field(
        default=0.2, description="Share of each wait by which it is made longer or shorter by chance."
    )
    retry_after_max_s: float = Field(
        default=900.0, ge=0, le=86_400, description="Longest Retry-After that is honoured, in seconds."
    )
    concurrency: int = Field(default=32, ge=1, le=1000, description="Requests under way at once, a deliver process.")
    window: int = Field(
        default=2000,
        ge=1,
        le=1_000_000,
        description="Unsettled tickets that a deliver process holds in memory; more of them wait in Kafka.",
    )
    backlog: int = Field(
        default=100_000,
        ge=1,
        le=10_000_000,
        description="Unsettled tickets that a deliver process knows of, half a kilobyte each, the texts of most of them left "
        "in Kafka: those that wait for a limit or a far-off try. More of them wait in Kafka unseen.",
    )
    max_per_minute: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Requests in any minute, of all deliver processes together; what is over waits, urgent tickets first. "
        "Every request counts. A tenth is kept for urgent tickets.",
    )
    max_per_author_per_hour: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="New tickets of one author in any hour; what is over waits. Updates and withdrawals go at once.",
    )
    disable_after: int = Field(
        default=20,
        ge=0,
        le=10_000,
        description="Different tickets that must be refused in a row until the destination is disabled, and its tickets wait "
        "until `plaint destination enable`. An answer of 410 disables it at once; 0: nothing else does.",
    )
    disable_after_s: float = Field(
        default=600.0,
        ge=0,
        le=86_400,
        description="Seconds that refusals must have gone on for, where they speak of the address or the credentials (3xx, "
        "401, 403, 404, 405, 407, 421): a deployment or a change of secrets passes.",
    )
    breaker_failures: int = Field(
        default=10,
        ge=1,
        le=10_000,
        description="Different tickets whose requests must fail in a row until the destination is taken to be down.",
    )
    breaker_probe_s: float = Field(
        default=1.0, gt=0, le=3600, description="Seconds between two requests while the destination is down."
    )
    unknown_outcome: Literal["park", "send"] = Field(
        default="park",
        description="A ticket that may have arrived, at a destination that can't be asked and takes repeats for new ones: "
        "park it as a dead letter for a person, or send it again. A signed webhook drops repeats by their id, so it is "
        "always sent again.",
    )

    @field_validator("url")
    @classmethod
    def _is_plain(cls, url: str) -> str:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError for a port that is none
        if parts.scheme not in ("http", "https") or not parts.hostname or not (url.isascii() and url.isprintable()):
            raise ValueError("must be an http or https address")
        if "@" in parts.netloc or parts.fragment:
            raise ValueError("must hold neither user, password nor fragment")
        return url

    @field_validator("secret")
    @classmethod
    def _is_key(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            signing_key(secret.get_secret_value())
        return secret

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.secret is None) == (self.secret_file is None):
            raise ValueError("one of secret and secret_file is needed, not both")
        if self.first_wait_s > self.max_wait_s:
            raise ValueError("first_wait_s must not be over max_wait_s")
        if self.url.startswith("http:") and not (self.allow_private or is_own_address(self.url)):
            raise ValueError("url must be https, since posts would travel in the clear; or set allow_private")
        return self

    def signing_keys(self) -> tuple[bytes, ...]:
        """The keys to sign with, the first one first. Raises ValueError or OSError; neither holds a secret."""
        if self.secret is not None:
            return (signing_key(self.secret.get_secret_value()),)
        assert self.secret_file is not None, "the validator saw to it"
        lines = self.secret_file.read_text(encoding="ascii", errors="replace").split()
        if not lines:
            raise ValueError(f"{self.secret_file} is empty")
        try:
            return tuple(signing_key(line) for line in lines)
        except ValueError as error:
            raise ValueError(f"{self.secret_file}: each line {error}") from None


def is_own_address(url: str) -> bool:
    """Whether ``url`` names, as an IP address or ``localhost``, a host that isn't of the public internet."""
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost"

"""``destinations:`` in the settings: one map a destination, named by its id."""

import base64
import ipaddress
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from route.destinations.addresses import Network, is_public, parsed
from schemas.webhook_secret import SigningSecret, signing_key

MAX_SECRET_FILE_BYTES = 64 * 1024
Share = Annotated[float, Field(ge=0, lt=1)]

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?")
"""What the system's resolver takes for an IPv4 address, in hexadecimal, octal or with fewer than four parts."""
_OWN = tuple(
    ipaddress.ip_network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7")
)
"""Where an own network has its hosts: link-local, multicast and reserved addresses are none that anybody delivers to."""


class DestinationSettings(BaseModel):
    """A destination of tickets: a signed webhook (Standard Webhooks 1.0.0).

    As shipped a ticket is tried 18 times over about 26 hours, then it is a dead letter; once ``breaker_failures`` have
    shown that the destination is down, nothing of that is used up.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: Literal["webhook"] = Field(default="webhook", description="What kind of destination it is.")
    url: str = Field(
        repr=False,
        max_length=2048,
        description="Address that tickets are POSTed to; https, but for addresses of your own network. It may hold a token.",
    )
    secret: SigningSecret | None = Field(
        default=None, description="Signing secret shared with the receiver: whsec_ and base64 of 24 to 64 bytes."
    )
    secret_file: Path | None = Field(
        default=None,
        description="File with the signing secret instead; of several, one a line, each signs, while receivers move over.",
    )
    allow_private: bool | tuple[str, ...] = Field(
        default=False,
        description="Let the host's name stand for an address of a private network: true, or a list of such networks "
        "(10.20.0.0/16) and host names. Without it only an address that is written as such may be private.",
    )
    ca_file: Path | None = Field(
        default=None,
        description="File of certificate authorities (PEM) that may vouch for the receiver besides the system's, such as your "
        "firm's own.",
    )
    proxy: str | None = Field(
        default=None,
        max_length=300,
        description="HTTP proxy that requests go through, http://host:port. It looks the receiver's name up, so allow_private "
        "can't guard that name. What the proxy itself answers never counts as the receiver's refusal; with a receiver at an "
        "http address the two can't be told apart, but for 407. HTTP_PROXY and HTTPS_PROXY are not read.",
    )
    proxy_login: SecretStr | None = Field(
        default=None, description="What the proxy knows this process by, user:password (Basic). Needs proxy."
    )
    proxy_login_file: Path | None = Field(
        default=None, description="File with the proxy's user:password instead, in its first line; read at the start."
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
        "Every request counts. A tenth is kept for urgent tickets. If it is below the number of partitions, each process whose "
        "share is less than one may send one in the same minute; over longer times it holds.",
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
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018 - raises ValueError for a port that is none
        except ValueError:  # which quotes what may be a password
            raise ValueError("must have a port of 1 to 65535, and brackets around an IPv6 address alone") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or not (url.isascii() and url.isprintable()):
            raise ValueError("must be an http or https address")
        if "@" in parts.netloc or parts.fragment:
            raise ValueError("must hold neither user, password nor fragment")
        if parsed(parts.hostname) is None and _NUMBER.fullmatch(parts.hostname):
            raise ValueError("must have an IPv4 address as four decimal numbers, if it is to be one")
        if "%" in parts.netloc:
            raise ValueError("must have an IPv6 address without a zone")
        return url

    @field_validator("proxy")
    @classmethod
    def _is_bare(cls, proxy: str | None) -> str | None:
        fault = None if proxy is None else _proxy_fault(proxy)
        if fault is not None:
            raise ValueError(f"{fault}; it is written http://host:port")
        return proxy

    @field_validator("proxy_login")
    @classmethod
    def _is_login(cls, login: SecretStr | None) -> SecretStr | None:
        fault = None if login is None else _login_fault(login.get_secret_value())
        if fault is not None:
            raise ValueError(fault)
        return login

    @field_validator("allow_private")
    @classmethod
    def _are_places(cls, allowed: bool | tuple[str, ...]) -> bool | tuple[str, ...]:
        if isinstance(allowed, bool):
            return allowed
        for place in allowed:
            name = place.lower().rstrip(".")
            if _network(place) is None and (_NUMBER.fullmatch(name) or not _HOST.fullmatch(name)):
                raise ValueError(f'"{place[:60]}" is neither a host name nor a network such as 10.20.0.0/16')
        return allowed

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if found := "; ".join(self._contradictions()):
            raise ValueError(found)
        return self

    def _contradictions(self) -> Iterator[str]:
        if (self.secret is None) == (self.secret_file is None):
            yield "one of secret and secret_file is needed, not both"
        if self.first_wait_s > self.max_wait_s:
            yield "first_wait_s must not be over max_wait_s"
        if self.url.startswith("http:") and not (self.allow_private or is_own_address(self.url)):
            yield "url must be https, since posts would travel in the clear; or set allow_private"
        if self.proxy_login is not None and self.proxy_login_file is not None:
            yield "one of proxy_login and proxy_login_file is enough"
        for name in ("proxy_login", "proxy_login_file"):
            if getattr(self, name) is not None and self.proxy is None:
                yield f"{name} needs proxy"
        if self._leads_nowhere():
            yield "url must not hold a link-local, multicast or reserved address; or name it in allow_private"

    def _leads_nowhere(self) -> bool:
        address, networks = parsed(_host(self.url)), self.private_networks()
        if address is None or networks is None or is_public(address):
            return False
        return not any(address in network for network in networks)

    def private_networks(self) -> tuple[Network, ...] | None:
        """Networks that the host's name may lead into although they are not public; None: into any."""
        host = _host(self.url)
        if self.allow_private is True or is_own_address(self.url):
            return None
        allowed = self.allow_private or ()
        if host in (place.lower().rstrip(".") for place in allowed):
            return None
        return tuple(network for place in allowed if (network := _network(place)) is not None)

    def ssl_context(self) -> ssl.SSLContext:
        """What the receiver's certificate is checked with. Raises OSError or ValueError where ``ca_file`` can't be used."""
        context = ssl.create_default_context()
        if self.ca_file is not None:
            try:
                context.load_verify_locations(self.ca_file)
            except ssl.SSLError:
                raise ValueError(f"{self.ca_file} holds no certificates in PEM") from None
        return context

    def login(self) -> str | None:
        """What the proxy knows this process by, user:password. Raises ValueError or OSError; neither holds a secret."""
        if self.proxy_login is not None:
            return self.proxy_login.get_secret_value()
        if self.proxy_login_file is None:
            return None
        with self.proxy_login_file.open("rb") as file:
            lines = file.read(MAX_SECRET_FILE_BYTES).decode("utf-8", "replace").splitlines()
        login = lines[0] if lines else ""
        fault = _login_fault(login)
        if fault is not None:
            raise ValueError(f"{self.proxy_login_file}: its first line {fault}")
        return login

    def proxy_headers(self) -> dict[str, str]:
        """What the proxy is told beside the receiver's address: who asks. Holds the login, and raises as ``login`` does."""
        login = self.login()
        if login is None:
            return {}
        return {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}

    def login_secrets(self) -> tuple[str, ...]:
        """What of the login nobody may read: all of it, its password, the header. Raises as ``login`` does."""
        login = self.login()
        return () if login is None else (login, login.partition(":")[2], *self.proxy_headers().values())

    def signing_keys(self) -> tuple[bytes, ...]:
        """The keys to sign with, the first one first. Raises ValueError or OSError; neither holds a secret."""
        if self.secret is not None:
            return (signing_key(self.secret.get_secret_value()),)
        assert self.secret_file is not None, "the validator saw to it"
        with self.secret_file.open("rb") as file:
            lines = file.read(MAX_SECRET_FILE_BYTES).decode("ascii", "replace").split()
        if not lines:
            raise ValueError(f"{self.secret_file} is empty")
        try:
            return tuple(signing_key(line) for line in lines)
        except ValueError as error:
            raise ValueError(f"{self.secret_file}: each line {error}") from None


def is_own_address(url: str) -> bool:
    """Whether ``url`` names, as an IP address or ``localhost``, a host of one's own machine or network."""
    host = _host(url)
    address = parsed(host)
    return host == "localhost" if address is None else any(address in network for network in _OWN)


def _login_fault(login: str) -> str | None:
    """What is wrong with what a proxy is to know somebody by, without anything of it."""
    user, colon, _ = login.partition(":")
    if not user or not colon:
        return "must be user:password"
    return None if login.isprintable() else "must hold no control characters"


def _proxy_fault(proxy: str) -> str | None:
    """What is wrong with the address of a proxy, without anything of it."""
    scheme, _, rest = proxy.partition("://")
    host, colon, port = rest.rpartition(":")
    if scheme != "http":
        return "must begin with http://, no other scheme"
    if "@" in rest:
        return "must hold neither user nor password, which proxy_login or proxy_login_file is for"
    if any(mark in rest for mark in "/?#"):
        return "must hold no path"
    if not colon or not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536):
        return "must end with a port, 1 to 65535"
    if host.startswith("[") and host.endswith("]"):
        return None if "%" not in host and parsed(host[1:-1]) else "must hold a sound IPv6 address without a zone"
    return None if _HOST.fullmatch(host.lower().rstrip(".")) else "must hold a host name or an address"


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").rstrip(".")


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None

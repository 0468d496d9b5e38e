"""A destination behind an HTTP proxy, against a real one: what goes through it, and what its own answers mean."""

import asyncio
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from route.destinations.base import NeverAgain, NotNow, Outcome, Parcel, Taken
from route.destinations.opening import open_destination
from route.destinations.settings import DestinationSettings
from tests.route.delivery.doubles import ticket
from tests.support.https import self_signed, serving
from tests.support.proxy import Proxy, proxying

SECRET = "whsec_" + "A" * 32
LOGIN = "plaint:hunter2:%41 pass"
HTTPS = "https://desk.example/hooks/T0K3N"
HTTP = "http://desk.example/hooks/T0K3N"
LINE = "CONNECT desk.example:443"


class _Desk(BaseHTTPRequestHandler):
    """Takes the ticket, or answers what its path asks for."""

    came: list[dict[str, str]]
    says = 204

    def do_POST(self) -> None:
        self.came.append(dict(self.headers.items()))
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.says)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """It has nothing to say."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    self_signed(folder, "desk.example")
    return folder


@contextmanager
def desk(certificate: Path | None = None, says: int = 204) -> Iterator[tuple[int, list[dict[str, str]]]]:
    """A receiver of the name desk.example, which only the proxy can look up: its port, and what came."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "cert", certificate / "key")
    came: list[dict[str, str]] = []
    handler = type("Desk", (_Desk,), {"came": came, "says": says, "protocol_version": "HTTP/1.1"})
    with serving(handler, context) as server:
        yield server.server_port, came


async def post(proxy: Proxy, url: str = HTTPS, times: int = 1, **settings: Any) -> list[Outcome]:
    """What becomes of one ticket after the other. In the loop of the test; the servers have threads of their own."""
    made = {"url": url, "secret": SECRET, "proxy": proxy.address, "timeout_s": 5, "allow_private": url == HTTP}
    destination = open_destination(DestinationSettings.model_validate({**made, **settings}), time.time)
    try:
        parcel = Parcel(ticket().key, "create", 0, 1, ticket().to_bytes())
        return [await destination.create(parcel, lambda: True) for _ in range(times)]
    finally:
        await destination.close()
        await asyncio.sleep(0)


@pytest.mark.parametrize("login", ["", LOGIN])
async def test_tickets_go_through_the_proxy_which_knows_the_name(certificate: Path, login: str) -> None:
    with desk(certificate) as (port, came), proxying(Proxy({"desk.example": port}, login)) as proxy:
        proxy.address = proxy.address.replace("127.0.0.1", "localhost")  # its own name leads inside, as a firm's does
        outcomes = await post(proxy, times=3, ca_file=str(certificate / "cert"), proxy_login=login or None)
        assert outcomes == [Taken(204)] * 3
    assert proxy.reached() == [LINE]
    assert proxy.asked[0][1]["User-Agent"] == "plaint"
    assert len(came) == 3
    assert not any("Proxy-Authorization" in headers for headers in came)


@pytest.mark.parametrize("login", ["", LOGIN])
async def test_a_receiver_without_tls_is_asked_through_it_as_well(login: str) -> None:
    with desk() as (port, came), proxying(Proxy({"desk.example": port}, login)) as proxy:
        assert await post(proxy, HTTP, proxy_login=login or None) == [Taken(204)]
    assert proxy.reached() == [f"POST {HTTP}"]
    assert "Proxy-Authorization" not in came[0]
    assert came[0]["webhook-id"]


async def test_the_login_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "login").write_text(f"{LOGIN}\n")
    with desk() as (port, _), proxying(Proxy({"desk.example": port}, LOGIN)) as proxy:
        assert await post(proxy, HTTP, proxy_login_file=tmp_path / "login") == [Taken(204)]


@pytest.mark.parametrize("url", [HTTPS, HTTP])
@pytest.mark.parametrize("login", [None, "plaint:wrong"])
async def test_a_login_that_the_proxy_does_not_know_is_no_refusal_of_the_ticket(url: str, login: str | None) -> None:
    with proxying(Proxy({"desk.example": 1}, LOGIN)) as proxy:
        [outcome] = await post(proxy, url, proxy_login=login)
    assert outcome == NotNow("the proxy answered 407", maybe_taken=False)


@pytest.mark.parametrize("status", [302, 400, 403, 410, 502, 503])
async def test_whatever_the_proxy_says_of_the_line_is_not_the_receivers_word(status: int) -> None:
    """410 of a receiver disables its destination at once, 400 is the end of a ticket."""
    with proxying(Proxy(says=status)) as proxy:
        [outcome] = await post(proxy)
    assert outcome == NotNow(f"the proxy answered {status}", status=None, maybe_taken=False)


async def test_a_host_that_the_proxy_does_not_let_through_is_told() -> None:
    with proxying(Proxy({"desk.example": 1}, refused=("desk.example",))) as proxy:
        assert await post(proxy) == [NotNow("the proxy answered 403", maybe_taken=False)]


async def test_what_the_receiver_says_through_the_line_stays_its_own_word(certificate: Path) -> None:
    for status in (400, 407):
        with desk(certificate, status) as (port, _), proxying(Proxy({"desk.example": port})) as proxy:
            [outcome] = await post(proxy, ca_file=str(certificate / "cert"))
        assert isinstance(outcome, NeverAgain if status == 400 else NotNow)
        assert (outcome.detail, outcome.status) == (str(status), status)


async def test_the_receivers_certificate_is_checked_through_the_proxy(certificate: Path) -> None:
    with desk(certificate) as (port, came), proxying(Proxy({"desk.example": port})) as proxy:
        [outcome] = await post(proxy)
    assert outcome == NotNow("its certificate is not trusted, or TLS failed otherwise", maybe_taken=False)
    assert came == []


@pytest.mark.parametrize("url", [HTTPS, HTTP])
@pytest.mark.parametrize("place", ["127.0.0.1:1", "proxy.invalid:3128"])
async def test_a_proxy_that_is_away_is_told_as_such(url: str, place: str) -> None:
    [outcome] = await post(Proxy(address=f"http://{place}"), url)
    assert isinstance(outcome, NotNow)
    assert outcome.detail.startswith("no connection to the proxy: ")
    assert (outcome.status, outcome.maybe_taken) == (None, False)


async def test_a_proxy_that_quotes_the_login_does_not_spread_it() -> None:
    with proxying(Proxy({"desk.example": 1}, LOGIN, says=403)) as proxy:
        [outcome] = await post(proxy, HTTP, proxy_login=LOGIN)
    assert isinstance(outcome, NotNow)
    assert outcome.detail == "403 403 of the proxy's to … …"


async def test_a_proxy_that_hangs_or_speaks_something_else_is_told_apart_from_a_slow_receiver() -> None:
    for url, words, outcome in (
        (HTTPS, b"", NotNow("no line through the proxy in time", maybe_taken=False)),
        (HTTP, b"", NotNow("no answer in time", maybe_taken=True)),
        (
            HTTPS,
            b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
            NotNow("the proxy gives no sound answer: ClientResponseError", maybe_taken=False),
        ),
    ):

        async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, words: bytes = words) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(words)
            await reader.read()
            writer.close()

        async with await asyncio.start_server(say, "127.0.0.1", 0) as server:
            place = server.sockets[0].getsockname()
            proxy = Proxy(address=f"http://{place[0]}:{place[1]}")
            assert await post(proxy, url, timeout_s=5 if words else 0.5) == [outcome]

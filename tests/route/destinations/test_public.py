"""Names that lead into a private network."""

import socket
import time
from collections.abc import Sequence
from ipaddress import ip_network

import pytest
from aiohttp import web
from aiohttp.abc import ResolveResult

from route.destinations import public
from route.destinations.addresses import Network
from route.destinations.base import NotNow, Outcome, Parcel, Taken
from route.destinations.opening import open_destination
from route.destinations.public import AddressRefused, PublicResolver
from route.destinations.settings import DestinationSettings
from tests.route.delivery.doubles import ticket


class Zone:
    """A resolver that knows what the test says."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts

    async def resolve(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=found, port=port, family=family, proto=0, flags=0) for found in self.hosts
        ]

    async def close(self) -> None: ...


async def resolved(*hosts: str, allowed: Sequence[Network] = ()) -> list[str]:
    resolver = PublicResolver(allowed)
    resolver._resolver = Zone(*hosts)  # type: ignore[assignment]
    return [found["host"] for found in await resolver.resolve("desk.example", 443)]


PRIVATE = """
127.0.0.1 127.255.255.254 10.0.0.1 172.16.5.5 172.31.255.255 192.168.1.1 169.254.169.254 0.0.0.0 0.1.2.3 100.64.0.1
100.127.255.255 192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1
255.255.255.255 ::1 :: fe80::1 fe80::1%eth0 fec0::1 fd00::1 fc00::1 ff02::1 ::10.0.0.1 ::ffff:10.0.0.1
::ffff:169.254.169.254 ::ffff:0:10.0.0.1 64:ff9b::10.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::8.8.8.8 2002:7f00:1:: 2002:a00:1::1
2002:a9fe:a9fe:: 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:db8::1 2001:20::1 3fff::1 5f00::1 100::1 4000::1
"""
PUBLIC = """
93.184.215.14 8.8.8.8 172.15.0.1 172.32.0.1 100.63.255.255 100.128.0.1 223.255.255.1 2606:2800:21f:cb07:6820:80da:af6b:8b2c
2001:4860:4860::8888 2a00:1450::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1
"""


NUMBERS = ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "017700000001"]


@pytest.mark.parametrize("host", NUMBERS)
async def test_other_ways_to_write_an_address_that_the_system_takes_are_seen_through(host: str) -> None:
    with pytest.raises(AddressRefused):
        await PublicResolver().resolve(host, 443)


@pytest.mark.parametrize("host", PRIVATE.split())
async def test_private_addresses_are_refused(host: str) -> None:
    with pytest.raises(AddressRefused, match=r"desk\.example is an address of a private network"):
        await resolved(host)


@pytest.mark.parametrize("host", PUBLIC.split())
async def test_public_addresses_pass(host: str) -> None:
    assert await resolved(host) == [host]


async def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(AddressRefused):
        await resolved("desk.internal")


async def test_an_allowed_network_passes_and_no_other() -> None:
    allowed = [ip_network("10.20.0.0/16"), ip_network("fd00::/8")]
    assert await resolved("10.20.1.1", "10.21.1.1", "fd00::1", "fe80::1", allowed=allowed) == ["10.20.1.1", "fd00::1"]
    with pytest.raises(AddressRefused):
        await resolved("169.254.169.254", allowed=allowed)


async def test_public_ones_pass_and_private_ones_beside_them_do_not() -> None:
    assert await resolved("93.184.215.14", "10.0.0.1", "2606:2800:21f:cb07:6820:80da:af6b:8b2c") == [
        "93.184.215.14",
        "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
    ]


async def test_the_systems_resolver_is_asked() -> None:
    with pytest.raises(AddressRefused):
        await PublicResolver().resolve("localhost", 80)


# -- from the settings to the line -----------------------------------------------------------------------------------


class Turning(Zone):
    """A name that stands for another address each time that it is looked up."""

    def __init__(self, *answers: list[str]) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked = 0

    async def resolve(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        self.hosts = tuple(self.answers[min(self.asked, len(self.answers) - 1)])
        self.asked += 1
        return await super().resolve(host, port, socket.AF_INET)


async def posted(
    monkeypatch: pytest.MonkeyPatch, zone: Turning, allowed: bool | list[str] = False
) -> tuple[Outcome, int]:
    """The outcome of one request to desk.example, and how many arrived at a receiver on 127.0.0.1."""
    monkeypatch.setattr(public, "ThreadedResolver", lambda: zone)
    arrived = 0

    async def take(_: web.Request) -> web.Response:
        nonlocal arrived
        arrived += 1
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings = DestinationSettings.model_validate(
        {
            "url": f"http{'' if allowed else 's'}://desk.example:{runner.addresses[0][1]}/",
            "secret": "whsec_" + "A" * 32,
            "allow_private": allowed,
            "timeout_s": 20,
        }
    )
    destination = open_destination(settings, time.time)
    try:
        one = ticket()
        return await destination.create(Parcel(one.key, one.op, 0, 1, one.to_bytes()), lambda: True), arrived
    finally:
        await destination.close()
        await runner.cleanup()


async def test_a_name_that_leads_inside_gets_nothing_and_may_be_asked_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcome, arrived = await posted(monkeypatch, Turning(["127.0.0.1"]))
    assert isinstance(outcome, NotNow)
    assert "is an address of a private network; allow_private lets it pass" in outcome.detail
    assert (outcome.maybe_taken, arrived) == (False, 0)


async def test_an_allowed_network_is_reached_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await posted(monkeypatch, Turning(["127.0.0.1"]), ["127.0.0.0/8"]) == (Taken(200), 1)
    outcome, arrived = await posted(monkeypatch, Turning(["127.0.0.1"]), ["10.0.0.0/8"])
    assert isinstance(outcome, NotNow)
    assert arrived == 0


async def test_a_name_is_looked_up_once_so_what_was_checked_is_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second answer would lead to the receiver on 127.0.0.1: nobody asks for it."""
    zone = Turning(["127.0.0.77"], ["127.0.0.1"])
    outcome, arrived = await posted(monkeypatch, zone, ["127.0.0.77/32"])
    assert outcome == NotNow("no connection: Connection refused", maybe_taken=False)
    assert (arrived, zone.asked) == (0, 1)


async def test_of_several_addresses_only_those_that_may_be_asked_are(monkeypatch: pytest.MonkeyPatch) -> None:
    zone = Turning(["127.0.0.1", "127.0.0.77"])
    outcome, arrived = await posted(monkeypatch, zone, ["127.0.0.77/32"])
    assert outcome == NotNow("no connection: Connection refused", maybe_taken=False)
    assert arrived == 0


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    assert await posted(monkeypatch, Turning(["127.0.0.1"]), ["127.0.0.0/8"]) == (Taken(200), 1)

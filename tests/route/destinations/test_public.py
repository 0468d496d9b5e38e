"""Names that lead into a private network."""

import socket

import pytest
from aiohttp.abc import ResolveResult

from route.destinations.public import AddressRefused, PublicResolver


class Zone:
    """A resolver that knows what the test says."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts

    async def resolve(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=found, port=port, family=family, proto=0, flags=0) for found in self.hosts
        ]

    async def close(self) -> None: ...


async def resolved(*hosts: str) -> list[str]:
    resolver = PublicResolver()
    resolver._resolver = Zone(*hosts)  # type: ignore[assignment]
    return [found["host"] for found in await resolver.resolve("desk.example", 443)]


PRIVATE = "127.0.0.1 10.0.0.1 172.16.5.5 192.168.1.1 169.254.169.254 0.0.0.0 100.64.0.1 ::1 fe80::1%eth0 fd00::1"


@pytest.mark.parametrize("host", PRIVATE.split())
async def test_private_addresses_are_refused(host: str) -> None:
    with pytest.raises(AddressRefused, match=r"desk\.example is an address of a private network"):
        await resolved(host)


async def test_public_ones_pass_and_private_ones_beside_them_do_not() -> None:
    assert await resolved("93.184.215.14", "10.0.0.1", "2606:2800:21f:cb07:6820:80da:af6b:8b2c") == [
        "93.184.215.14",
        "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
    ]


async def test_the_systems_resolver_is_asked() -> None:
    with pytest.raises(AddressRefused):
        await PublicResolver().resolve("localhost", 80)

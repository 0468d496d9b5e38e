"""Looks host names up and refuses what lies in a private network, so that no name leads a request inside."""

import ipaddress
import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver


class AddressRefused(OSError):
    """The name stands for an address that is not of the public internet."""


class PublicResolver(AbstractResolver):
    """The system's resolver without private, loopback and link-local addresses.

    Names only: an address that is written as a number does not come here, whoever wrote it meant it.
    """

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The public addresses of ``host``. Raises AddressRefused if it has others only, OSError if it has none."""
        found = await self._resolver.resolve(host, port, family)
        public = [one for one in found if ipaddress.ip_address(one["host"].partition("%")[0]).is_global]
        if found and not public:
            raise AddressRefused(f"{host} is an address of a private network; allow_private lets it pass")
        return public

    async def close(self) -> None:
        """Let go of the system's resolver."""
        await self._resolver.close()

"""Looks host names up and refuses what lies in a private network, so that no name leads a request inside.

What is checked is what is connected to: the client takes its addresses from here and asks nobody else, so a name that
changes its mind between the two gains nothing.
"""

import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from route.destinations.addresses import Network, may_ask


class AddressRefused(OSError):
    """The name stands for an address that is not of the public internet."""


class PublicResolver(AbstractResolver):
    """The system's resolver without addresses that are not public, but for those of ``allowed`` networks.

    Names only: an address that is written as a number does not come here, the settings are checked for it.
    """

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._resolver = ThreadedResolver()
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of ``host`` that may be asked. Raises AddressRefused if it has others only, OSError if none."""
        found = await self._resolver.resolve(host, port, family)
        passed = [one for one in found if may_ask(one["host"], self._allowed)]
        if found and not passed:
            raise AddressRefused(f"{host} is an address of a private network; allow_private lets it pass")
        return passed

    async def close(self) -> None:
        """Let go of the system's resolver."""
        await self._resolver.close()

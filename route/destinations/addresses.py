"""Which addresses are of the public internet, and which lie in a network that no request may be led into."""

import ipaddress
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_UNICAST = IPv6Network("2000::/3")
"""All that IANA has given out for the public internet; what lies beside it is local, multicast or reserved."""
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # relays of 6to4, given up
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "3fff::/20",  # documentation
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")


def is_public(address: Address) -> bool:
    """Whether ``address`` is of the public internet. Of one that carries an IPv4 address, that one is looked at."""
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(inner)
        if address not in _UNICAST:
            return False
    if address.is_multicast or any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a packet to ``address`` ends at: mapped, or through NAT64 or 6to4."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour if address in _6TO4 else None


def parsed(host: str) -> Address | None:
    """``host`` as an address, its zone left out; None if it is a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def may_ask(host: str, allowed: Sequence[Network]) -> bool:
    """Whether a request may go to ``host``, an address: it is public, or lies in a network of ``allowed``."""
    address = parsed(host)
    return address is not None and (is_public(address) or any(address in network for network in allowed))

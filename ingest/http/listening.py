"""Sockets that listen, and what programs call them."""

import errno
import ipaddress
import os
import socket

from schemas.faults import Unavailable

BACKLOG = 1024
"""Connections that wait to be taken."""
HANDED_OVER = "PLAINT_LISTEN_FD"
"""The variable in which `plaint up` tells a child the number of the socket that it listens on already."""
EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound


class CannotListen(Unavailable):
    """It says where, why not, and what mends it."""


def bind_for(section: str, host: str, port: int) -> socket.socket:
    """`bind` for the server whose settings are ``section``. Raises CannotListen."""
    try:
        return bind(host, port)
    except socket.gaierror as error:
        raise CannotListen(f"{section}: {host}: {error.strerror or error}; mend {section}.host") from None
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        mend = (
            f"another program listens there, set {section}.port" if taken else f"mend {section}.host or {section}.port"
        )
        raise CannotListen(f"{section}: {host} port {port}: {error.strerror}; {mend}") from None


def bind(host: str, port: int, backlog: int = BACKLOG) -> socket.socket:
    """A socket that takes connections from now on; port 0 stands for any free one.

    Raises socket.gaierror if the host can't be resolved, OSError if it can't listen there.
    """
    family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
        0
    ]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(backlog)  # at once: two sockets may be bound to one port as long as neither listens
    except OSError:
        listener.close()
        raise
    return listener


def handed_over() -> socket.socket | None:
    """The listening socket that whoever started this process opened for it; None where nobody did.

    So an address that was told holds from the start, and over restarts connections wait instead of being refused.
    """
    number = os.environ.get(HANDED_OVER)
    return None if number is None else socket.socket(fileno=int(number))


def url(host: str, port: int) -> str:
    """Such as ``http://127.0.0.1:8320`` and ``http://[::1]:8320``."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def address(host: str, port: int) -> str:
    """What a program on this machine calls a server that listens so."""
    return url("localhost" if host in EVERYWHERE else host, port)


def is_loopback(host: str) -> bool:
    """Whether this host, as it stands in an address, is this machine and reached by nobody else."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False

"""How far one gets with an address: DNS, then TCP, a proxy between if there is one, then TLS, each told apart.

Each takes bounded time.
"""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

DNS_S = 5.0
TCP_S = 5.0
TLS_S = 5.0
PROXY_S = 6.0
"""A proxy answers only once it has reached the receiver, or has given up."""


class Unreached(Exception):
    """``step`` is dns, tcp, proxy, tls or certificate; ``what`` says what happened."""

    def __init__(self, step: str, what: str) -> None:
        super().__init__(what)
        self.step = step
        self.what = what


def addresses(host: str, port: int) -> list[str]:
    """What ``host`` stands for. Raises Unreached("dns"); a resolver that does not answer counts as well."""
    found: list[str] = []
    failed: list[str] = []

    def resolve() -> None:
        try:
            told = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            failed.append(getattr(error, "strerror", None) or str(error))
        else:
            found.extend(dict.fromkeys(str(address[0]) for *_, address in told))

    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(DNS_S)
    if not found:
        raise Unreached("dns", f"the name {host} can't be resolved: {failed[0] if failed else 'no answer'}")
    return found


@contextlib.contextmanager
def connected(host: str, port: int, found: list[str]) -> Iterator[socket.socket]:
    """A connection to the first of the addresses that takes one. Raises Unreached("tcp")."""
    reasons = []
    for address in found:
        try:
            line = socket.create_connection((address, port), timeout=TCP_S / len(found))
        except OSError as error:
            reasons.append(f"{address}: {error.strerror or error}")
            continue
        with line:
            yield line
        return
    raise Unreached("tcp", f"{host}:{port} takes no connection ({'; '.join(reasons)})")


def tunnelled(line: socket.socket, host: str, port: int, headers: Mapping[str, str]) -> None:
    """Have the HTTP proxy at the other end lead the line on to ``host``. Raises Unreached("proxy")."""
    line.settimeout(PROXY_S)
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = [f"CONNECT {place} HTTP/1.1", f"Host: {place}", *(f"{name}: {value}" for name, value in headers.items())]
    try:
        line.sendall("\r\n".join([*request, "", ""]).encode("ascii"))
        with contextlib.closing(http.client.HTTPResponse(line, method="CONNECT")) as answer:
            answer.begin()
    except TimeoutError:
        raise Unreached("proxy", f"the proxy gives no answer within {PROXY_S:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise Unreached("proxy", f"the proxy gives no HTTP answer: {type(error).__name__}") from error
    if answer.status != http.client.OK:
        raise Unreached("proxy", f"the proxy answered {answer.status}")


def secured(line: socket.socket, host: str, context: ssl.SSLContext) -> tuple[ssl.SSLSocket, datetime | None]:
    """The same connection after the handshake, and when its certificate expires, None if it tells no end.

    Raises Unreached("tls" or "certificate").
    """
    line.settimeout(TLS_S)
    try:
        wrapped = context.wrap_socket(line, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        raise Unreached("certificate", f"its certificate is not accepted: {error.verify_message}") from error
    except TimeoutError:
        raise Unreached("tls", f"no TLS handshake within {TLS_S:g} s") from None
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise Unreached("tls", f"it speaks no TLS that this machine takes: {reason}") from error
    return wrapped, _expires(wrapped)


def _expires(line: ssl.SSLSocket) -> datetime | None:
    told = (line.getpeercert() or {}).get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(told), UTC) if isinstance(told, str) else None

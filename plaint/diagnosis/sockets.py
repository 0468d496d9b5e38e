"""How far one gets with an address: DNS, then TCP, then TLS, each told apart, each in bounded time."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

DNS_S = 5.0
TCP_S = 5.0
TLS_S = 5.0


class Unreached(Exception):
    """``step`` is dns, tcp, tls or certificate; ``what`` says what happened."""

    def __init__(self, step: str, what: str) -> None:
        super().__init__(what)
        self.step = step
        self.what = what


@dataclass(frozen=True)
class Secured:
    """A TLS session that was agreed on. ``expires`` is the end of the certificate's validity, None if it tells none."""

    version: str
    expires: datetime | None


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


def secured(line: socket.socket, host: str, context: ssl.SSLContext) -> tuple[ssl.SSLSocket, Secured]:
    """The same connection after the handshake. Raises Unreached("tls" or "certificate")."""
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
    return wrapped, Secured(wrapped.version() or "", _expires(wrapped))


def _expires(line: ssl.SSLSocket) -> datetime | None:
    told = (line.getpeercert() or {}).get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(told), UTC) if isinstance(told, str) else None

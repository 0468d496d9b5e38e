"""Whether a destination can be reached and would know our signature. Nothing is sent to its hook unless asked for."""

import http.client
import socket
import ssl
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urlsplit

import orjson

from plaint.diagnosis.answers import mend_of
from plaint.diagnosis.brokers import expiring
from plaint.diagnosis.check import Check, checked
from plaint.diagnosis.finding import Finding, fail, failures, warn
from plaint.diagnosis.sockets import Unreached, addresses, connected, secured, tunnelled
from plaint.inbox.message import TEST_TYPE
from plaint.kafka.settings import KafkaSettings
from plaint.preflight import check_destination
from route.destinations.addresses import may_ask
from route.destinations.answer_text import AnswerText
from route.destinations.settings import DestinationSettings
from route.destinations.signing import signatures
from route.destinations.statuses import PROXY_LOGIN_WANTED

ANSWER_S = 6.0
MAX_BYTES = 4096
USER_AGENT = "plaint-doctor"
MAYBE_PROXYS = (403, 502, 503, 504)
"""What a proxy that passes requests on answers for a receiver that it can't reach or doesn't let through."""
MENDS = {
    "dns": "correct the host in destinations.{name}.url, or mend this machine's DNS",
    "tcp": "look whether the receiver runs, at the port in destinations.{name}.url and at the firewall between",
    "tls": "look whether destinations.{name}.url should begin with http:, or the receiver's TLS is broken",
    "certificate": "let its owner renew it, for the name in destinations.{name}.url; a private authority goes into "
    "destinations.{name}.ca_file",
    "private": "set destinations.{name}.allow_private if the receiver is meant to be in your own network",
}


@dataclass(frozen=True)
class Date:
    """What a destination says the time is. ``ahead_s``: how far this machine's clock is ahead of it, seconds."""

    host: str
    ahead_s: float


@dataclass(frozen=True)
class _Target:
    name: str
    settings: DestinationSettings
    host: str
    port: int
    is_tls: bool

    @property
    def is_forwarded(self) -> bool:
        """Whether a proxy reads the requests and passes them on, rather than only the bytes of a TLS session."""
        return self.settings.proxy is not None and not self.is_tls

    def asked(self, path: str) -> str:
        """``path`` as a request line has it: a proxy that passes requests on wants the whole address."""
        return f"http://{urlsplit(self.settings.url).netloc}{path}" if self.is_forwarded else path

    def headers(self) -> dict[str, str]:
        """Those of any request."""
        return {"User-Agent": USER_AGENT, **(self.login() if self.is_forwarded else {})}

    def login(self) -> dict[str, str]:
        """What the proxy is told; nothing where the file of the login can't be used, which is told as such."""
        with suppress(OSError, ValueError):
            return self.settings.proxy_headers()
        return {}

    def fault(self, stopped: Unreached) -> Finding:
        if stopped.step == "proxy":
            return fail(f"destinations.{self.name}.proxy", stopped.what, mend_of(stopped.what, self.name))
        return fail(f"destinations.{self.name}.url", stopped.what, MENDS[stopped.step].format(name=self.name))


def check(
    name: str, settings: DestinationSettings, kafka: KafkaSettings, dates: list[Date], send_test: bool = False
) -> Check:
    """One destination; what it says of the time is added to ``dates``. The path of its address stays out of everything."""
    parts = urlsplit(settings.url)
    is_tls = parts.scheme == "https"
    target = _Target(name, settings, parts.hostname or "", parts.port or (443 if is_tls else 80), is_tls)
    found = failures(check_destination(name, settings, kafka))
    is_sound = not found
    looked = f"{parts.scheme}://{target.host}:{target.port}"
    if settings.proxy is not None:
        looked += f" through {settings.proxy}"
    try:
        found += _reach(target, dates)
        if send_test and is_sound:
            found += _test(target)
            looked += ", a signed test sent"
    except Unreached as stopped:
        found.append(target.fault(stopped))
    except (OSError, http.client.HTTPException) as error:
        what = f"{target.host}:{target.port} gives no HTTP answer: {type(error).__name__}"
        found.append(fail(f"destinations.{name}.url", what, mend_of("no connection", name)))
    return checked(f"destination {name}", looked, found)


def _allowed(target: _Target) -> list[str]:
    """Its addresses that a request may go to. Raises Unreached."""
    found = addresses(target.host, target.port)
    networks = target.settings.private_networks()
    if networks is None:
        return found
    passed = [one for one in found if may_ask(one, networks)]
    if not passed:
        what = f"{target.host} stands for {', '.join(found)}, of a private network: tickets are not sent there"
        raise Unreached("private", what)
    return passed


@contextmanager
def _line(target: _Target) -> Iterator[socket.socket]:
    """A line to the receiver, before TLS: DNS and TCP, or the proxy, which does both. Raises Unreached."""
    if target.settings.proxy is None:
        with connected(target.host, target.port, _allowed(target)) as line:
            yield line
        return
    with ExitStack() as stack:
        yield _through(target, urlsplit(target.settings.proxy), stack)


def _through(target: _Target, proxy: SplitResult, stack: ExitStack) -> socket.socket:
    host, port = proxy.hostname or "", proxy.port or 0
    try:
        line = stack.enter_context(connected(host, port, addresses(host, port)))
    except Unreached as stopped:
        raise Unreached("proxy", f"no connection to the proxy: {stopped.what}") from None
    if target.is_tls:
        tunnelled(line, target.host, target.port, {"User-Agent": USER_AGENT, **target.login()})
    return line


def _reach(target: _Target, dates: list[Date]) -> Iterator[Finding]:
    """DNS, TCP, TLS, and an HTTP answer to a question that asks for nothing."""
    began = time.time()
    with _line(target) as plain:
        line = plain
        if target.is_tls:
            line, expires = secured(plain, target.host, _context(target))
            mend = f"let the owner of {target.host} renew it"
            yield from expiring(f"destinations.{target.name}.url", expires, mend)
        line.settimeout(ANSWER_S)
        connection = http.client.HTTPConnection(target.host, target.port)
        connection.sock = line
        connection.request("HEAD", target.asked("/"), headers=target.headers())
        answer = connection.getresponse()
        _stop_at_proxy(target, answer.status)
        if target.is_forwarded and answer.status in MAYBE_PROXYS:
            what = f"the proxy answered {answer.status}"
            yield warn(f"destinations.{target.name}.proxy", f"{what}, or the receiver did", mend_of(what, target.name))
        _note(target, answer.getheader("Date"), began, dates)


def _context(target: _Target) -> ssl.SSLContext:
    """With the authorities of the settings; without where their file can't be used, which is told as such."""
    with suppress(OSError, ValueError):
        return target.settings.ssl_context()
    return ssl.create_default_context()


def _note(target: _Target, date: str | None, began: float, dates: list[Date]) -> None:
    try:
        theirs = parsedate_to_datetime(date or "")
    except ValueError:
        return
    theirs = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
    dates.append(Date(f"{target.host}:{target.port}", (began + time.time()) / 2 - theirs.timestamp()))


def _test(target: _Target) -> Iterator[Finding]:
    """POST a signed event that is no ticket. Receivers that know tickets only may refuse it; that is told as such."""
    with _line(target) as plain:
        line = secured(plain, target.host, _context(target))[0] if target.is_tls else plain
        line.settimeout(target.settings.timeout_s)
        connection = http.client.HTTPConnection(target.host, target.port)
        connection.sock = line
        body = _body()
        parts = urlsplit(target.settings.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target.asked(path), body=body, headers=_headers(target, body))
        answer = connection.getresponse()
        start = AnswerText(target.settings).of(answer.read(MAX_BYTES))
    _stop_at_proxy(target, answer.status)
    if not 200 <= answer.status < 300:
        yield _verdict(target.name, answer.status, start)


def _stop_at_proxy(target: _Target, status: int) -> None:
    """Raises Unreached where ``status`` can only be the answer of a proxy that passes requests on."""
    if target.is_forwarded and status == PROXY_LOGIN_WANTED:
        raise Unreached("proxy", f"the proxy answered {status}")


def _body() -> bytes:
    now = datetime.now(UTC).isoformat()
    text = "This is a test of plaint's: no ticket, nothing is to be done."
    return orjson.dumps({"type": TEST_TYPE, "timestamp": now, "data": {"test": True, "text": text}})


def _headers(target: _Target, body: bytes) -> Mapping[str, str]:
    now, webhook_id = int(time.time()), f"test-{uuid.uuid4().hex}"
    return {
        **target.headers(),
        "Content-Type": "application/json",
        "Accept": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(now),
        "webhook-signature": signatures(target.settings.signing_keys(), webhook_id, now, body),
    }


def _verdict(name: str, status: int, start: str) -> Finding:
    place, said = f"destinations.{name}", f"a signed test event was answered {status} {start}".rstrip()
    if status in (400, 409, 415, 422):
        mend = f"its answer says why; it may know tickets only, and not the type {TEST_TYPE}, which is fine"
        return warn(place, said, mend)
    return fail(place, said, mend_of(str(status), name))

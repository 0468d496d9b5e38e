"""An HTTP proxy as a firm's network has one: it leads lines on (CONNECT), passes plain requests on, and may ask for a login."""

import base64
import http.client
import selectors
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.support.https import serving

CHUNK = 65_536


@dataclass
class Proxy:
    """One that runs. ``hosts`` are the names that it knows, and where each of them is on 127.0.0.1."""

    hosts: Mapping[str, int] = field(default_factory=dict)
    login: str = ""
    refused: tuple[str, ...] = ()
    says: int | None = None
    address: str = ""
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    """Each request line that came, without the version, and its headers."""

    def reached(self) -> list[str]:
        """The request lines alone."""
        return [line for line, _ in self.asked]

    def refusal(self, host: str, headers: Mapping[str, str]) -> int | None:
        """What it answers itself instead of asking ``host``."""
        wanted = f"Basic {base64.b64encode(self.login.encode()).decode()}"
        if self.login and headers.get("Proxy-Authorization") != wanted:
            return 407
        if host in self.refused:
            return 403
        return self.says or (None if host in self.hosts else 502)


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy

    def do_CONNECT(self) -> None:
        host = self.path.rpartition(":")[0]
        if self._refused(host):
            return
        with socket.create_connection(("127.0.0.1", self.proxy.hosts[host])) as onward:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _lead(self.connection, onward)

    def _pass_on(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self._refused(parts.hostname or ""):
            return
        onward = http.client.HTTPConnection("127.0.0.1", self.proxy.hosts[parts.hostname or ""])
        headers = {name: value for name, value in self.headers.items() if not name.startswith("Proxy-")}
        onward.request(self.command, parts.path, body or None, headers)
        answer = onward.getresponse()
        self._answer(answer.status, answer.read())
        onward.close()

    do_POST = do_HEAD = _pass_on  # noqa: N815 - the names that http.server looks for

    def _refused(self, host: str) -> bool:
        self.proxy.asked.append((f"{self.command} {self.path}", dict(self.headers.items())))
        status = self.proxy.refusal(host, dict(self.headers.items()))
        if status is not None:
            told = f"{status} of the proxy's to {self.headers.get('Proxy-Authorization')} {self.proxy.login}"
            self._answer(status, told.encode())
        return status is not None

    def _answer(self, status: int, body: bytes) -> None:
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """It has nothing to say."""


def _lead(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until either side has no more."""
    with selectors.DefaultSelector() as selector, suppress(OSError):
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                told = key.fileobj.recv(CHUNK)
                if not told:
                    return
                key.data.sendall(told)


@contextmanager
def proxying(proxy: Proxy) -> Iterator[Proxy]:
    """``proxy`` with its address, while the block runs."""
    with serving(type("Handler", (_Handler,), {"proxy": proxy})) as server:
        proxy.address = f"http://127.0.0.1:{server.server_port}"
        yield proxy

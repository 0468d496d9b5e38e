"""Answers HTTP from a thread of its own, so that a stage that hangs still says so.

The socket is bound at once; the server itself is imported with the first request, since most processes of a test or a
short run are never asked.
"""

import select
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

from ingest.http.listening import bind, url
from plaint.monitoring.lines import Lines
from schemas.faults import Unavailable

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

MAX_LINES = 32
"""Connections at once; each has a thread."""
HEAD_S = 10.0
"""How long a client may take to say all that it asks."""
UNREAD_S = 10.0
"""How long it may leave an answer unread."""
PAUSE_S = 0.2
"""Until the next try where no connection can be taken, such as for want of file descriptors."""
BACKLOG = 64


class Answer(NamedTuple):
    """What is told at a path. ``status`` is such as ``200 OK``."""

    status: str
    kind: str
    body: bytes


Page = Callable[[], Answer]


def text(status: str, lines: Iterable[str]) -> Answer:
    """Lines for people and for probes."""
    return Answer(status, "text/plain; charset=utf-8", "".join(f"{line}\n" for line in lines).encode())


def open_socket(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises Unavailable with the setting to mend."""
    try:
        return bind(host, port, BACKLOG)
    except OSError as error:
        mend = "set monitoring.port to 0 for any free one" if port else "mend monitoring.host"
        raise Unavailable(f"monitoring can't listen on {host}:{port}: {error.strerror or error}; {mend}") from None


class Listener:
    """Serves ``pages`` by their path, and ``metrics()`` of Prometheus' client at ``/metrics``."""

    def __init__(
        self, listener: socket.socket, pages: Mapping[str, Page], metrics: Callable[[], Iterable[Any]]
    ) -> None:
        self._socket = listener
        self._pages = pages
        self._metrics = metrics
        self._wake, self._woken = socket.socketpair()
        self._thread = Thread(target=self._serve, name="monitoring", daemon=True)

    @property
    def address(self) -> str:
        """Where it answers, as this machine reaches it: ``http://127.0.0.1:8322``."""
        host, port = self._socket.getsockname()[:2]
        return url({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)  # noqa: S104 - compared, not bound

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering."""
        self._wake.close()
        self._thread.join(1)
        self._socket.close()
        self._woken.close()

    def _serve(self) -> None:
        if self._is_over():
            return
        lines = Lines(MAX_LINES, HEAD_S)
        server = _server(self._socket, _application(self._pages, self._metrics), lines)
        while not self._is_over(lines.hang_up(time.monotonic())):
            server.handle_request()

    def _is_over(self, wait_s: float | None = None) -> bool:
        """Wait for a request, at most so long; true if it is the end instead."""
        ready, _, _ = select.select([self._socket, self._woken], [], [], wait_s)
        return self._woken in ready


def _application(pages: Mapping[str, Page], metrics: Callable[[], Iterable[Any]]) -> "WSGIApplication":
    from prometheus_client import CollectorRegistry, make_wsgi_app

    class Everything:
        """What the registry collects from: all is told by one function."""

        def collect(self) -> Iterable[Any]:
            return metrics()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Everything())
    told = make_wsgi_app(registry)

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path == "/metrics":
            written: Iterable[bytes] = told(environ, start)
            return written
        page = pages.get(path)
        if page is None:
            found = text("404 Not Found", ["there is " + ", ".join(["/metrics", *pages])])
        elif method not in ("GET", "HEAD"):
            found = text("405 Method Not Allowed", ["GET only"])
        else:
            found = page()
        headers = [("Content-Type", found.kind), ("Content-Length", str(len(found.body)))]
        start(found.status, [*headers, ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")])
        return [b"" if method == "HEAD" else found.body]

    return answer


def _server(listener: socket.socket, application: "WSGIApplication", lines: Lines) -> Any:
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

    class Handler(WSGIRequestHandler):
        timeout = UNREAD_S

        def parse_request(self) -> bool:
            is_sound = super().parse_request()
            lines.heard(self.connection)
            return is_sound

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
            """Requests are not logged."""

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True
        timeout = 0  # the listener has waited

        def get_request(self) -> Any:
            try:
                return super().get_request()
            except OSError:
                time.sleep(PAUSE_S)
                raise

        def verify_request(self, request: Any, client_address: Any) -> bool:
            return lines.take(request, time.monotonic())

        def close_request(self, request: Any) -> None:
            lines.closed(request)
            super().close_request(request)

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hangs up is no news."""

    host, port = listener.getsockname()[:2]
    server = Server((host, port), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_name, server.server_port = host, port
    server.setup_environ()
    server.set_app(application)
    return server

"""Opens the door and closes it. aiohttp serves it, since plaint has it already; what it leaves open is bounded here."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from ingest.http.answers import HEADERS, Problem, Refused
from ingest.http.handlers import ACK_S_AT_END, Handlers, Publisher
from ingest.http.listening import BACKLOG, address, bind_for, handed_over, is_loopback
from ingest.http.outcomes import BY_SERVER, NONE, Meter, Refusal
from ingest.http.settings import DEFAULT_PORT, DoorSettings

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 1000
HEAD_S = 15.0
"""How long a connection may go without a whole head of a request."""
UNREAD_S = 30.0
"""How long a sender may leave an answer unread."""
LINGER_S = 2.0
"""How long what is left of a refused body is read, so that its sender sees the answer."""
TCP_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)


def listen(settings: DoorSettings) -> socket.socket:
    """A socket that takes connections from now on. Raises CannotListen."""
    if (listener := handed_over()) is not None:
        return listener
    return bind_for("door", settings.host, DEFAULT_PORT if settings.port is None else settings.port)


def url_of(settings: DoorSettings, listener: socket.socket) -> str:
    """Its address for a program on this machine."""
    return address(settings.host, listener.getsockname()[1])


@asynccontextmanager
async def opened(
    settings: DoorSettings,
    listener: socket.socket,
    publisher: Publisher,
    version: str,
    failed: Callable[[Exception], None],
    meter: Meter,
) -> AsyncIterator[None]:
    """The door is open while the context lasts; then it takes no more, and answers what is under way.

    ``failed`` is called with what makes publishing impossible for good, ``meter`` with every answer. Raises ValueError or
    OSError if a secret can't be read.
    """
    if not settings.is_guarded and not settings.is_loopback:
        raise ValueError("a door that others reach needs a secret or a token")  # the settings were not checked
    async with AsyncExitStack() as stack:
        handlers = Handlers(settings, publisher, version, failed, meter)
        guards = [_problems] if settings.is_guarded else [_problems, _only_from_here]
        app = web.Application(client_max_size=settings.max_body_bytes, middlewares=guards)
        app.on_response_prepare.append(_with_headers)
        app.add_routes(list(handlers.routes()))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=ACK_S_AT_END + 1)
        await runner.setup()
        assert runner.server is not None, "it is set up"
        stack.push_async_callback(runner.cleanup)
        stack.callback(handlers.close)
        server = await asyncio.get_running_loop().create_server(
            partial(_Line, runner.server, meter), sock=listener, backlog=BACKLOG
        )
        stack.callback(server.close)
        yield


class _Line(web.RequestHandler):
    """One connection, in bounds; what is no HTTP is answered like any other fault, and not worth a line in the log."""

    def __init__(self, server: web.Server, meter: Meter) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=HEAD_S,
            access_log=None,  # type: ignore[arg-type]
            lingering_time=LINGER_S,
            auto_decompress=False,
        )
        self._server = server
        self._meter = meter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if TCP_USER_TIMEOUT is not None and connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, int(UNREAD_S * 1000))
        if len(self._server.connections) > MAX_CONNECTIONS:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, HttpProcessingError):
            what = "This is no HTTP request that can be read."
            answer = Problem(Refusal.UNREADABLE, what, closes=True).answer()
        else:
            log.error("the door failed", exc_info=exc)
            what = "The door failed. What was sent may have been written."
            answer = Problem(Refusal.FAILED, what, closes=True).answer()
        answer.headers.update(HEADERS)
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Every answer comes by here, also those that no handler and no middleware sees."""
        self._meter.answered(resp.status, resp.why if isinstance(resp, Refused) else BY_SERVER.get(resp.status, NONE))
        return await super().finish_response(request, resp, start_time)


async def _with_headers(_request: web.Request, answer: web.StreamResponse) -> None:
    answer.headers.update(HEADERS)


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal as a problem document, aiohttp's own included."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.answer()
    except web.HTTPException as error:
        why = BY_SERVER.get(error.status)
        if why is None:
            raise
        kept = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return Problem(why, f"{error.reason}.", headers=kept).answer()


@web.middleware
async def _only_from_here(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Where nobody has to prove who they are, keep out web pages in a browser on this machine.

    One can have its own name resolve to 127.0.0.1, but can't choose the Host header; one can send from its own site, but
    the browser then says so.
    """
    host = request.headers.get("Host", "")
    if not _names_loopback(host):
        raise Problem(Refusal.HOST, "This door answers to a loopback address only.", closes=True)
    origin = request.headers.get("Origin", f"http://{host}")
    if origin != f"http://{host}" or request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise Problem(Refusal.WEB_PAGE, "This door takes nothing from web pages.", closes=True)
    return await handler(request)


def _names_loopback(host: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False

"""Starts the inbox and ends it."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ingest.http.listening import BACKLOG, CannotListen, address, bind_for, handed_over, is_loopback
from plaint.inbox.answers import SECURITY_HEADERS, problem
from plaint.inbox.api import Api
from plaint.inbox.door import Door
from plaint.inbox.faults import Faults
from plaint.inbox.hooks import MAX_BODY_BYTES, Hooks
from plaint.inbox.insight import Insight
from plaint.inbox.journal import Journal
from plaint.inbox.pages import Pages
from plaint.inbox.settings import DEFAULT_PORT, InboxSettings
from plaint.inbox.store import Store
from plaint.inbox.stories import Stories
from plaint.inbox.templating import Templates
from plaint.inbox.trial import Trial, form_token
from schemas.ticket import DESTINATION_ID
from schemas.webhook_secret import signing_key

QUEUE_PATH = f"/hooks/{{queue:{DESTINATION_ID}}}"


async def serve(
    settings: InboxSettings, ready: Callable[[str], None], door: Door | None = None, insight: Insight | None = None
) -> None:
    """Run until SIGTERM or SIGINT. ``ready`` is called once with the address, ``http://127.0.0.1:8321``.

    With a ``door`` the page has a form whose posts go there. With ``insight`` the pages tell what the rest of plaint knows
    of a post; without it what the webhooks said.
    Run it under uvloop. Raises CannotListen, OSError if it can't open its journal, JournalDamaged if that can't be read.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    async with running(settings, door, insight) as url:
        ready(url)
        await stop.wait()


@asynccontextmanager
async def running(
    settings: InboxSettings, door: Door | None = None, insight: Insight | None = None
) -> AsyncIterator[str]:
    """The inbox inside another program: it listens at the address given until the block ends. Raises as ``serve``."""
    async with AsyncExitStack() as stack:
        store = Store(settings.keep, settings.queues)
        if settings.journal is not None:
            stack.enter_context(Journal(settings.journal)).restore(store)
        closing = asyncio.Event()
        hooks = Hooks(signing_key(settings.secret.get_secret_value()), store, settings.faults or Faults(), closing)
        listener = stack.enter_context(_listen(settings))
        hooks.base_url = address(settings.host, listener.getsockname()[1])
        app = _application(store, hooks, settings, door, insight)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.callback(closing.set)
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        yield hooks.base_url


def _application(
    store: Store, hooks: Hooks, settings: InboxSettings, door: Door | None, insight: Insight | None
) -> web.Application:
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_only_named(settings.host)])
    app.on_response_prepare.append(_secure)
    app.router.add_post(QUEUE_PATH, hooks.post)
    app.add_routes(list(Api(store, hooks, may_fail=settings.faults is not None).routes()))
    token = form_token(signing_key(settings.secret.get_secret_value())) if door is not None else ""
    templates = Templates(token, tells=insight is not None)
    trial = Trial(store, templates, token, door, insight)
    app.add_routes(list(trial.routes()))
    if insight is not None:
        app.add_routes(list(Stories(templates, insight).routes()))
    app.add_routes(list(Pages(store, hooks, templates, trial.expect).routes()))
    return app


async def _secure(request: web.Request, answer: web.StreamResponse) -> None:
    """What a browser gets carries the headers that keep it careful."""
    if not request.path.startswith("/hooks/"):
        answer.headers.update(SECURITY_HEADERS)


def _only_named(host: str) -> Middleware:
    """On loopback, refuse requests that name another host.

    A page on the web can have its own name resolve to 127.0.0.1 and then read from here with its visitor's browser;
    it can't choose the Host header. Webhooks are spared, their signature is the better proof.
    """
    only_loopback = is_loopback(host)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if only_loopback and not request.path.startswith("/hooks/") and not is_loopback(request.url.host or ""):
            return problem(421, "this inbox answers to a loopback address only")
        return await handler(request)

    return guard


def _listen(settings: InboxSettings) -> socket.socket:
    if (listener := handed_over()) is not None:
        return listener
    if settings.port is not None:
        return bind_for("inbox", settings.host, settings.port)
    with suppress(CannotListen):
        return bind_for("inbox", settings.host, DEFAULT_PORT)
    return bind_for("inbox", settings.host, 0)

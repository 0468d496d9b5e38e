"""What the door answers: ``POST /v1/posts``, its description, and a page to read it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from aiohttp import web

from ingest.http.answers import FieldFault, Problem, json_answer
from ingest.http.body import TYPES, read_posts
from ingest.http.keys import Keys, Unauthorized
from ingest.http.openapi import description
from ingest.http.outcomes import Meter, Refusal
from ingest.http.page import STYLE, page
from ingest.http.settings import POSTS_PATH, DoorSettings
from ingest.publish import Busy, PostTooLarge, PublishFailed
from schemas.post import Post

log = logging.getLogger(__name__)

SOURCE = "http"
BODY_S = 30.0
"""How long a body may take to come."""
BODY_S_AT_END, ACK_S_AT_END = 1.0, 15.0
"""How long a body and an acknowledgement may still take once the door closes."""
MAX_HELD_BYTES = 64 * 1024 * 1024
"""Of all bodies that are being read at once."""
BUSY_S, AWAY_S = "1", "5"
"""Retry-After in seconds: when a moment helps, and when Kafka has to come back."""


class Publisher(Protocol):
    """Where posts go; see ``ingest.publish.PostPublisher``."""

    def offer(self, posts: Sequence[Post], source: str, ended: Callable[[Exception | None], None]) -> None:
        """Send all or none, without waiting; ``ended`` is called from another thread. Raises Busy, PostTooLarge."""
        ...

    def offers_wait_s(self) -> float:
        """For how long the oldest offer has not been acknowledged."""
        ...


class Handlers:
    """The handlers; ``failed`` is called with what makes publishing impossible for good."""

    def __init__(
        self,
        settings: DoorSettings,
        publisher: Publisher,
        version: str,
        failed: Callable[[Exception], None],
        meter: Meter,
    ) -> None:
        """Raises ValueError or OSError if a secret can't be read."""
        self._settings = settings
        self._publisher = publisher
        self._failed = failed
        self._meter = meter
        self._keys = Keys(settings.signing_keys(), settings.tokens())
        described = description(settings, version)
        self._description = json.dumps(described).encode()  # it holds numbers of 128 bits
        self._page = page(described)
        self._held_bytes = 0
        self._closing = False
        self._waits: dict[asyncio.Timeout, float] = {}

    def routes(self) -> Iterable[web.RouteDef]:
        """All addresses."""
        yield web.post(POSTS_PATH, self.posts, expect_handler=_expectation)
        yield web.get("/openapi.json", self.openapi)
        yield web.get("/", self.readable)
        yield web.get("/door.css", self.style)

    def close(self) -> None:
        """Hurry the requests that are under way; the server lets no more begin."""
        self._closing = True
        now = asyncio.get_running_loop().time()
        for wait, at_end_s in self._waits.items():
            wait.reschedule(min(wait.when() or 0.0, now + at_end_s))

    async def openapi(self, request: web.Request) -> web.Response:
        """The description."""
        return web.Response(body=self._description, content_type="application/json")

    async def readable(self, request: web.Request) -> web.Response:
        """The description for people."""
        return web.Response(text=self._page, content_type="text/html", charset="utf-8")

    async def style(self, request: web.Request) -> web.Response:
        """How the page looks."""
        return web.Response(text=STYLE, content_type="text/css", charset="utf-8")

    async def posts(self, request: web.Request) -> web.Response:
        """Take one post or several, or say why not. Raises Problem."""
        began = asyncio.get_running_loop().time()
        body = await self._body(request)
        posts = read_posts(body, request.content_type, self._settings.max_posts)
        await self._publish([post.model_copy(update={"received_at": None}) for post in posts])
        self._meter.acknowledged(len(posts), asyncio.get_running_loop().time() - began)
        return json_answer({"accepted": len(posts)}, status=202)

    async def _body(self, request: web.Request) -> bytes:
        """The body of somebody who may send. Raises Problem."""
        try:
            proven = self._keys.check_head(request.headers)
            self._check_form(request)
            body = await self._read(request)
            if not proven:
                self._keys.check_body(request.headers, body)
        except Unauthorized as error:
            challenge = {"WWW-Authenticate": 'Bearer realm="plaint"'}
            raise Problem(Refusal.UNAUTHORIZED, f"Nothing was taken: {error}.", headers=challenge) from None
        return body

    def _check_form(self, request: web.Request) -> None:
        """Whether it can be a body of ours, before any of it is read. Raises Problem."""
        accepted = {"Accept-Post": ", ".join(TYPES)}
        if request.content_type not in TYPES:
            # Also what keeps a web page of another site out: a browser asks first before it sends such a type.
            what = f"The Content-Type must be {' or '.join(TYPES)}."
            raise Problem(Refusal.CONTENT_TYPE, what, headers=accepted)
        if request.headers.get("Content-Encoding", "identity").casefold() != "identity":
            identity = accepted | {"Accept-Encoding": "identity"}
            raise Problem(Refusal.CONTENT_TYPE, "A compressed body is not taken.", headers=identity)
        if (request.charset or "utf-8").casefold() not in ("utf-8", "utf8"):
            raise Problem(Refusal.CONTENT_TYPE, "The charset must be utf-8.", headers=accepted)
        if (request.content_length or 0) > self._settings.max_body_bytes:
            raise self._too_large()

    async def _read(self, request: web.Request) -> bytes:
        """Raises Problem."""
        body = bytearray()
        try:
            async with self._limited(BODY_S, BODY_S_AT_END):
                while chunk := await request.content.readany():
                    self._hold(body, chunk)
            return bytes(body)
        except TimeoutError:
            what = f"The body did not come within {BODY_S:g} s."
            raise Problem(Refusal.SLOW_BODY, what, closes=True) from None
        except (web.RequestPayloadError, ConnectionError):
            what = "The body can't be read as its headers say."
            raise Problem(Refusal.UNREADABLE, what, closes=True) from None
        finally:
            self._held_bytes -= len(body)

    def _hold(self, body: bytearray, chunk: bytes) -> None:
        """Add what has come: what is only announced takes no room from others. Raises Problem."""
        if len(body) + len(chunk) > self._settings.max_body_bytes:
            raise self._too_large()
        if self._held_bytes + len(chunk) > MAX_HELD_BYTES:
            what = "Too many bodies are being read."
            raise Problem(Refusal.MANY_BODIES, what, headers={"Retry-After": BUSY_S}, closes=True)
        self._held_bytes += len(chunk)
        body += chunk

    async def _publish(self, posts: Sequence[Post]) -> None:
        """Return once Kafka has them all. Raises Problem."""
        loop = asyncio.get_running_loop()
        acknowledged: asyncio.Future[Exception | None] = loop.create_future()

        def ended(error: Exception | None) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, acknowledged, error)

        self._offer(posts, ended)
        try:
            async with self._limited(self._settings.ack_timeout_s, ACK_S_AT_END):
                error = await acknowledged
        except TimeoutError:
            what = "Kafka has not acknowledged in time. The posts may still be written: send the request again."
            raise Problem(Refusal.LATE_ACKNOWLEDGEMENT, what, headers={"Retry-After": AWAY_S}) from None
        if error is not None:
            self._failed(PublishFailed(f"the broker refused a record for good: {error!r}"))
            raise _broken()

    def _offer(self, posts: Sequence[Post], ended: Callable[[Exception | None], None]) -> None:
        """Raises Problem."""
        try:
            if self._publisher.offers_wait_s() > self._settings.ack_timeout_s:
                what = "Kafka does not acknowledge. Nothing was taken."
                raise Problem(Refusal.NO_ACKNOWLEDGEMENT, what, headers={"Retry-After": AWAY_S})
            self._publisher.offer(posts, SOURCE, ended)
        except Busy:
            what = "Too many posts are not yet acknowledged by Kafka. Nothing was taken."
            raise Problem(Refusal.MANY_UNACKNOWLEDGED, what, headers={"Retry-After": BUSY_S}) from None
        except PostTooLarge as error:
            fault = FieldFault(f"#/{error.index}" if len(posts) > 1 else "#", str(error))
            what = f"Nothing was taken: a post is too large: {error}."
            raise Problem(Refusal.LARGE_POST, what, faults=[fault]) from None
        except PublishFailed as error:
            self._failed(error)
            raise _broken() from None

    @asynccontextmanager
    async def _limited(self, seconds: float, at_end_s: float) -> AsyncIterator[None]:
        """TimeoutError after so many seconds; once the door closes, after at most ``at_end_s`` more."""
        async with asyncio.timeout(min(seconds, at_end_s) if self._closing else seconds) as wait:
            self._waits[wait] = at_end_s
            try:
                yield
            finally:
                del self._waits[wait]

    def _too_large(self) -> Problem:
        what = f"The body is over {self._settings.max_body_bytes} bytes."
        return Problem(Refusal.LARGE_BODY, what, closes=True)


async def _expectation(request: web.Request) -> web.Response | None:
    """Let a sender that asks first go on, or refuse what it expects."""
    if request.headers["Expect"].casefold() != "100-continue":
        return Problem(Refusal.EXPECTATION, "Only Expect: 100-continue is known here.").answer()
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return None


def _broken() -> Problem:
    what = "Posts can't be published now."
    return Problem(Refusal.BROKEN, what, headers={"Retry-After": AWAY_S}, closes=True)


def _resolve(future: "asyncio.Future[Exception | None]", error: Exception | None) -> None:
    if not future.done():
        future.set_result(error)

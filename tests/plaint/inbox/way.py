"""The rest of plaint, as the inbox's form sees it: a door that takes posts, and what comes of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from plaint.inbox.door import Door
from plaint.inbox.outcome import Verdict
from plaint.lookup.explanation import Explanation
from route.rules import RouteTable
from route.trial import routed
from schemas.faults import Unavailable
from schemas.post import Post
from schemas.triage import Triage

QUEUES = ("helpdesk", "service", "marketing")


class Way:
    """Takes posts at ``/v1/posts`` and hands each to ``then``. ``answer`` is a status and a problem's detail instead."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: tuple[int, str] | None = None
        self.then: Callable[[dict[str, Any]], Awaitable[object]] | None = None
        self.address = ""
        self._tasks: set[asyncio.Task[object]] = set()

    async def take(self, request: web.Request) -> web.Response:
        """One post."""
        self.headers.append(dict(request.headers))
        if self.answer is not None:
            status, detail = self.answer
            return web.json_response({"title": "No", "status": status, "detail": detail}, status=status)
        post = json.loads(await request.read())
        self.posts.append(post)
        if self.then is not None:
            task = asyncio.ensure_future(self.then(post))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return web.json_response({"accepted": 1}, status=202)

    def door(self, **options: Any) -> Door:
        """The inbox's client of it."""
        return Door(self.address, **options)


@asynccontextmanager
async def a_way() -> AsyncIterator[Way]:
    """It on a free port."""
    way = Way()
    app = web.Application()
    app.router.add_post("/v1/posts", way.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    way.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield way
    finally:
        await runner.cleanup()


class Told:
    """An insight that is told what to say: the triage of a post, routed by ``routes``, or the shipped ones."""

    def __init__(self, routes: Path | None = None) -> None:
        self.expected = 0
        self.explanations: dict[str, Explanation] = {}
        self.away = ""
        self._verdicts: dict[str, Verdict] = {}
        self._table = RouteTable.load(routes, QUEUES)

    def expect(self) -> None:
        """Count it."""
        self.expected += 1

    def verdict(self, post_id: str) -> Verdict | None:
        """What was told."""
        return self._verdicts.get(post_id)

    async def explain(self, post_id: str) -> Explanation:
        """What was told; nothing is found of other posts."""
        if self.away:
            raise Unavailable(self.away)
        nothing = Explanation(post_id=post_id, at=datetime.now(UTC), found=False, summary="Nothing holds it.")
        return self.explanations.get(post_id, nothing)

    async def tell(self, post: dict[str, Any], **labels: Any) -> None:
        """This triage was read."""
        fields = {"intent": "other", "confidence": 0.9, "triaged_at": datetime.now(UTC), **labels}
        triage = Triage.model_validate({"post": Post.model_validate(post), **fields})
        self._verdicts[triage.post.id] = Verdict(triage, routed(self._table, triage))

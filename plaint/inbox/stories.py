"""The story of any post, read from Kafka when somebody asks for it."""

from collections.abc import Iterable

from aiohttp import web

from plaint.inbox.answers import json_answer, problem
from plaint.inbox.cards import visible
from plaint.inbox.insight import Insight
from plaint.inbox.story import story
from plaint.inbox.templating import Templates
from schemas.faults import FaultsFound, Unavailable


class Stories:
    """Handlers of stories, as a page and for the script of other pages."""

    def __init__(self, templates: Templates, insight: Insight) -> None:
        self._templates = templates
        self._insight = insight

    def routes(self) -> Iterable[web.RouteDef]:
        """All addresses."""
        yield web.get("/posts/{id}/story", self.page)
        yield web.get("/api/stories/{id}", self.story)

    async def page(self, request: web.Request) -> web.Response:
        """The whole story of one post."""
        try:
            told = await self._insight.explain(request.match_info["id"])
        except (Unavailable, FaultsFound) as error:
            return self._templates.missing(visible(str(error)), 503)
        if not told.found:
            return self._templates.missing(visible(told.summary))
        text = next((post.text for post in reversed(told.posts) if post.text), "")
        return self._templates.page("told.html", story=story(told), text=text)

    async def story(self, request: web.Request) -> web.Response:
        """The same as strings that are ready to be shown."""
        try:
            return json_answer(story(await self._insight.explain(request.match_info["id"])))
        except (Unavailable, FaultsFound) as error:
            return problem(503, visible(str(error)))

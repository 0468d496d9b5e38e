"""The form: somebody types a post and sees what becomes of it. It goes to the HTTP door and takes the whole way.

There is no log-in and so no session that another site could ride on; still, a page on the web must not be able to have
its visitor's browser type here. The token in the form is one that only our pages show, which other sites can't read, and
the browser's own word on where a request comes from must not contradict.
"""

import hmac
import time
import uuid
from collections.abc import Iterable

from aiohttp import web

from classify.text import is_blank
from plaint.inbox.answers import json_answer, problem
from plaint.inbox.door import Door, DoorClosed
from plaint.inbox.insight import Insight
from plaint.inbox.outcome import TYPED, Typed, TypedPosts, outcome, post_page, tickets_here
from plaint.inbox.store import Store
from plaint.inbox.templating import Templates

MAX_CHARS = 5_000
NETWORK = "inbox"


class FormRefused(Exception):
    """What was typed is not sent; the text says why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def form_token(key: bytes) -> str:
    """The token of this inbox's form: the same after a restart, of no use as a signature."""
    return hmac.digest(key, b"the form of the inbox", "sha256").hex()


class Trial:
    """Handlers of the form and of the posts that came in by it."""

    def __init__(
        self, store: Store, templates: Templates, token: str, door: Door | None, insight: Insight | None
    ) -> None:
        self._store = store
        self._templates = templates
        self._token = token
        self._door = door
        self._insight = insight
        self._typed = TypedPosts()

    def routes(self) -> Iterable[web.RouteDef]:
        """All addresses; without a door there is no form."""
        yield web.get("/posts/{id}", self.post)
        yield web.get("/api/posts/{id}", self.outcome)
        if self._door is not None:
            yield web.get("/try", self.form)
            yield web.post("/posts", self.send)

    async def form(self, request: web.Request) -> web.Response:
        """The form alone, for browsers without script."""
        self.expect()
        return self._templates.page("try.html", typed="", trouble="")

    def expect(self) -> None:
        """The form is being shown to somebody."""
        if self._door is not None and self._insight is not None:
            self._insight.expect()

    async def send(self, request: web.Request) -> web.Response:
        """Send what was typed: to its page, or to whoever asks for JSON its address."""
        wants_json = "application/json" in request.headers.get("Accept", "")
        text = ""
        try:
            fields = await request.post()
            self._check_origin(request, str(fields.get("token", "")))
            text = _text_of(str(fields.get("text", "")))
            typed = await self._send(text)
        except (FormRefused, DoorClosed) as refusal:
            if wants_json:
                return problem(refusal.status, str(refusal))
            return self._templates.page("try.html", refusal.status, typed=text, trouble=str(refusal))
        page = post_page(typed.id)
        if wants_json:
            return json_answer({"id": typed.id, "page": page}, status=202)
        return web.Response(status=303, headers={"Location": page})

    async def post(self, request: web.Request) -> web.Response:
        """What became of a post that was typed here."""
        typed = self._typed.get(request.match_info["id"])
        if typed is None:
            return self._templates.missing("No post of this id was typed here.")
        return self._templates.page("post.html", typed=typed, outcome=self._outcome(typed))

    async def outcome(self, request: web.Request) -> web.Response:
        """The same for the page's script."""
        typed = self._typed.get(request.match_info["id"])
        if typed is None:
            return problem(404, "no post of this id was typed here")
        return json_answer(self._outcome(typed))

    async def _send(self, text: str) -> Typed:
        assert self._door is not None, "there would be no form"
        self.expect()
        typed = Typed(f"{TYPED}{uuid.uuid4().hex}", text, time.time())
        self._typed.add(typed)
        await self._door.send({"id": typed.id, "text": text, "network": NETWORK, "author": {"handle": "you"}})
        return typed

    def _outcome(self, typed: Typed) -> object:
        verdict = self._insight.verdict(typed.id) if self._insight is not None else None
        return outcome(typed, tickets_here(self._store, typed.id), verdict, self._store.queues)

    def _check_origin(self, request: web.Request, token: str) -> None:
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        origin = request.headers.get("Origin", "null")  # what browsers say where the referrer policy is no-referrer
        foreign = origin != "null" and origin.partition("://")[2] != request.headers.get("Host")
        if foreign or site != "same-origin":
            raise FormRefused(403, "The form was sent from another site.")
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            raise FormRefused(403, "The form is too old: load this page again.")


def _text_of(typed: str) -> str:
    text = typed.replace("\r\n", "\n").strip()
    if is_blank(text):
        raise FormRefused(400, "Type something first.")
    if len(text) > MAX_CHARS:
        raise FormRefused(413, f"That is too long: {len(text):,} characters are over {MAX_CHARS:,}.")
    return text

"""The inbox for people: the tickets by queue, and one ticket's whole life. Works without its script."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiohttp import web

from plaint.inbox.cards import Card, card, ticket_of
from plaint.inbox.hooks import Hooks
from plaint.inbox.paging import BadQuery, Wanted, page_of, wanted
from plaint.inbox.store import QueueCounts, Store
from plaint.inbox.templating import FOLDER, Templates
from schemas.ticket import DESTINATION_ID

CARDS_A_QUEUE = 30
STATIC = {"inbox.css": "text/css", "inbox.js": "text/javascript", "icon.svg": "image/svg+xml"}


@dataclass(frozen=True)
class Column:
    """One queue as the page shows it. ``older`` is the address of what comes after the cards, if anything does."""

    name: str
    counts: QueueCounts
    cards: list[Card]
    older: str


class Pages:
    """Handlers of the pages and of the three files that they load."""

    def __init__(self, store: Store, hooks: Hooks, templates: Templates, shown: Callable[[], None]) -> None:
        """``shown`` is called whenever the board, and with it the form, is shown to somebody."""
        self._store = store
        self._hooks = hooks
        self._templates = templates
        self._shown = shown
        self._static = {name: (FOLDER / "static" / name).read_bytes() for name in STATIC}

    def routes(self) -> Iterable[web.RouteDef]:
        """All addresses."""
        yield web.get("/", self.board)
        yield web.get(f"/queues/{{queue:{DESTINATION_ID}}}", self.queue)
        yield web.get("/tickets/{key}", self.ticket)
        yield web.get("/static/{name}", self.static)

    async def board(self, request: web.Request) -> web.Response:
        """The newest tickets of every queue."""
        self._shown()
        newest = Wanted(limit=CARDS_A_QUEUE)
        columns = [self._column(name, newest) for name in self._store.queues]
        return self._board(columns, newest.limit, single=False, live=True)

    async def queue(self, request: web.Request) -> web.Response:
        """All tickets of one queue, a page of them at a time; the newest page is live."""
        name = request.match_info["queue"]
        if name not in self._store.queues:
            return self._templates.missing("There is no such queue.")
        try:
            page = wanted(request.query)
        except BadQuery as error:
            return self._templates.missing(f"The address is wrong: {error}.", 400)
        columns = [self._column(name, page)]
        return self._board(columns, page.limit, single=True, live=page.after is None)

    async def ticket(self, request: web.Request) -> web.Response:
        """One ticket: what it says, why it is here, and every webhook that spoke of it."""
        held = self._store.tickets.get(request.match_info["key"])
        if held is None:
            return self._templates.missing("There is no ticket of this key.")
        found = ticket_of(held)
        ticket = None if isinstance(found, str) else found
        return self._templates.page("ticket.html", held=held, card=card(held), ticket=ticket)

    async def static(self, request: web.Request) -> web.Response:
        """Style, script and icon."""
        name = request.match_info["name"]
        if name not in self._static:
            return self._templates.missing("There is no such file.")
        return web.Response(body=self._static[name], content_type=STATIC[name], charset="utf-8")

    def _column(self, name: str, page: Wanted) -> Column:
        found, after = page_of(self._store, name, page)
        older = "" if after is None else f"/queues/{name}?after={after}"
        return Column(name, self._store.queues[name].counts, [card(held) for held in found], older)

    def _board(self, columns: list[Column], limit: int, *, single: bool, live: bool) -> web.Response:
        """``single``: the page of one queue. The board stays one with a single queue, since more may come."""
        refused = sum(self._hooks.refused.values())
        return self._templates.page(
            "board.html", columns=columns, limit=limit, single=single, live=live, refused=refused
        )

"""What became of a post that somebody typed here: its ticket, or why there is none, in words that are ready to be shown."""

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from plaint.inbox.cards import Card, card, parts_of, ticket_of, visible
from plaint.inbox.store import HeldTicket, Store
from route.trial import Routed
from schemas.labels import URGENCY_WORDS
from schemas.ticket import Ticket, ticket_key
from schemas.triage import Triage

LATE_S = 10.0
"""A post without an outcome after so many seconds is held up somewhere."""
MAX_TYPED = 500
TYPED = "typed:"
"""What the ids of these posts begin with."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A post that was typed here; ``at`` in seconds since the epoch."""

    id: str
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What classify said of a post, and what the routes make of it."""

    triage: Triage
    routed: Routed


class TypedPosts:
    """The newest posts that were typed here; older ones are forgotten."""

    def __init__(self) -> None:
        self._posts: OrderedDict[str, Typed] = OrderedDict()

    def add(self, post: Typed) -> None:
        """Remember ``post``."""
        self._posts[post.id] = post
        if len(self._posts) > MAX_TYPED:
            self._posts.popitem(last=False)

    def get(self, post_id: str) -> Typed | None:
        """The post of this id, if it was typed here and isn't too old."""
        return self._posts.get(post_id)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a post is. ``state``: ``waiting`` (there is more to come) or ``settled``; an empty string is not shown."""

    post: str
    page: str
    state: str
    headline: str
    took: str = ""
    label: str = ""
    urgency: str = ""
    rule: str = ""
    note: str = ""
    tickets: tuple[Card, ...] = ()


EMPTY_OUTCOME = Outcome(post="", page="", state="", headline="")
"""What the page's script copies and fills."""


def post_page(post_id: str) -> str:
    """The address of a post's page."""
    return f"/posts/{quote(post_id, safe='')}"


def tickets_here(store: Store, post_id: str) -> list[HeldTicket]:
    """The tickets of this post that came to this inbox."""
    found = (store.tickets.get(ticket_key(post_id, queue)) for queue in store.queues)
    return [held for held in found if held is not None]


def outcome(typed: Typed, held: Sequence[HeldTicket], verdict: Verdict | None, here: Iterable[str]) -> Outcome:
    """Where ``typed`` is by what is known: its tickets ``held`` by this inbox, and its ``verdict`` if it can be had.

    ``here`` are the queues of this inbox: what goes elsewhere isn't waited for.
    """
    page = post_page(typed.id)
    if held:
        return _delivered(typed, held, verdict, set(here))
    if verdict is None:
        note = _late(typed)
        return Outcome(typed.id, page, "waiting", "Under way: nothing has come of it yet", note=note)
    elsewhere = [name for name in verdict.routed.destinations if name not in set(here)]
    if not verdict.routed.destinations:
        state, headline, note = "settled", f"{_kind(verdict.triage)}: no ticket", ""
    elif len(elsewhere) == len(verdict.routed.destinations):
        state, headline, note = (
            "settled",
            f"{_kind(verdict.triage)}: goes to {_names(elsewhere)}, not to this inbox",
            "",
        )
    else:
        state, headline = "waiting", f"{_kind(verdict.triage)}: under way to {_names(verdict.routed.destinations)}"
        note = _late(typed)
    return _explained(Outcome(typed.id, page, state, headline, note=note), verdict.triage, verdict.routed)


def _delivered(typed: Typed, held: Sequence[HeldTicket], verdict: Verdict | None, here: set[str]) -> Outcome:
    missing = set(verdict.routed.destinations) & here - {ticket.queue for ticket in held} if verdict else set()
    tickets = " and ".join(f"ticket #{ticket.number} in the {ticket.queue} queue" for ticket in held)
    newest = ticket_of(held[0])
    kind = f"{_kind(newest)}: " if isinstance(newest, Ticket) else ""
    seconds = held[0].arrived_at - typed.at
    found = Outcome(
        post=typed.id,
        page=post_page(typed.id),
        state="waiting" if missing and not _late(typed) else "settled",
        headline=f"{kind}{tickets}",
        took=f"{seconds:.2f} s after it was sent" if 0 <= seconds < 3600 else "",
        tickets=tuple(card(ticket) for ticket in held),
    )
    return _explained(found, newest, newest) if isinstance(newest, Ticket) else found


def _explained(found: Outcome, said: Triage | Ticket, why: Routed | Ticket) -> Outcome:
    """With a ticket, its card tells the urgency."""
    parts = parts_of(said.urgency_parts)
    urgency = f"{URGENCY_WORDS[said.urgency]} urgency{f' = {parts}' if parts else ''}"
    rule = ": ".join(filter(None, (f"rule {why.rule}" if why.rule else "", why.why)))
    silenced = f"silenced {why.silenced}" if isinstance(why, Routed) and why.silenced else ""
    return replace(
        found,
        label=f"{said.intent}, confidence {said.confidence:.2f}" if said.intent else "",
        urgency="" if found.tickets else urgency,
        rule=visible(silenced or rule),
    )


def _kind(said: Triage | Ticket) -> str:
    intent = said.intent.capitalize() if said.intent else "Post"
    return f"{intent}, urgent" if said.urgent else intent


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)


def _late(typed: Typed) -> str:
    seconds = time.time() - typed.at
    return (
        ""
        if seconds < LATE_S
        else f"It takes {seconds:.0f} s by now: `plaint explain {typed.id}` tells what holds it up."
    )

"""From a triage to the tickets that come of it: pure, and the same for the same triage and routes."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import to_json

from route.rule import Match
from route.rules import RouteTable
from schemas.post import Post
from schemas.reasons import DropReason
from schemas.ticket import Op, Priority, Ticket, ticket_key
from schemas.triage import Triage

MAX_TICKET_BYTES = 18_000
"""A ticket as JSON, so that the body which a destination makes of it stays under 20 kB (Standard Webhooks)."""
MAX_TEXT_BYTES = 8_000
_MAX_NAME_CHARS = 100
_MAX_BRANDS = 10

_BY_URGENCY: tuple[Priority, ...] = ("low", "low", "normal", "high", "urgent")


def tickets_for(triage: Triage, table: RouteTable, is_later: bool = False) -> tuple[list[Ticket], DropReason | None]:
    """The tickets of one revision of a post, or none and the reason. ``is_later``: an earlier one is known to have passed.

    A create gives one ticket at each destination of the rules that take it; where two rules send it to the same one, the
    first of them says what stands in the ticket. An edit, and a create that is later, gives an update there and a withdraw
    everywhere else, since only delivery knows where an earlier revision went. A delete gives a withdraw everywhere. A
    silenced post gives nothing: an edit of it leaves what was delivered before as it is.
    """
    post = triage.post
    if post.event == "delete":
        withdrawn = [_withdraw(post, destination) for destination in table.destinations]
        return withdrawn, None if withdrawn else DropReason.NOTHING_TO_WITHDRAW
    if table.silences and table.silence(triage) is not None:
        return [], DropReason.SILENCED
    is_first = post.event == "create" and not is_later
    op: Op = "create" if is_first else "update"
    matches = table.route(triage)
    if len(matches) > 1:
        tickets = _of_rules(triage, matches, op)
    else:
        (match,) = matches
        tickets = _of_rule(triage, match, op) if match.destinations else []
    if not is_first:
        asked = {ticket.destination for ticket in tickets}
        tickets += [_withdraw(post, other) for other in table.destinations if other not in asked]
    return tickets, None if tickets else DropReason.UNROUTED


def priority_of(triage: Triage) -> Priority:
    """The priority where the rule sets none: that of the urgency, and at least high if the post was judged urgent."""
    priority = _BY_URGENCY[triage.urgency]
    return "high" if triage.urgent and priority in ("low", "normal") else priority


def _withdraw(post: Post, destination: str) -> Ticket:
    key = ticket_key(post.id, destination)
    return Ticket(key=key, op="withdraw", revision=post.revision, destination=destination, post_id=post.id)


def _of_rules(triage: Triage, matches: Sequence[Match], op: Op) -> list[Ticket]:
    """One ticket a destination, of the first rule that sends the post there."""
    tickets: list[Ticket] = []
    asked: set[str] = set()
    for match in matches:
        fresh = tuple(destination for destination in match.destinations if destination not in asked)
        asked.update(fresh)
        if fresh:
            tickets += _of_rule(triage, replace(match, destinations=fresh), op)
    return tickets


def _of_rule(triage: Triage, match: Match, op: Op) -> list[Ticket]:
    shared = _shared(triage, match, op)
    text = cut(triage.post.text, MAX_TEXT_BYTES)
    tickets = [
        Ticket(key=ticket_key(triage.post.id, destination), destination=destination, text=text, **shared)
        for destination in match.destinations
    ]
    over = max(len(ticket.to_bytes()) for ticket in tickets) - MAX_TICKET_BYTES
    if over <= 0:
        return tickets
    text = cut(triage.post.text, _json_bytes(text) - over)
    return [ticket.model_copy(update={"text": text}) for ticket in tickets]


def _shared(triage: Triage, match: Match, op: Op) -> dict[str, Any]:
    """What the tickets of one post have in common, but the text. Names are cut; ids are not, a cut id is another id."""
    post, url = triage.post, plain_url(triage.post.url)
    author = post.author
    if len(author.handle) > _MAX_NAME_CHARS:
        author = author.model_copy(update={"handle": author.handle[:_MAX_NAME_CHARS]})
    return {
        "op": op,
        "revision": post.revision,
        "post_id": post.id,
        "rule": match.rule,
        "why": match.why,
        "team": match.team,
        "priority": match.priority or priority_of(triage),
        "labels": match.labels,
        "network": post.network[:_MAX_NAME_CHARS],
        "source": post.source[:_MAX_NAME_CHARS],
        "author": author,
        "brands": tuple(brand[:_MAX_NAME_CHARS] for brand in post.brands[:_MAX_BRANDS]),
        "language": triage.language[:_MAX_NAME_CHARS],
        "url": url,
        "reply_url": url,
        "intent": triage.intent,
        "confidence": triage.confidence,
        "sentiment": triage.sentiment,
        "urgency": triage.urgency,
        "urgent": triage.urgent,
        "urgency_parts": triage.urgency_parts,
        "created_at": post.created_at,
        "received_at": post.received_at,
        "triaged_at": triage.triaged_at,
    }


def plain_url(url: str) -> str:
    """``url`` if it is a plain web address in printable ASCII without a user in it, else ``""``.

    It comes with the post, so it may be ``javascript:``, carry control characters or dress up as another host
    (``https://bank.example@evil.example``); people click on it in the ticket.
    """
    if not url or not (url.isascii() and url.isprintable()) or any(char in url for char in " \"'<>\\^`{|}"):
        return ""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        return ""
    return url if parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc else ""


def cut(text: str, room: int) -> str:
    """``text`` if its JSON takes at most ``room`` bytes, else as much of its beginning as does, with an ellipsis."""
    if _json_bytes(text) <= room:
        return text
    ends = accumulate(_json_bytes(char) for char in text[:room])
    kept = sum(end <= room - len("…".encode()) for end in ends)
    return f"{text[:kept]}…"


def _json_bytes(text: str) -> int:
    """What ``text`` takes as JSON, without its quotes."""
    return len(to_json(text)) - 2

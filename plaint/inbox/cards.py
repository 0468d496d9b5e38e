"""A ticket as people see it: every string ready to be shown as text, in the page and to its script alike."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from pydantic import ValidationError

from plaint.inbox.message import Message
from plaint.inbox.store import HeldTicket
from schemas.labels import URGENCY_WORDS
from schemas.post import Moment
from schemas.record import faults
from schemas.ticket import Ticket
from schemas.triage import UrgencyPart

MAX_CARD_CHARS = 600

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029\ufff9-\ufffb\U000e0000-\U000e007f]")


@dataclass(frozen=True, slots=True)
class Card:
    """The short view of a ticket. ``version`` changes whenever anything of it does; an empty string is not shown."""

    key: str
    version: str
    number: str
    page: str
    text: str
    priority: str = ""
    withdrawn: str = ""
    intent: str = ""
    urgency: str = ""
    parts: str = ""
    network: str = ""
    author: str = ""
    team: str = ""
    rule: str = ""
    why: str = ""
    at: str = ""
    arrived: str = ""
    latency: str = ""
    repeats: str = ""
    link: str = ""


EMPTY_CARD = Card(key="", version="", number="", page="", text="")
"""What the page's script copies and fills."""


def card(held: HeldTicket) -> Card:
    """The card of ``held``; one without text says why there is none."""
    repeats = held.requests - len(held.receipts)
    bare = {
        "key": held.key,
        "version": f"{held.requests}.{len(held.receipts)}.{held.body is None}",
        "number": f"#{held.number}",
        "page": f"/tickets/{held.key}",
        "at": datetime.fromtimestamp(held.arrived_at, UTC).isoformat(timespec="milliseconds"),
        "arrived": f"{datetime.fromtimestamp(held.arrived_at, UTC):%-d %b %H:%M:%S} UTC",
        "withdrawn": "withdrawn" if held.withdrawn else "",
        "repeats": f"{repeats} repeated request{'s' * (repeats > 1)}" if repeats else "",
    }
    ticket = ticket_of(held)
    if isinstance(ticket, str):
        return Card(**bare, text=ticket)
    return Card(
        **bare,
        text=visible(shortened(ticket.text)),
        priority=ticket.priority,
        intent=ticket.intent or "",
        urgency=f"{URGENCY_WORDS[ticket.urgency]} urgency",
        parts=parts_of(ticket.urgency_parts),
        network=visible(ticket.network),
        author=visible(ticket.author.handle),
        team=visible(ticket.team),
        rule=visible(ticket.rule),
        why=visible(ticket.why),
        latency=latency(ticket.received_at, held.updated_at),
        link=web_link(ticket.url),
    )


def ticket_of(held: HeldTicket) -> Ticket | str:
    """The newest revision of ``held``, or a sentence that says why there is none to show."""
    if held.body is None:
        return "Withdrawn; its text is gone." if held.withdrawn else "Its text is no longer held."
    try:
        return Message.model_validate_json(held.body).data
    except ValidationError as error:
        return f"It can't be read as a ticket. {faults(error)}"


def parts_of(parts: Iterable[UrgencyPart]) -> str:
    """The parts of an urgency in one line: ``model 2.4 + repeated contact 0.6``."""
    return visible(" + ".join(f"{part.name} {part.points:.1f}" for part in parts))


def visible(text: str) -> str:
    """``text`` with each control, bidi override and other unseen steering character replaced by a sign that is seen.

    Bidi marks and isolates stay: right-to-left writing needs them, and the page isolates each text.
    """
    return _UNSEEN.sub(_sign, text)


def _sign(match: re.Match[str]) -> str:
    code = ord(match.group())
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


def shortened(text: str) -> str:
    """The beginning of a long text."""
    return text if len(text) <= MAX_CARD_CHARS else text[:MAX_CARD_CHARS].rstrip() + " …"


def web_link(url: str) -> str:
    """``url`` if it is a plain http(s) address, else nothing: anything else isn't for clicking."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    plain = parts.scheme in ("http", "https") and parts.hostname and not parts.username and not _UNSEEN.search(url)
    return url if plain and url.isprintable() else ""


def clock(at: float) -> str:
    """``at`` (seconds since the epoch) as date and time in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def latency(received: Moment | None, arrived_at: float) -> str:
    """The way from the post's receipt to its ticket's arrival: ``in 0.42 s``, ``in 3 min``."""
    if received is None:
        return ""
    seconds = arrived_at - received.timestamp()
    if seconds < 0:
        return ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"in {seconds / size:.0f} {unit}"
    return f"in {seconds:.2f} s" if seconds < 10 else f"in {seconds:.0f} s"

"""The body of a webhook: ``{"type","timestamp","data"}`` as Standard Webhooks 1.0.0 lays it out, data being the ticket."""

import re
from datetime import UTC, datetime
from typing import Any

import orjson

from route.destinations.base import Parcel

MAX_BODY_BYTES = 20_000
"""Receivers may count on it (Standard Webhooks)."""

_TYPES = {"create": "ticket.created", "update": "ticket.updated", "withdraw": "ticket.withdrawn"}
URGENT = "complaint.urgent"
"""Type of the create of an urgent ticket."""
_IS_URGENT = re.compile(rb'"urgent"\s*:\s*true')
_TRIAGED_AT = re.compile(rb'"triaged_at"\s*:\s*"([^"]*)"')
"""Looked for in the JSON as it stands, which is exact: within a text each quote is escaped, so neither can stand there, and
no other object in a ticket has such a key. Parsing every ticket only for these two would cost more than signing it."""
_KEPT = {"v", "key", "op", "revision", "destination", "post_id"}
"""What a receiver can't do without; all of it together is short."""


def webhook_body(parcel: Parcel, now: float) -> bytes:
    """The body for ``parcel``; the same for every try if the ticket has a time of triage, else ``now`` stands there.

    A ticket that would not fit is cut, and ``data.cut`` lists the fields that lost something.
    """
    kind = URGENT if parcel.op == "create" and _IS_URGENT.search(parcel.body) else _TYPES[parcel.op]
    moment = _triaged_at(parcel.body) or datetime.fromtimestamp(now, UTC).isoformat()
    head = b'{"type":"%b","timestamp":"%b"' % (kind.encode(), moment.encode())
    room = MAX_BODY_BYTES - len(head) - len(b',"data":}')
    data = parcel.body if len(parcel.body) <= room else _cut(orjson.loads(parcel.body), room)
    return b'%b,"data":%b}' % (head, data)


def _triaged_at(body: bytes) -> str:
    found = _TRIAGED_AT.search(body)
    return found[1].decode() if found else ""


def _cut(fields: dict[str, Any], room: int) -> bytes:
    """The longest fields lose first, and no more than they must."""
    sizes = {name: len(orjson.dumps(value)) for name, value in fields.items() if name not in _KEPT and value}
    lost: list[str] = []
    fields["cut"] = lost
    for name in sorted(sizes, key=lambda name: sizes[name], reverse=True):
        over = len(orjson.dumps(fields)) - room
        if over <= 0:
            break
        lost.append(name)
        value = fields[name]
        longer = len(orjson.dumps(name)) + 1  # what naming it costs
        fields[name] = _shorter(value, over + longer) if isinstance(value, str) else type(value)()
    return orjson.dumps(fields)


def _shorter(text: str, over: int) -> str:
    """The beginning of ``text``, whose JSON is at least ``over`` bytes shorter; empty if it has not that many."""
    keep = len(orjson.dumps(text)) - over - len("…".encode())
    if keep <= 2:
        return ""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if len(orjson.dumps(text[:middle])) <= keep:
            low = middle
        else:
            high = middle - 1
    return text[:low] + "…"

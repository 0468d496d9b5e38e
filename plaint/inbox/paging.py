"""Which tickets an address asks for: newest first, a page at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from plaint.inbox.store import HeldTicket, Store

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000


class BadQuery(Exception):
    """A parameter of the address is wrong; the text says which."""


@dataclass(frozen=True)
class Wanted:
    """At most ``limit`` tickets, those below the number ``after`` (the last one that the caller has) if it is given."""

    limit: int = DEFAULT_LIMIT
    after: int | None = None


def wanted(query: Mapping[str, str]) -> Wanted:
    """``?limit=&after=`` of an address. Raises BadQuery."""
    limit = _number(query, "limit") or DEFAULT_LIMIT
    if limit > MAX_LIMIT:
        raise BadQuery(f"limit is over {MAX_LIMIT}")
    return Wanted(limit, _number(query, "after"))


def page_of(store: Store, queue: str | None, page: Wanted) -> tuple[list[HeldTicket], int | None]:
    """The tickets wanted of ``queue`` (of all without it), and the ``after`` of the next page if there is one."""
    found = list(islice(store.newest(queue, page.after), page.limit + 1))
    return found[: page.limit], found[page.limit - 1].number if len(found) > page.limit else None


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise BadQuery(f"{name} is no whole number")
    return int(text)

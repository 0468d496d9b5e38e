"""The inbox as JSON: tickets, statistics, the receipts of every webhook id, and the faults of a test receiver."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from secrets import token_hex

import orjson
from aiohttp import web
from pydantic import ValidationError
from pydantic_core import from_json

from plaint.inbox.answers import json_answer, problem
from plaint.inbox.cards import card, clock
from plaint.inbox.faults import Chance, Faults
from plaint.inbox.hooks import Hooks
from plaint.inbox.paging import BadQuery, page_of, wanted
from plaint.inbox.store import HeldTicket, Receipt, Store
from schemas.record import faults as faults_of


class Api:
    """Handlers under ``/api/``. ``may_fail`` makes ``/api/faults`` exist."""

    def __init__(self, store: Store, hooks: Hooks, may_fail: bool) -> None:
        self._store = store
        self._hooks = hooks
        self._may_fail = may_fail
        self._run = token_hex(8)

    def routes(self) -> Iterable[web.RouteDef]:
        """All addresses."""
        yield web.get("/api/tickets", self.tickets)
        yield web.get("/api/tickets/{key}", self.ticket)
        yield web.get("/api/cards", self.cards)
        yield web.get("/api/cards/{key}", self.card)
        yield web.get("/api/stats", self.stats)
        yield web.get("/api/receipts", self.receipts)
        if self._may_fail:
            yield web.get("/api/faults", self.faults)
            yield web.post("/api/faults", self.change_faults)

    async def tickets(self, request: web.Request) -> web.Response:
        """``?queue=&limit=&after=``: newest first; ``after`` is the number of the last ticket that the caller has."""
        try:
            found, after = page_of(self._store, request.query.get("queue") or None, wanted(request.query))
        except BadQuery as error:
            return problem(400, str(error))
        return json_answer({"tickets": [_summary(held) for held in found], "after": after})

    async def cards(self, request: web.Request) -> web.Response:
        """The same page of tickets as the strings that people see, for the page's script."""
        try:
            found, after = page_of(self._store, request.query.get("queue") or None, wanted(request.query))
        except BadQuery as error:
            return problem(400, str(error))
        return json_answer({"cards": [card(held) for held in found], "after": after})

    async def card(self, request: web.Request) -> web.Response:
        """One ticket's card."""
        held = self._store.tickets.get(request.match_info["key"])
        return problem(404, "there is no ticket of this key") if held is None else json_answer(card(held))

    async def ticket(self, request: web.Request) -> web.Response:
        """One ticket with the receipt of each of its webhooks."""
        held = self._store.tickets.get(request.match_info["key"])
        if held is None:
            return problem(404, "there is no ticket of this key")
        return json_answer({**_summary(held), "receipts": [receipt_fields(receipt) for receipt in held.receipts]})

    async def stats(self, request: web.Request) -> web.Response:
        """All counts: over everything, by queue, by reason of refusal, by kind of failure. ``run`` is new with each start."""
        queues = {name: asdict(queue.counts) for name, queue in self._store.queues.items()}
        totals: dict[str, int] = {}
        for counts in queues.values():
            for name, count in counts.items():
                totals[name] = totals.get(name, 0) + count
        refused = {reason.value: count for reason, count in self._hooks.refused.items()}
        totals["requests"] = totals.get("requests", 0) + sum(refused.values())
        found = {**totals, "refused": refused, "failed": dict(self._hooks.failed), "queues": queues, "run": self._run}
        return json_answer(found)

    async def receipts(self, request: web.Request) -> web.StreamResponse:
        """Every webhook id that was taken, as JSON Lines, oldest first."""
        answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await answer.prepare(request)
        with suppress(ConnectionResetError):  # whoever asked has seen enough
            for lines in _lines(list(self._store.receipts.values())):
                await answer.write(lines)
            await answer.write_eof()
        return answer

    async def faults(self, request: web.Request) -> web.Response:
        """The rules in force."""
        return json_answer(self._hooks.chance.faults.to_json())

    async def change_faults(self, request: web.Request) -> web.Response:
        """Put other rules in force; requests that hang or wait already go on as they are."""
        if request.content_type != "application/json":
            return problem(415, "the rules must come as application/json")
        try:
            faults = Faults.model_validate_json(await request.read())
        except ValidationError as error:
            return problem(400, faults_of(error))
        self._hooks.chance = Chance(faults)
        return json_answer(faults.to_json())


def _lines(receipts: list[Receipt], chunk: int = 1_000) -> Iterator[bytes]:
    for start in range(0, len(receipts), chunk):
        part = receipts[start : start + chunk]
        yield b"".join(orjson.dumps(receipt_fields(receipt), option=orjson.OPT_APPEND_NEWLINE) for receipt in part)


def receipt_fields(receipt: Receipt) -> dict[str, object]:
    """A receipt in JSON; times in UTC and, to calculate with, in seconds since the epoch."""
    return {
        "id": receipt.webhook_id,
        "queue": receipt.ticket.queue,
        "key": receipt.ticket.key,
        "op": receipt.op,
        "revision": receipt.revision,
        "outcome": receipt.outcome,
        "requests": receipt.requests,
        "answers": receipt.answers,
        "first_at": receipt.first_at,
        "taken_at": receipt.taken_at,
        "repeated_at": receipt.repeated_at,
    }


def _summary(held: HeldTicket) -> dict[str, object]:
    """``ticket`` is what was sent, read by the parser that let it in."""
    return {
        "number": held.number,
        "key": held.key,
        "queue": held.queue,
        "revision": held.revision,
        "withdrawn": held.withdrawn,
        "requests": held.requests,
        "arrived_at": held.arrived_at,
        "updated_at": held.updated_at,
        "arrived": clock(held.arrived_at),
        "ticket": None if held.body is None else from_json(held.body)["data"],
    }

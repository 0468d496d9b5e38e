"""The door for webhooks: checks the signature, meets the faults, takes the ticket, answers its number and page."""

import asyncio
import time
from collections import Counter
from enum import StrEnum

from aiohttp import web
from pydantic import ValidationError

from plaint.inbox.answers import json_answer, problem
from plaint.inbox.faults import Answer, Chance, Drop, Failure, Faults, Wait
from plaint.inbox.message import TEST_BEGINS, Envelope, Head
from plaint.inbox.signature import SignatureInvalid, verify
from plaint.inbox.store import Outcome, Receipt, Store
from schemas.record import faults as faults_of

MAX_BODY_BYTES = 64 * 1024


class Refusal(StrEnum):
    """Why a request was refused before anything was taken: the heading in the statistics."""

    TOO_LARGE = "too_large"
    SIGNATURE = "signature"
    INVALID_JSON = "invalid_json"
    INVALID_TICKET = "invalid_ticket"


class Refused(Exception):
    """The request is refused; ``detail`` is for its sender."""

    def __init__(self, reason: Refusal, status: int, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.status = status
        self.detail = detail


class Hooks:
    """Handles ``POST /hooks/{queue}``. ``closing`` is set when the server ends; requests that hang end with it."""

    def __init__(self, key: bytes, store: Store, faults: Faults, closing: asyncio.Event) -> None:
        self.chance = Chance(faults)
        self.refused: Counter[Refusal] = Counter(dict.fromkeys(Refusal, 0))
        self.failed: Counter[str] = Counter({"answer": 0, "drop": 0, "hang": 0})
        self.base_url = ""
        self._key = key
        self._store = store
        self._closing = closing

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Take one webhook, or say why not."""
        queue = request.match_info["queue"]
        try:
            webhook_id, body = await self._read(request)
            if body.startswith(TEST_BEGINS):  # its signature was right, and that is all it asks
                return json_answer({"test": True})
            ticket = _head(body)
        except Refused as refused:
            self.refused[refused.reason] += 1
            return problem(refused.status, refused.detail)
        self._store.begin(queue, webhook_id, time.time())
        failure = await self._wait(queue)
        if failure is not None and not failure.taken:
            return await self._fail(request, failure)
        receipt = self._store.take(queue, webhook_id, ticket.key, ticket.op, ticket.revision, time.time(), body)
        if not _succeeds(failure) or _line_is_dead(request):
            self._store.not_answered(receipt)
        return self._answer(receipt) if failure is None else await self._fail(request, failure)

    async def _read(self, request: web.Request) -> tuple[str, bytes]:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Refused(Refusal.TOO_LARGE, 413, f"the body is over {MAX_BODY_BYTES} bytes") from None
        try:
            return verify(self._key, request.headers, body, time.time()), body
        except SignatureInvalid as error:
            raise Refused(Refusal.SIGNATURE, 401, str(error)) from None

    async def _wait(self, queue: str) -> Failure | None:
        for rule in self.chance.draw(queue):
            if not isinstance(rule, Wait):
                return rule
            await asyncio.sleep(rule.seconds)
        return None

    def _answer(self, receipt: Receipt) -> web.Response:
        """A repeated id gets what it got before, but for the status: only the first is told 201."""
        new = receipt.outcome is Outcome.CREATED and not receipt.repeated_at
        ticket = receipt.ticket
        url = f"{self.base_url}/tickets/{ticket.key}"
        return json_answer({"id": str(ticket.number), "url": url}, status=201 if new else 200)

    async def _fail(self, request: web.Request, failure: Failure) -> web.Response:
        self.failed[failure.do] += 1
        if isinstance(failure, Answer):
            headers = None if failure.retry_after is None else {"Retry-After": failure.retry_after}
            return problem(failure.status, "the inbox was told to answer so", headers)
        if not isinstance(failure, Drop):
            await self._line_dies(request)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()  # goes nowhere: the line is down

    async def _line_dies(self, request: web.Request) -> None:
        """Wait until the sender has gone or the server ends; nothing tells of a lost line, so it is looked at."""
        while not (_line_is_dead(request) or self._closing.is_set()):
            try:
                async with asyncio.timeout(0.25):
                    await self._closing.wait()
            except TimeoutError:
                continue


def _head(body: bytes) -> Head:
    try:
        return Envelope.model_validate_json(body).data
    except ValidationError as error:
        syntax = any(fault["type"] == "json_invalid" for fault in error.errors(include_input=False))
        reason = Refusal.INVALID_JSON if syntax else Refusal.INVALID_TICKET
        raise Refused(reason, 400, faults_of(error)) from None


def _succeeds(failure: Failure | None) -> bool:
    return failure is None or (isinstance(failure, Answer) and failure.status < 300)


def _line_is_dead(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()

"""A sender of tickets that signs with the package that others use."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import aiohttp
from standardwebhooks import Webhook

from schemas.ticket import Ticket, ticket_key

SECRET = "whsec_aW5ib3gtdGVzdHMtc2VjcmV0LW9mLTMyLWJ5dGVzIQ=="
OTHER_SECRET = "whsec_YW5vdGhlci1zZWNyZXQtb2YtbW9yZS10aGFuLTI0LWJ5dGVz"


def a_ticket(post: str = "post-1", op: str = "create", revision: int = 0, **fields: Any) -> dict[str, Any]:
    """A ticket as delivery sends it."""
    ticket = Ticket.model_validate(
        {
            "key": ticket_key(post, "helpdesk"),
            "op": op,
            "revision": revision,
            "destination": "helpdesk",
            "post_id": post,
            "text": "third day without heating, nobody answers at Northwind",
            "priority": "urgent",
            "intent": "complaint",
            "urgency": 3,
            **fields,
        }
    )
    return ticket.model_dump(mode="json", exclude_none=True)


def signed(webhook_id: str, body: bytes, secret: str = SECRET, at: datetime | None = None) -> dict[str, str]:
    """The headers of Standard Webhooks."""
    when = at or datetime.now(UTC)
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(when.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, when, body.decode("utf-8", "surrogateescape")),
    }


def body_of(ticket: dict[str, Any]) -> bytes:
    """The message around a ticket."""
    message = {"type": f"ticket.{ticket['op']}", "timestamp": "2026-11-20T10:00:00Z", "data": ticket}
    return json.dumps(message).encode()


@dataclass
class Peer:
    """Speaks with the inbox at ``url``."""

    url: str
    session: aiohttp.ClientSession
    _ids: "count[int]" = field(default_factory=count)

    async def send(
        self, ticket: dict[str, Any] | None = None, webhook_id: str | None = None, queue: str = "helpdesk", **how: Any
    ) -> tuple[int, dict[str, Any]]:
        """Deliver one ticket; status and answer."""
        body = body_of(ticket or a_ticket())
        return await self.post(body, signed(webhook_id or f"msg_{next(self._ids)}", body), queue, **how)

    async def post(
        self, body: bytes, headers: dict[str, str], queue: str = "helpdesk", timeout: float = 60
    ) -> tuple[int, dict[str, Any]]:
        """Send these bytes to a queue; status and answer."""
        limit = aiohttp.ClientTimeout(total=timeout)
        async with self.session.post(f"{self.url}/hooks/{queue}", data=body, headers=headers, timeout=limit) as answer:
            return answer.status, json.loads(await answer.read())

    async def get(self, path: str) -> Any:
        """The JSON at ``path``."""
        async with self.session.get(self.url + path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def page(self, path: str = "/") -> str:
        """The HTML at ``path``."""
        async with self.session.get(self.url + path) as answer:
            assert answer.content_type == "text/html"
            return await answer.text()

    async def receipts(self) -> dict[str, dict[str, Any]]:
        """Every receipt by webhook id."""
        async with self.session.get(f"{self.url}/api/receipts") as answer:
            assert answer.content_type == "application/x-ndjson"
            found = [json.loads(line) for line in (await answer.read()).splitlines()]
        return {receipt["id"]: receipt for receipt in found}

    async def fail(self, *rules: dict[str, Any], seed: int = 0) -> None:
        """Have the inbox fail by these rules from now on."""
        async with self.session.post(f"{self.url}/api/faults", json={"seed": seed, "rules": rules}) as answer:
            assert answer.status == 200, await answer.text()


async def until(holds: Callable[[], Awaitable[bool]], timeout: float = 60) -> None:
    """Ask until it holds. Raises TimeoutError."""
    async with asyncio.timeout(timeout):
        while not await holds():  # noqa: ASYNC110 - the condition is in another program
            await asyncio.sleep(0.02)


Start = Callable[..., AbstractAsyncContextManager[Peer]]

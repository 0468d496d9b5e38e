"""A signed webhook (Standard Webhooks 1.0.0): every helpdesk that has an address to POST to, and everyone's own code.

One POST a try. ``webhook-id`` is ``<ticket key>-<revision>``, the same over all tries, so a receiver that drops repeated ids
gets each revision once: class idempotent. A revision that a person has sent anew is ``<ticket key>-<revision>-<generation>``.
``ticket.updated`` may come for a key whose create nobody is sure arrived, so a receiver takes it for a create if it doesn't
know the key. No redirect is followed. The status decides; of the body up to 8 KiB are read, as far as they come.
"""

import os
from collections.abc import Callable
from contextlib import suppress

import aiohttp
import orjson
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict
from yarl import URL

from route.destinations.answer_text import AnswerText
from route.destinations.base import Idempotency, MaySend, NeverAgain, NotNow, Outcome, Parcel, Taken, Withheld
from route.destinations.keys import SigningKeys
from route.destinations.public import PublicResolver
from route.destinations.retry_after import retry_after_s
from route.destinations.settings import DestinationSettings
from route.destinations.signing import signatures
from route.destinations.statuses import PROXY_LOGIN_WANTED, Verdict, verdict
from route.destinations.webhook_body import webhook_body

MAX_ANSWER_BYTES = 8 * 1024
USER_AGENT = "plaint"


class _GuardedBody(aiohttp.BytesPayload):
    """Asks once more, right before the bytes go to the socket, whether this process may still send.

    aiohttp holds the headers back until then, so nothing at all is sent if it may not.
    """

    def __init__(self, value: bytes, may_send: MaySend) -> None:
        super().__init__(value, content_type="application/json")
        self._may_send = may_send
        self.is_withheld = False
        self.is_sent = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        if not self._may_send():
            self.is_withheld = True
            raise Withheld
        self.is_sent = True
        await super().write_with_length(writer, content_length)


class Webhook:
    """See Destination. For use inside a running event loop; ``now`` is seconds since the epoch."""

    idempotency = Idempotency.IDEMPOTENT

    def __init__(self, settings: DestinationSettings, now: Callable[[], float]) -> None:
        """Raises ValueError or OSError if the secret file, that of the authorities or of the proxy's login can't be used."""
        self._url = URL(settings.url, encoded=True)
        self._proxy = None if settings.proxy is None else URL(settings.proxy)
        self._proxy_headers = settings.proxy_headers()
        self._is_forwarded = self._proxy is not None and self._url.scheme == "http"
        self._text = AnswerText(settings)
        self._keys = SigningKeys(settings)
        networks = settings.private_networks()
        self._retry_after_max_s = settings.retry_after_max_s
        self._now = now
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=settings.concurrency,
                ssl=settings.ssl_context() if self._url.scheme == "https" else True,
                # A proxy looks the receiver's name up; the only name that is left here is its own.
                resolver=None if networks is None or self._proxy is not None else PublicResolver(networks),
            ),
            timeout=aiohttp.ClientTimeout(total=settings.timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    @property
    def mark(self) -> str:
        """See Destination."""
        return self._keys.mark

    def refresh(self) -> bool:
        """See Destination."""
        return self._keys.refresh()

    async def create(self, parcel: Parcel, may_send: MaySend) -> Outcome:
        """POST ``complaint.urgent`` or ``ticket.created``."""
        return await self._post(parcel, may_send)

    async def update(self, parcel: Parcel, may_send: MaySend) -> Outcome:
        """POST ``ticket.updated``."""
        return await self._post(parcel, may_send)

    async def withdraw(self, parcel: Parcel, may_send: MaySend) -> Outcome:
        """POST ``ticket.withdrawn``."""
        return await self._post(parcel, may_send)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _post(self, parcel: Parcel, may_send: MaySend) -> Outcome:
        now = self._now()
        value = webhook_body(parcel, now)
        headers = self._headers(parcel, value, int(now))
        body = _GuardedBody(value, may_send)
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy,
                proxy_headers={"User-Agent": USER_AGENT, **self._proxy_headers},
            ) as answer:
                return self._outcome(answer, await _start_of(answer))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if body.is_withheld:
                raise Withheld from None
            is_proxys = self._proxy is not None and not body.is_sent
            return NotNow((is_proxys and _nature_of_proxy(error)) or _nature(error), maybe_taken=body.is_sent)

    def _headers(self, parcel: Parcel, body: bytes, timestamp: int) -> CIMultiDict[str]:
        webhook_id = parcel.message_id
        return CIMultiDict(
            {
                "User-Agent": USER_AGENT,
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "webhook-id": webhook_id,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": signatures(self._keys.current, webhook_id, timestamp, body),
                **(self._proxy_headers if self._is_forwarded else {}),
            }
        )

    def _outcome(self, answer: aiohttp.ClientResponse, start: bytes) -> Outcome:
        if self._is_forwarded and answer.status == PROXY_LOGIN_WANTED:
            return NotNow(f"the proxy answered {answer.status}", maybe_taken=False)
        found = verdict(answer.status)
        if found is Verdict.TAKEN:
            return Taken(answer.status, *_remote(start))
        detail = f"{answer.status} {self._text.of(start)}".rstrip()
        if found is Verdict.NEVER:
            return NeverAgain(detail, answer.status)
        after = retry_after_s(answer.headers.get("Retry-After"), self._now(), self._retry_after_max_s)
        return NotNow(detail, answer.status, after, maybe_taken=found is Verdict.MAYBE_TAKEN)


async def _start_of(answer: aiohttp.ClientResponse) -> bytes:
    """The first bytes of the answer; what is too long is not read on, which costs its connection.

    Where the rest does not come, whatever the reason, the status has said already what became of the ticket.
    """
    start = b""
    with suppress(aiohttp.ClientError, TimeoutError, OSError):
        while len(start) < MAX_ANSWER_BYTES and (chunk := await answer.content.read(MAX_ANSWER_BYTES - len(start))):
            start += chunk
    return start


def _remote(start: bytes) -> tuple[str, str]:
    """Id and address of the receiver's own ticket, if its answer is a JSON object that names them."""
    try:
        fields = orjson.loads(start)
    except orjson.JSONDecodeError:
        return "", ""
    if not isinstance(fields, dict):
        return "", ""
    remote_id, url = fields.get("id"), fields.get("url")
    found_id = str(remote_id) if isinstance(remote_id, str | int) else ""
    found_url = url if isinstance(url, str) and url.startswith(("http://", "https://")) else ""
    return _plain(found_id, 200), _plain(found_url, 2048)


def _plain(text: str, longest: int) -> str:
    """``text`` if it can be shown and kept as it is, else nothing."""
    return text if len(text) <= longest and text.isprintable() else ""


def _nature(error: Exception) -> str:
    """What went wrong, in words without address, headers or body."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "its certificate is not trusted, or TLS failed otherwise"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {_reason(error)}"
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError):
        return "the line was dropped without an answer"
    return f"no sound answer: {type(error).__name__}"


def _nature_of_proxy(error: Exception) -> str | None:
    """The same of what came before the request could be sent, where it is the proxy's doing; else None."""
    if isinstance(error, TimeoutError):
        return "no line through the proxy in time"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status}"
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientConnectorDNSError):
        return f"no connection to the proxy: {_reason(error)}"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientResponseError | ConnectionError):
        return f"the proxy gives no sound answer: {type(error).__name__}"
    return None


def _reason(error: aiohttp.ClientConnectorError) -> str:
    number = error.os_error.errno
    return os.strerror(number) if number and number > 0 else str(error.os_error)

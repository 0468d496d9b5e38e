"""The webhook against a real server: what it sends, and what every answer means."""

import asyncio
import base64
import gzip
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from standardwebhooks import Webhook as Verifier

from route.destinations.base import MaySend, NeverAgain, NotNow, Outcome, Parcel, Taken, Withheld
from route.destinations.opening import open_destination
from route.destinations.settings import DestinationSettings
from route.destinations.statuses import Verdict, verdict
from route.destinations.webhook import MAX_ANSWER_BYTES
from schemas.ticket import Ticket
from tests.route.delivery.doubles import ticket
from tests.support.https import self_signed
from tests.support.https import serving as tls_server

SECRET = "whsec_" + base64.b64encode(b"secret of the helpdesk, 32 bytes").decode()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def yes() -> bool:
    return True


@asynccontextmanager
async def serving(handler: Handler, path: str = "/hook") -> AsyncIterator[str]:
    app = web.Application(client_max_size=1 << 20)
    app.router.add_route("*", path, handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}{path}"
    finally:
        await runner.cleanup()


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[str]:
    """A server that says what the test wants said, and is quite over when the test is."""
    over: list[asyncio.Event] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        over.append(asyncio.Event())
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
            await asyncio.sleep(0)
            over[-1].set()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    server.close()
    for event in over:
        await event.wait()
    await asyncio.sleep(0)


async def post(
    url: str, one: Ticket | None = None, may_send: MaySend = yes, attempt: int = 1, **settings: Any
) -> Outcome:
    one = one or ticket()
    made = DestinationSettings.model_validate({"url": url, "secret": SECRET, "timeout_s": 5, **settings})
    destination = open_destination(made, time.time)
    try:
        parcel = Parcel(one.key, one.op, one.revision, attempt, one.to_bytes())
        send = {"create": destination.create, "update": destination.update, "withdraw": destination.withdraw}[one.op]
        return await send(parcel, may_send)
    finally:
        await destination.close()


async def answered(answer: Callable[[], web.StreamResponse], **settings: Any) -> Outcome:
    async def handler(_: web.Request) -> web.StreamResponse:
        return answer()

    async with serving(handler) as url:
        return await post(url, **settings)


class Receiver:
    """Keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, dict(request.headers), await request.read()))
        return web.json_response({"id": 4711, "url": "https://desk.example/4711"}, status=201)


async def test_a_ticket_goes_out_signed_and_its_number_comes_back() -> None:
    receiver = Receiver()
    async with serving(receiver.take) as url:
        outcome = await post(url)
    assert outcome == Taken(201, "4711", "https://desk.example/4711")
    [(method, headers, body)] = receiver.requests
    assert method == "POST"
    assert headers["Content-Type"] == "application/json"
    verified = Verifier(SECRET).verify(body, headers)
    assert Ticket.model_validate(verified["data"]) == ticket()
    assert headers["webhook-id"] == f"{ticket().key}-0"


async def test_the_id_and_body_are_the_same_over_all_tries_and_the_time_is_that_of_the_try() -> None:
    receiver = Receiver()
    async with serving(receiver.take) as url:
        await post(url)
        first = time.time()
        while int(time.time()) == int(first):  # noqa: ASYNC110 - the header counts whole seconds
            await asyncio.sleep(0.02)
        await post(url, attempt=2)
    (_, one, body), (_, two, again) = receiver.requests
    assert one["webhook-id"] == two["webhook-id"]
    assert body == again
    assert int(two["webhook-timestamp"]) > int(one["webhook-timestamp"])
    assert one["webhook-signature"] != two["webhook-signature"]


async def test_each_revision_has_an_id_of_its_own() -> None:
    receiver = Receiver()
    async with serving(receiver.take) as url:
        await post(url, ticket(revision=7, op="update"))
        await post(url, ticket(revision=8, op="withdraw"))
    assert [headers["webhook-id"][-2:] for _, headers, _ in receiver.requests] == ["-7", "-8"]
    assert [orjson.loads(body)["type"] for *_, body in receiver.requests] == ["ticket.updated", "ticket.withdrawn"]


async def test_nothing_of_a_posts_text_is_a_header() -> None:
    receiver = Receiver()
    async with serving(receiver.take) as url:
        await post(url, ticket(text="X-Evil: 1\r\n\r\nGET / HTTP/1.1", post_id="a\r\nX-Evil: 2"))
    [(_, headers, _)] = receiver.requests
    assert set(headers) == {
        "Host", "User-Agent", "Accept", "Accept-Encoding", "webhook-id", "webhook-timestamp", "webhook-signature",
        "Content-Length", "Content-Type",
    }  # fmt: skip


async def test_every_status_that_a_server_can_answer() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        status = int(orjson.loads(await request.read())["data"]["text"])
        return web.Response(status=status, body=b"no" if status not in (204, 304) else None)

    async with serving(handler) as url:
        destination = open_destination(DestinationSettings.model_validate({"url": url, "secret": SECRET}), time.time)
        for status in range(200, 600):
            one = ticket(text=str(status))
            outcome = await destination.create(Parcel(one.key, "create", 0, 1, one.to_bytes()), yes)
            detail = f"{status} no" if status != 304 else "304"
            assert (
                outcome
                == {
                    Verdict.TAKEN: Taken(status),
                    Verdict.NEVER: NeverAgain(detail, status),
                    Verdict.NOT_TAKEN_NOW: NotNow(detail, status, maybe_taken=False),
                    Verdict.MAYBE_TAKEN: NotNow(detail, status, maybe_taken=True),
                }[verdict(status)]
            )
        await destination.close()


async def test_redirects_are_not_followed() -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        return web.Response(status=307, headers={"Location": "/hook"})

    async with serving(handler) as url:
        assert await post(url) == NotNow("307", 307, maybe_taken=False)
    assert seen == ["/hook"]


async def test_retry_after_is_told_and_clamped() -> None:
    outcome = await answered(lambda: web.Response(status=429, headers={"Retry-After": "30"}))
    assert isinstance(outcome, NotNow)
    assert outcome.retry_after_s == 30
    long = await answered(lambda: web.Response(status=503, headers={"Retry-After": "86400"}), retry_after_max_s=60)
    assert isinstance(long, NotNow)
    assert long.retry_after_s == 60


NAMELESS = [
    b"",
    b"ok",
    b"[]",
    b'{"id":null}',
    b'{"id":{"$ne":1}}',
    b'{"id":"' + b"x" * 300 + b'"}',
    b'{"url":"javascript:alert(1)"}',
    b'{"id":"4711\\u001b[31m","url":"https://desk.example/\\r\\n"}',
    b"\xff",
]


@pytest.mark.parametrize("body", NAMELESS)
async def test_an_answer_that_names_no_ticket_is_taken_all_the_same(body: bytes) -> None:
    assert await answered(lambda: web.Response(body=body)) == Taken(200)


async def test_a_refusal_holds_the_start_of_the_answer_without_controls() -> None:
    text = "no such queue\x1b[31m\r\n\u202e" + "x" * 1000
    outcome = await answered(lambda: web.Response(status=422, body=text.encode()))
    assert isinstance(outcome, NeverAgain)
    assert outcome.detail.startswith("422 no such queue [31m xxx")
    assert len(outcome.detail) < 320
    assert outcome.detail.isprintable()


async def test_an_answer_that_echoes_secrets_is_told_without_them() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        echo = f"{SECRET} {request.headers['webhook-signature']} cannot POST {request.path_qs}"
        return web.Response(status=400, text=echo)

    async with serving(handler, "/hooks/T0K3N") as url:
        outcome = await post(f"{url}?auth=S3CR3T")
    assert isinstance(outcome, NeverAgain)
    assert outcome.detail == "400 … … cannot POST …"


QUOTES: dict[str, Callable[[web.Request], str]] = {
    "the path in JSON of PHP": lambda request: f"no route {request.path}".replace("/", "\\/"),
    "address in HTML": lambda request: f"<pre>Cannot POST {request.path_qs}</pre>".replace("&", "&amp;"),
    "address in a template": lambda request: request.path_qs.replace("/", "&#x2F;").replace("=", "&#x3D;"),
    "address in JSON of Go": lambda request: request.path_qs.replace("&", "\\u0026"),
    "a piece of the path": lambda request: f"no hook {request.path.rpartition('/')[2]}",
    "a value of the query": lambda request: f"no token {request.query['auth']}",
}


@pytest.mark.parametrize("quoted", QUOTES.values(), ids=QUOTES)
@pytest.mark.parametrize("status", [404, 503])
async def test_no_token_gets_out_of_the_address_however_an_answer_quotes_it(
    quoted: Callable[[web.Request], str], status: int
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=quoted(request))

    async with serving(handler, "/hooks/T0K3N-in-path/R3ST-of-path") as url:
        outcome = await post(f"{url}?team=7&auth=S3CR3T-in%2Fquery")
    assert isinstance(outcome, NotNow | NeverAgain)
    assert outcome.detail.startswith(f"{status} ")
    assert "…" in outcome.detail
    assert not any(part in outcome.detail for part in ("T0K3N", "R3ST", "S3CR3T"))


async def test_a_long_answer_is_not_read_to_its_end() -> None:
    sent = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse(status=200)
        await answer.prepare(request)
        for _ in range(10_000):
            await answer.write(b"x" * 65536)
            sent += 65536
        return answer

    async with serving(handler) as url:
        started = time.monotonic()
        assert await post(url) == Taken(200)
        assert time.monotonic() - started < 4
    assert sent < 100 * MAX_ANSWER_BYTES * 8


async def test_a_compressed_answer_is_not_unpacked() -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    outcome = await answered(lambda: web.Response(status=400, body=bomb, headers={"Content-Encoding": "gzip"}))
    assert isinstance(outcome, NeverAgain)
    assert len(outcome.detail) < 320
    assert "000" not in outcome.detail


async def test_no_answer_in_time() -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async with serving(handler) as url:
        started = time.monotonic()
        assert await post(url, timeout_s=0.5) == NotNow("no answer in time", maybe_taken=True)
        assert time.monotonic() - started < 30


async def test_of_a_body_that_drips_what_has_come_in_time_is_all_and_the_status_decides() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=200)
        await answer.prepare(request)
        for _ in range(1000):
            await asyncio.sleep(0.05)
            await answer.write(b"x")
        return answer

    async with serving(handler) as url:
        started = time.monotonic()
        assert await post(url, timeout_s=0.5) == Taken(200)
        assert time.monotonic() - started < 30


CUT_SHORT = [
    b"Content-Length: 10\r\n\r\nok",
    b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    b"Content-Length: 10\r\n\r\n",
]


@pytest.mark.parametrize("rest", CUT_SHORT)
@pytest.mark.parametrize(
    ("status", "kind"), [(200, Taken), (422, NeverAgain), (410, NeverAgain), (401, NotNow), (503, NotNow)]
)
async def test_an_answer_whose_body_ends_early_is_judged_by_its_status(
    status: int, kind: type[Outcome], rest: bytes
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d So\r\n%b" % (status, rest))
        await writer.drain()

    async with talking(talk) as url:
        outcome = await post(url)
    assert isinstance(outcome, kind)
    assert outcome.status == status


async def test_a_line_that_is_dropped() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(handler) as url:
        outcome = await post(url)
    assert outcome == NotNow("the line was dropped without an answer", maybe_taken=True)


async def test_nobody_there_is_certainly_not_taken() -> None:
    async with serving(Receiver().take) as url:
        pass
    assert await post(url) == NotNow("no connection: Connection refused", maybe_taken=False)


NO_HTTP = [
    b"HELLO\r\n\r\n",
    b"HTTP/1.1 two hundred OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"",
]


@pytest.mark.parametrize("answer", NO_HTTP)
async def test_what_is_no_http_answer_is_tried_again(answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    async with talking(talk) as url:
        outcome = await post(url)
    assert isinstance(outcome, NotNow)
    assert outcome.maybe_taken


async def test_a_name_of_a_private_network_is_refused_unless_allowed() -> None:
    outcome = await post("https://localhost.localdomain:1/hook")
    assert isinstance(outcome, NotNow)
    assert not outcome.maybe_taken


async def test_without_leave_nothing_goes_out_not_even_headers() -> None:
    sent: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent.append(await reader.read())

    async with talking(talk) as url:
        with pytest.raises(Withheld):
            await post(url, may_send=lambda: False)
    assert b"".join(sent) == b""


async def test_leave_is_asked_as_the_bytes_go_out_not_before_the_connection_is_there() -> None:
    """A process may be stopped for a minute between the two."""
    asked: list[float] = []

    def may_send() -> bool:
        asked.append(time.monotonic())
        return True

    receiver = Receiver()
    async with serving(receiver.take) as url:
        await post(url, may_send=may_send)
    assert len(asked) == 1


async def test_a_kept_connection_that_the_receiver_drops_costs_one_outcome_and_no_second_request() -> None:
    requests = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            requests += 1
            if requests == 2:
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with talking(talk) as url:
        made = DestinationSettings.model_validate({"url": url, "secret": SECRET, "concurrency": 1})
        destination = open_destination(made, time.time)
        parcel = Parcel(ticket().key, "create", 0, 1, ticket().to_bytes())
        first = await destination.create(parcel, yes)
        second = await destination.create(parcel, yes)
        await destination.close()
    assert first == Taken(200)
    assert second == NotNow("the line was dropped without an answer", maybe_taken=True)
    assert requests == 2


async def test_connections_are_kept() -> None:
    peers = set()

    async def handler(request: web.Request) -> web.StreamResponse:
        await request.read()
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.json_response({"id": "1"})

    async with serving(handler) as url:
        destination = open_destination(DestinationSettings.model_validate({"url": url, "secret": SECRET}), time.time)
        for _ in range(5):
            await destination.create(Parcel(ticket().key, "create", 0, 1, ticket().to_bytes()), yes)
        await destination.close()
    assert len(peers) == 1


async def test_a_receiver_that_the_firms_own_authority_vouches_for_is_trusted_once_it_is_named(tmp_path: Path) -> None:
    self_signed(tmp_path, "desk")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with tls_server(_Takes, context) as server:
        url = f"https://127.0.0.1:{server.server_port}/hook"
        refused = await post(url)
        assert isinstance(refused, NotNow)
        assert "certificate" in refused.detail
        assert not refused.maybe_taken
        assert await post(url, ca_file=str(tmp_path / "cert")) == Taken(204)


class _Takes(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """It has nothing to say."""

"""Only a request that is signed with the secret, and lately, is taken."""

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from plaint.inbox.signature import SignatureInvalid, verify
from schemas.webhook_secret import signing_key
from tests.plaint.inbox.peer import OTHER_SECRET, SECRET, Peer, a_ticket, body_of, signed

BODY = body_of(a_ticket())


async def test_a_signed_ticket_is_taken_and_gets_a_number_and_a_page(inbox: Peer) -> None:
    status, answer = await inbox.post(BODY, signed("msg_1", BODY))
    assert status == 201
    assert answer == {"id": "1", "url": f"{inbox.url}/tickets/{a_ticket()['key']}"}
    assert "third day without heating" in await inbox.page(f"/tickets/{a_ticket()['key']}")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        (dict, "webhook-id is missing"),
        (
            lambda: {k: v for k, v in signed("m", BODY).items() if k != "webhook-timestamp"},
            "webhook-timestamp is missing",
        ),
        (
            lambda: {k: v for k, v in signed("m", BODY).items() if k != "webhook-signature"},
            "webhook-signature is missing",
        ),
        (lambda: signed("m", BODY, OTHER_SECRET), "no signature"),
        (lambda: signed("m", BODY + b" "), "no signature"),
        (lambda: signed("m", BODY) | {"webhook-id": "n"}, "no signature"),
        (lambda: signed("m", BODY) | {"webhook-signature": "v1,"}, "no signature"),
        (lambda: signed("m", BODY) | {"webhook-timestamp": "now"}, "not a number"),
        (lambda: signed("m", BODY) | {"webhook-timestamp": "²"}, "not a number"),
        (lambda: signed("m", BODY, at=datetime.now(UTC) - timedelta(hours=2)), "more than 300 s away"),
        (lambda: signed("m", BODY, at=datetime.now(UTC) + timedelta(hours=2)), "more than 300 s away"),
        (lambda: signed("m" * 3000, BODY), "webhook-id is too long"),
    ],
)
async def test_a_badly_signed_request_is_refused_and_nothing_is_taken(
    inbox: Peer, headers: Callable[[], dict[str, str]], said: str
) -> None:
    status, problem = await inbox.post(BODY, headers())
    assert (status, problem["status"]) == (401, 401)
    assert said in problem["detail"]
    stats = await inbox.get("/api/stats")
    assert (stats["refused"]["signature"], stats["requests"], stats["taken"]) == (1, 1, 0)
    assert await inbox.receipts() == {}


async def test_a_sender_that_rotates_its_keys_signs_with_both(inbox: Peer) -> None:
    new, old = signed("msg_1", BODY, OTHER_SECRET), signed("msg_1", BODY)
    both = old | {"webhook-signature": f"v1a,AAAA {new['webhook-signature']} {old['webhook-signature']}"}
    assert (await inbox.post(BODY, both))[0] == 201


@pytest.mark.parametrize(
    ("body", "status", "reason", "said"),
    [
        (b"{", 400, "invalid_json", "Invalid JSON"),
        (b"\xff\xfe", 400, "invalid_json", "Invalid JSON"),
        (BODY.replace(b"third", b"\\ud800"), 400, "invalid_json", "hex escape"),
        (b"[]", 400, "invalid_ticket", "record"),
        (BODY.replace(b'"revision": 0', b'"revision": -1'), 400, "invalid_ticket", "data.revision"),
        (BODY.replace(b'"op": "create"', b'"op": "drop"'), 400, "invalid_ticket", "data.op"),
        (b" " * 64 * 1024 + BODY, 413, "too_large", "65536"),
    ],
)
async def test_a_signed_request_that_is_no_ticket_is_refused_with_what_is_wrong(
    inbox: Peer, body: bytes, status: int, reason: str, said: str
) -> None:
    headers = signed("msg_1", body) if body.isascii() else raw_signed("msg_1", body)
    got, problem = await inbox.post(body, headers)
    assert got == status
    assert said in problem["detail"]
    assert (await inbox.get("/api/stats"))["refused"][reason] == 1
    assert (await inbox.send())[0] == 201, "the request after it goes through"


async def test_a_queue_that_could_be_no_destination_does_not_exist(inbox: Peer) -> None:
    for queue in ("Help%20desk", "..%2fapi", "-x", "x" * 64):
        async with inbox.session.post(f"{inbox.url}/hooks/{queue}", data=BODY, headers=signed("m", BODY)) as answer:
            assert answer.status == 404


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_%%%", SECRET.removeprefix("whsec_")])
def test_a_secret_that_is_no_key_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        signing_key(secret)


@given(
    webhook_id=st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=60),
    text=st.text(max_size=200),
    tampered=st.booleans(),
)
def test_it_agrees_with_the_package_that_others_use(webhook_id: str, text: str, tampered: bool) -> None:
    body = json.dumps({"text": text}).encode()
    headers = signed(webhook_id, body)
    sent = body + b" " if tampered else body
    if tampered:
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(sent, headers)
        with pytest.raises(SignatureInvalid):
            verify(signing_key(SECRET), headers, sent, datetime.now(UTC).timestamp())
    else:
        Webhook(SECRET).verify(sent, headers)
        assert verify(signing_key(SECRET), headers, sent, datetime.now(UTC).timestamp()) == webhook_id


def raw_signed(webhook_id: str, body: bytes) -> dict[str, str]:
    """The package signs text only; these bytes are none."""
    headers = signed(webhook_id, b"")
    content = f"{webhook_id}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.digest(signing_key(SECRET), content, "sha256")
    return headers | {"webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}


async def test_an_unknown_method_is_refused(inbox: Peer) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{inbox.url}/hooks/helpdesk") as answer:
        assert answer.status == 405


async def test_a_signed_test_event_is_answered_and_makes_no_ticket(inbox: Peer) -> None:
    body = b'{"type":"plaint.test","timestamp":"2026-11-20T10:00:00Z","data":{"test":true}}'
    assert await inbox.post(body, signed("test-1", body)) == (200, {"test": True})
    assert (await inbox.post(body, signed("test-2", body, OTHER_SECRET)))[0] == 401
    assert (await inbox.get("/api/stats"))["refused"]["signature"] == 1

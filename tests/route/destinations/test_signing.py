"""Signatures, held against the package that receivers use."""

import base64
import time

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from route.destinations.signing import signatures
from schemas.webhook_secret import signing_key

SECRETS = ["whsec_" + base64.b64encode(bytes(range(n, n + 32))).decode() for n in (1, 2)]
BODY = '{"type":"ticket.created","data":{"text":"Größe ☂"}}'.encode()


def headers(*secrets: str, body: bytes = BODY) -> dict[str, str]:
    keys = [signing_key(secret) for secret in secrets]
    now = int(time.time())
    return {
        "webhook-id": "abc-0",
        "webhook-timestamp": str(now),
        "webhook-signature": signatures(keys, "abc-0", now, body),
    }


def test_the_package_accepts_it() -> None:
    assert Webhook(SECRETS[0]).verify(BODY, headers(SECRETS[0]))["type"] == "ticket.created"


@pytest.mark.parametrize("secret", SECRETS)
def test_while_keys_rotate_each_is_accepted(secret: str) -> None:
    Webhook(secret).verify(BODY, headers(*SECRETS))


def test_another_body_is_not() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRETS[0]).verify(BODY + b" ", headers(SECRETS[0]))


def test_another_key_is_not() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRETS[0]).verify(BODY, headers(SECRETS[1]))


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "whsec_!!!", "whsec_c2hvcnQ=", SECRETS[0].removeprefix("whsec_"), "whsec_" + "A" * 88, "whsec_é"],
)
def test_a_secret_that_is_none_is_refused_without_being_told(secret: str) -> None:
    with pytest.raises(ValueError, match="must be whsec_ followed by base64 of 24 to 64 bytes") as told:
        signing_key(secret)
    assert len(secret) < 7 or secret not in str(told.value)

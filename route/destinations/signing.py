"""Signatures of Standard Webhooks 1.0.0, as a sender makes them.

The package ``standardwebhooks`` signs the same, but takes the body as text, which costs a decoding and an encoding of every
body; the tests verify with it.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"


def signing_key(secret: str) -> bytes:
    """The key in ``secret``. Raises ValueError, without the secret in it, unless it is well formed."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError(f"must be {PREFIX} followed by base64 of 24 to 64 bytes")
    return key


def signatures(keys: Sequence[bytes], webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of ``webhook-signature``: one signature a key, since receivers may still know the former one only."""
    content = b"%b.%d.%b" % (webhook_id.encode(), timestamp, body)
    return " ".join("v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys)

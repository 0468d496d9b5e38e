"""Signatures of Standard Webhooks 1.0.0, as a sender makes them.

The package ``standardwebhooks`` signs the same, but takes the body as text, which costs a decoding and an encoding of every
body; the tests verify with it.
"""

import base64
import hmac
from collections.abc import Sequence


def signatures(keys: Sequence[bytes], webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of ``webhook-signature``: one signature a key, since receivers may still know the former one only."""
    content = b"%b.%d.%b" % (webhook_id.encode(), timestamp, body)
    return " ".join("v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys)

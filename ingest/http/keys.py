"""Who may send posts: signatures of Standard Webhooks 1.0.0 and bearer tokens, checked and made.

The package ``standardwebhooks`` does the cryptography.
"""

import hmac
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook, WebhookVerificationError

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE_S = 300.0
"""How far a request's time may be from this clock; the package holds it to the same, but only with the body."""


class Unauthorized(Exception):
    """The sender has not proved who it is; the text says what is wrong and may be shown to it."""


class Keys:
    """The secrets and tokens that are taken; with none of either everybody may send."""

    def __init__(self, secrets: Sequence[str], tokens: Sequence[str]) -> None:
        self._webhooks = [Webhook(secret) for secret in secrets]
        self._tokens = [token.encode() for token in tokens]

    @property
    def is_open(self) -> bool:
        """Whether everybody may send."""
        return not (self._webhooks or self._tokens)

    def check_head(self, headers: Mapping[str, str]) -> bool:
        """Whether the headers alone prove it, before the body is read. Raises Unauthorized if no body can mend them."""
        if self.is_open:
            return True
        if "Authorization" in headers:
            self._check_token(headers["Authorization"])
            return True
        if not self._webhooks:
            raise Unauthorized("the header Authorization: Bearer TOKEN is missing")
        missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not headers.get(name)]
        if missing:
            other = " (or Authorization: Bearer TOKEN)" if self._tokens else ""
            raise Unauthorized(f"{missing[0]} is missing: sign the request as Standard Webhooks 1.0.0 says{other}")
        if not _is_timely(headers[TIMESTAMP]):
            raise Unauthorized(f"{TIMESTAMP} must be seconds since 1970, at most 5 minutes from the door's clock")
        return False

    def check_body(self, headers: Mapping[str, str], body: bytes) -> None:
        """Check the signature of a request whose headers alone did not prove it. Raises Unauthorized."""
        known = {name: headers[name] for name in (ID, TIMESTAMP, SIGNATURE)}
        why = ""
        for webhook in self._webhooks:
            try:
                webhook.verify(body, known, json_parse=False)
            except WebhookVerificationError as error:
                why = str(error)
            except ValueError:  # a signature that is no base64, a body that is no UTF-8
                why = "The signature can't be read, or the body is no UTF-8"
            else:
                return
        raise Unauthorized(f"the signature is not taken: {why}")

    def _check_token(self, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        given = token.strip().encode(errors="surrogateescape")
        # All are compared, so that the time tells nothing of which is near.
        found = [hmac.compare_digest(given, known) for known in self._tokens]
        if scheme.casefold() != "bearer" or not any(found):
            raise Unauthorized("the bearer token is not known here")


def _is_timely(timestamp: str) -> bool:
    try:
        return abs(float(timestamp) - time.time()) <= TOLERANCE_S
    except ValueError:
        return False


def proof(secrets: Sequence[str], tokens: Sequence[str], body: bytes) -> dict[str, str]:
    """Headers that prove to a door with these keys that we may send ``body``, which is UTF-8; none if it has none.

    A signature where there is a secret: unlike a token it is of no use to whoever reads it on its way.
    """
    if secrets:
        now, webhook_id = datetime.now(UTC), f"msg_{uuid.uuid4().hex}"
        signature = Webhook(secrets[0]).sign(webhook_id, now, body.decode())
        return {ID: webhook_id, TIMESTAMP: str(int(now.timestamp())), SIGNATURE: signature}
    return {"Authorization": f"Bearer {tokens[0]}"} if tokens else {}

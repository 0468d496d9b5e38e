"""The secret by which webhooks are signed (Standard Webhooks 1.0.0), as settings write it."""

import base64
import binascii
from typing import Annotated

from pydantic import AfterValidator, SecretStr

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


def _well_formed(secret: SecretStr) -> SecretStr:
    signing_key(secret.get_secret_value())
    return secret


SigningSecret = Annotated[SecretStr, AfterValidator(_well_formed)]
"""A secret in the settings, refused unless it is well formed."""

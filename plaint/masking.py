"""Keeps secrets out of what people read: whatever a library puts into an error or a log line, a secret in it is masked.

Two kinds are known: the secrets of this process's settings, word for word, and what looks like one: a webhook's secret or
signature, and what follows ``Bearer`` or ``Basic``.
"""

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, SecretStr

MASK = "…"
MIN_CHARS = 4
"""A secret that is shorter is none, and would take letters out of every line."""
MIN_TOKEN_CHARS = 12
"""So long a part of an address may be a token."""

_LOOKS_LIKE_ONE = re.compile(
    r"whsec_[A-Za-z0-9+/=_-]+|v1,[A-Za-z0-9+/=]{40,}|(?<=[Bb]earer )[^\s'\",;)]{4,}|(?<=Basic )[A-Za-z0-9+/=]{12,}"
)


class Mask:
    """What is to be masked in this process."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._pattern = _LOOKS_LIKE_ONE

    def hide(self, secrets: Iterable[str]) -> None:
        """Mask these from now on, however an address or JSON writes them."""
        found = {form for secret in secrets for form in _forms(secret) if len(form) >= MIN_CHARS}
        if found <= self._secrets:
            return
        self._secrets |= found
        longest_first = sorted(self._secrets, key=len, reverse=True)
        self._pattern = re.compile("|".join([*map(re.escape, longest_first), _LOOKS_LIKE_ONE.pattern]))

    def masked(self, text: str) -> str:
        """``text`` without them."""
        return self._pattern.sub(MASK, text)


MASKED = Mask()
"""The one of this process."""


def masked(text: str) -> str:
    """``text`` without secrets, for a log or a message."""
    return MASKED.masked(text)


def hide_secrets(settings: BaseModel) -> None:
    """Mask every secret that stands in ``settings``, and the tokens in its addresses."""
    MASKED.hide(_secrets(settings))


def hide_secret(secret: str) -> None:
    """Mask this one, which stands elsewhere than in the settings, such as in a file that they name."""
    MASKED.hide([secret])


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            field = getattr(value, name)
            if name == "url" and isinstance(field, str):
                yield from _tokens(field)
            if name == "proxy_login" and isinstance(field, SecretStr):
                yield field.get_secret_value().partition(":")[2]
            yield from _secrets(field)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _secrets(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _secrets(one)


def _tokens(url: str) -> Iterator[str]:
    """What may let somebody in who reads it: path and query as a whole, and each long part of them."""
    parts = urlsplit(url)
    whole = parts.path + (f"?{parts.query}" if parts.query else "")
    pieces = re.split(r"[/&=;]", f"{parts.path}&{parts.query}")
    yield from (piece for piece in (whole, *pieces) if len(piece) >= MIN_TOKEN_CHARS)


def _forms(secret: str) -> set[str]:
    return {
        secret,
        quote(secret, safe=""),
        quote(secret),
        unquote(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
    }

"""Takes secrets out of text that people read: those that it is told, however the text writes them, and what looks like one.

What looks like one is a webhook's secret or signature, and what follows ``Bearer`` or ``Basic``.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from html import escape
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

MASK = "…"
MIN_CHARS = 4
"""A secret that is shorter is none, and would take letters out of every line."""
MIN_TOKEN_CHARS = 12
"""So long a part of an address may be a token."""

_LOOKS_LIKE_ONE = "|".join(
    (
        r"whsec_[A-Za-z0-9+/=_\\%-]+",
        r"v1,[A-Za-z0-9+/=\\%]{40,}",
        r"(?<=[Bb]earer )[^\s'\",;)]{4,}",
        r"(?<=Basic )[A-Za-z0-9+/=]{12,}",
    )
)


class Mask:
    """What is to be masked."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._pattern = re.compile(_LOOKS_LIKE_ONE)
        self.hide(secrets)

    def hide(self, secrets: Iterable[str]) -> None:
        """Mask these from now on, as an address, JSON, HTML or Python may write them."""
        told = {form for secret in secrets for form in (secret, unquote(secret), unquote_plus(secret))}
        found = {secret for secret in told if len(secret) >= MIN_CHARS}
        if found <= self._secrets:
            return
        self._secrets |= found
        longest_first = sorted(self._secrets, key=len, reverse=True)
        spelled = ("".join(map(_spelled, secret)) for secret in longest_first)
        self._pattern = re.compile("|".join([*spelled, _LOOKS_LIKE_ONE]))

    def masked(self, text: str) -> str:
        """``text`` without them."""
        return self._pattern.sub(MASK, text)


def tokens(url: str) -> Iterator[str]:
    """What may let somebody in who reads it: path and query as a whole, and each long part of them."""
    parts = urlsplit(url)
    whole = f"{parts.path}?{parts.query}" if parts.query else parts.path
    found = [whole, parts.query, parts.path.strip("/")]
    for marks in ("&;", "&;=", "&;=/"):
        found += re.split(f"[{marks}]", f"{parts.path}&{parts.query}")
    yield from (part for part in found if len(part) >= MIN_TOKEN_CHARS)


@cache
def _spelled(character: str) -> str:
    r"""A pattern of a character in each of its spellings, such as those of a slash: ``\/``, ``%2F``, ``&#x2F;``, ``\u002f``."""
    if character.isascii() and character.isalnum():
        return character
    code = ord(character)
    forms = {character, quote(character, safe=""), quote_plus(character), json.dumps(character)[1:-1]}
    forms |= {repr(character)[1:-1], escape(character), f"u{code:04x}"}
    spellings = [*map(re.escape, sorted(forms, key=len, reverse=True)), f"&#0*{code};", f"&#x0*{code:x};"]
    return rf"(?i:\\{{0,3}}(?:{'|'.join(spellings)}))"

"""Keeps secrets out of what people read: whatever a library puts into an error or a log line, a secret in it is masked.

The secrets are those of this process's settings; see ``schemas.mask`` for what else is masked.
"""

from collections.abc import Iterator

from pydantic import BaseModel, SecretStr

from schemas.mask import Mask, tokens

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
                yield from tokens(field)
            if name == "proxy_login" and isinstance(field, SecretStr):
                yield field.get_secret_value().partition(":")[2]
            yield from _secrets(field)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _secrets(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _secrets(one)

"""What people may read of a receiver's answer, which can quote what it was sent: the address with its token, secrets."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from route.destinations.settings import DestinationSettings
from schemas.mask import Mask, tokens

MAX_CHARS = 300

_UNSEEN = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")


class AnswerText:
    """Makes such text of the answers of one destination."""

    def __init__(self, settings: DestinationSettings) -> None:
        """Raises ValueError or OSError if the file of the proxy's login can't be used."""
        self._mask = Mask(_hidden(settings))

    def of(self, start: bytes) -> str:
        """The start of an answer in one short line, without control characters, secrets and the address."""
        text = self._mask.masked(start.decode("utf-8", "replace"))
        return _UNSEEN.sub(" ", text).strip()[:MAX_CHARS]


def _hidden(settings: DestinationSettings) -> Iterator[str]:
    """Path and query are hidden however short they are: unlike a log, an answer has little else to say with them."""
    parts = urlsplit(settings.url)
    yield from (parts.path, parts.query, *tokens(settings.url), *settings.login_secrets())

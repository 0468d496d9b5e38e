"""The answers of the door: JSON, and problems as RFC 9457 lays them out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus

import orjson
from aiohttp import web

HEADERS = {
    "Server": "plaint",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
MAX_FAULTS = 100
"""Most faults that an answer names; it says how many there are."""


@dataclass(frozen=True)
class FieldFault:
    """What is wrong with one field; ``pointer`` is its JSON pointer in the body, such as ``#/2/author/followers``."""

    pointer: str
    detail: str


class Problem(Exception):
    """The request is refused: the status, what is wrong in words for its sender, and each field that is wrong.

    ``closes`` ends the connection after the answer, where the rest of the request can't be told from the next.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        faults: Sequence[FieldFault] = (),
        headers: Mapping[str, str] | None = None,
        closes: bool = False,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.faults = faults
        self.headers = headers
        self.closes = closes

    def answer(self) -> web.Response:
        """As ``application/problem+json``."""
        fields: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.faults:
            fields["errors"] = [asdict(fault) for fault in self.faults[:MAX_FAULTS]]
        answer = web.Response(
            body=orjson.dumps(fields),
            status=self.status,
            content_type="application/problem+json",
            headers=self.headers,
        )
        if self.closes:
            answer.force_close()
        return answer


def json_answer(value: object, status: int = 200) -> web.Response:
    """``value`` as JSON."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")

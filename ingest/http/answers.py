"""The answers of the door: JSON, and problems as RFC 9457 lays them out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import orjson
from aiohttp import web

from ingest.http.outcomes import STATUS, Refusal

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


class Refused(web.Response):
    """A refusal, which knows why."""

    why: Refusal


class Problem(Exception):
    """The request is refused: why, what is wrong in words for its sender, and each field that is wrong.

    ``closes`` ends the connection after the answer, where the rest of the request can't be told from the next.
    """

    def __init__(
        self,
        why: Refusal,
        detail: str,
        *,
        faults: Sequence[FieldFault] = (),
        headers: Mapping[str, str] | None = None,
        closes: bool = False,
    ) -> None:
        super().__init__(detail)
        self.why = why
        self.status = STATUS[why]
        self.detail = detail
        self.faults = faults
        self.headers = headers
        self.closes = closes

    def answer(self) -> Refused:
        """As ``application/problem+json``."""
        fields: dict[str, object] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.faults:
            fields["errors"] = [asdict(fault) for fault in self.faults[:MAX_FAULTS]]
        answer = Refused(
            body=orjson.dumps(fields),
            status=self.status,
            content_type="application/problem+json",
            headers=self.headers,
        )
        answer.why = self.why
        if self.closes:
            answer.force_close()
        return answer


def json_answer(value: object, status: int = 200) -> web.Response:
    """``value`` as JSON."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")

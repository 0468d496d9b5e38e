"""The answers that the inbox gives: JSON, problems (RFC 9457) and pages, with the headers that keep a browser careful."""

from http import HTTPStatus

import orjson
from aiohttp import web

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "plaint",
}


def json_answer(value: object, status: int = 200) -> web.Response:
    """``value`` as JSON; dataclasses are allowed in it."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    """A problem document: what is wrong, in words for whoever sent the request."""
    fields = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return web.Response(
        body=orjson.dumps(fields), status=status, content_type="application/problem+json", headers=headers
    )


def html_answer(html: str, status: int = 200) -> web.Response:
    """A page of ours."""
    return web.Response(text=html, status=status, content_type="text/html", charset="utf-8")

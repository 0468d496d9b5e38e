"""Texts full of markup, escapes and injections go all the way as data: nothing of them is ever run, read or obeyed."""

import json
import re
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.system import wire
from tests.system.hostile import ADDRESSES, TEXTS, Page, Recorder, hostile_post
from tests.system.lab import PATIENCE_S, START_S, STEERING, UNSEEN, Lab
from tests.system.poison_later import ticket, triage
from tests.system.raw import PARTITIONS, until
from tests.system.stack import SECRET, Plaint

pytestmark = pytest.mark.kafka

HEADERS = {
    "host": r"127\.0\.0\.1:\d+",
    "user-agent": "plaint",
    "accept": r"[a-z*/, ]+",
    "accept-encoding": "identity",
    "content-type": "application/json",
    "content-length": r"\d+",
    "webhook-id": r"[0-9a-f]{32}-\d+",
    "webhook-timestamp": r"\d{10}",
    "webhook-signature": r"v1,[A-Za-z0-9+/]+=*",
}


def test_hostile_posts_arrive_as_data(lab: Lab, tmp_path: Path) -> None:
    """From the file through the model; what routes take arrives in full, and no log shows a control character."""
    began = time.time()
    posts = [hostile_post(post_id, name) for post_id, name in zip(lab.ids(len(TEXTS)), TEXTS, strict=True)]
    path = tmp_path / "hostile.jsonl"
    path.write_text("".join(json.dumps(post) + "\n" for post in posts))
    assert lab.stack.feed(path).wait(START_S) == 0
    lab.wait_for_triages([post["id"] for post in posts])
    for post in posts:
        triaged = lab.records.triages[post["id"]][0]["post"]
        assert {name: triaged[name] for name in ("text", "url", "network", "brands")} == {
            name: post[name] for name in ("text", "url", "network", "brands")
        }
    lab.untroubled(began)


def test_inbox_shows_hostile_tickets_as_text(lab: Lab) -> None:
    began = time.time()
    sound, *ids = lab.ids(len(TEXTS) + 1)
    key = _delivered(lab, {**hostile_post(sound, "markup"), "id": sound, "text": "My router is dead", "network": "x"})
    board, page = (Page(_get(lab, path)).elements for path in ("/", f"/tickets/{key}"))
    for post_id, name in zip(ids, TEXTS, strict=True):
        post = hostile_post(post_id, name)
        key = _delivered(lab, post)
        shown = json.loads(_get(lab, f"/api/tickets/{key}"))["ticket"]
        assert shown["text"] == post["text"]
        assert shown["post_id"] == post["id"]
        assert shown["url"] == ""
        _is_harmless(_get(lab, f"/tickets/{key}"), page)
        _is_harmless(_get(lab, "/"), board)
    lab.untroubled(began)
    assert not UNSEEN.search(lab.stack.inbox.log.read_bytes())


def _delivered(lab: Lab, post: dict[str, Any]) -> str:
    """The key of the ticket that comes of a complaint."""
    lab.writer.put(wire.TRIAGED, 0, triage(post=post))
    key = wire.ticket_key(post["id"], "helpdesk")
    lab.wait_for_tickets({wire.webhook_id(key, 0)})
    return key


def _get(lab: Lab, path: str) -> str:
    with urllib.request.urlopen(lab.stack.receiver.url + path, timeout=60) as answer:
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"] or path.startswith("/api/")
        found: str = answer.read().decode()
        return found


def _is_harmless(html: str, elements: set[str]) -> None:
    """No element that a sound ticket's page has not, nothing that acts, no address that leads away, nothing unseen."""
    page = Page(html)
    assert page.elements <= elements
    assert not UNSEEN.search(html.encode())
    assert not re.search("[\u0080-\u009f\u202a-\u202e\u2028\u2029]", html)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name, value)
        if name in ("href", "src"):
            assert re.fullmatch(r"[/#][\w/.#?=&-]*|", value), (tag, name, value)


def test_webhooks_carry_nothing_of_a_ticket_in_their_head(lab: Lab) -> None:
    """Straight from the topic, where even an address or an id can be anything."""
    began = time.time()
    tickets: dict[str, dict[str, Any]] = {}
    for number, (name, text) in enumerate(TEXTS.items()):
        said = hostile_post(f"{number:04d}", name)
        more = {field: said[field] for field in ("author", "brands", "network", "source", "language")}
        more |= {"post_id": said["id"], "text": text, "url": ADDRESSES[number], "reply_url": ADDRESSES[number]}
        more |= {"rule": text, "why": text, "team": text, "labels": [text, text]}
        tickets[said["id"]] = ticket(f"{number:08x}".ljust(32, "f"), "hostile", **more)
    with Recorder() as recorder:
        worker = _deliver(lab, recorder.port)
        try:
            until(lambda: "is ours" in worker.said(), START_S, worker.said)
            for number, fields in enumerate(tickets.values()):
                lab.writer.put(wire.tickets("hostile"), number % PARTITIONS, json.dumps(fields).encode())
            until(lambda: len(recorder.requests) >= len(tickets), PATIENCE_S, worker.said)
        finally:
            worker.end()
    for head, _ in recorder.requests:
        first, *lines = head.decode("ascii").rstrip("\r\n").split("\r\n")
        assert first == "POST /hooks/hostile HTTP/1.1"
        found = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        assert found.keys() == HEADERS.keys()
        assert all(re.fullmatch(HEADERS[name], value) for name, value in found.items()), found
    for post_id, data in recorder.bodies().items():
        assert {name: data[name] for name in ("text", "author", "team")} == {
            name: tickets[post_id][name] if name != "author" else {**data["author"], **tickets[post_id]["author"]}
            for name in ("text", "author", "team")
        }
    assert len(recorder.requests) == len(recorder.bodies()) == len(tickets)
    assert not UNSEEN.search(worker.log.read_bytes())
    assert not STEERING.search(worker.log.read_text())
    lab.untroubled(began)


def _deliver(lab: Lab, port: int) -> Plaint:
    """A worker of a destination of its own, under way."""
    settings = {
        "PLAINT_KAFKA": {"brokers": [lab.stack.bootstrap], "session_timeout_s": 6, "heartbeat_s": 1},
        "PLAINT_DESTINATIONS": {"hostile": {"url": f"http://127.0.0.1:{port}/hooks/hostile", "secret": SECRET}},
    }
    written = {name: json.dumps(value) for name, value in settings.items()}
    worker = Plaint("hostile-0", ["run", "deliver", "--destination", "hostile"], written, lab.stack.folder)
    worker.start()
    return worker

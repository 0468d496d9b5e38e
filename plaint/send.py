"""Posts from the shell to plaint: by the door of the ``plaint up`` that runs here, or of another, or straight into Kafka.

What costs time to import is imported where it is needed: a person waits for this command.
"""

import http.client
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from ingest.http.settings import POSTS_PATH
from plaint.local.running import find_running, running_at_hand
from schemas.faults import Fault, FaultsFound, Unavailable, shown

if TYPE_CHECKING:
    from ingest.publish import PostPublisher
    from plaint.kafka.settings import KafkaSettings
    from plaint.settings import Settings

Json = dict[str, Any]

SOURCE = "send"
BATCH_POSTS = 500
BATCH_BYTES = 512 * 1024
"""Of one request; a door takes more as shipped."""
PATIENCE_S = 30.0
"""How long a door that can't be reached, or has no room, is tried again."""
FIRST_WAIT_S = 0.1
REQUEST_S = 60.0
MAX_ANSWER_BYTES = 256 * 1024
TICKET_CHECK_S = 0.05
"""For each post: the inbox that is asked has tickets to take."""
TICKETS_APART_S = 0.5
"""After so long without another ticket a post has all of its: each destination is delivered to by a process of its own."""


class Refused(Exception):
    """The door will never take these posts; the text is its answer."""


class RefusedTogether(Refused):
    """It is for one of them, or because they are so many: others of them are taken if they come by themselves."""


class Target(Protocol):
    """Where posts go."""

    def send(self, posts: Sequence[Json]) -> None:
        """Return once Kafka has them all. Raises Unavailable; Refused if it does not take all."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


@dataclass(frozen=True)
class Found:
    """A target, and the address of the inbox where tickets of it can be seen, if there is one."""

    target: Target
    inbox: str = ""


def new_id() -> str:
    """An id for a post that has none."""
    return f"send:{secrets.token_hex(8)}"


def find_target(config: Path | None, to: str = "") -> Found:
    """The door at ``to``; else that of the ``plaint up`` that runs here, on the Kafka of the settings if they name one; else
    that Kafka.

    Raises SettingsInvalid or FaultsFound where there is none.
    """
    if to:
        return Found(Door(to, lambda: _settings(config)))
    settings = _settings(config) if _are_given(config) else None
    running = find_running() if settings is None else running_at_hand(settings)
    if settings is not None and settings.kafka.brokers and not (running and running.door):
        return Found(KafkaTopic(settings.kafka))
    if running is not None and running.door:
        return Found(Door(running.door, lambda: settings or _settings(config)), running.inbox)
    if running is not None:
        what, mend = "the `plaint up` that runs here has no door", "start it without --exit-when-done and door.open"
    else:
        what = "no `plaint up` of this user is running, and the settings name no brokers"
        mend = "start `plaint up` in another terminal, or give --to URL"
    raise FaultsFound([Fault("door", what, mend)])


def _are_given(config: Path | None) -> bool:
    given = any(name.startswith(("PLAINT_KAFKA__", "PLAINT_KAFKA=", "PLAINT_DOOR")) for name in os.environ)
    return config is not None or given or "PLAINT_KAFKA" in os.environ or os.path.lexists("plaint.yaml")


def _settings(config: Path | None) -> "Settings":
    from plaint.settings import load_settings

    return load_settings(config)


class Door:
    """An HTTP door. ``settings`` are asked for only if it wants a proof of who sends."""

    def __init__(self, address: str, settings: Callable[[], "Settings"]) -> None:
        """Raises FaultsFound if the address is none."""
        try:
            self._parts = urlsplit(address)
            is_address = self._parts.scheme in ("http", "https") and self._parts.hostname and self._parts.port != 0
        except ValueError:  # brackets that don't match, a port that is no number
            is_address = False
        if not is_address:
            raise FaultsFound([Fault("--to", f"{address} is no address", "write http://HOST:PORT or https://HOST")])
        self._address = address.rstrip("/").removesuffix(POSTS_PATH)
        self._settings = settings
        self._line: http.client.HTTPConnection | None = None
        self._must_prove = False

    def send(self, posts: Sequence[Json]) -> None:
        """Send them in one request, again and again while it has no room. Raises Refused or Unavailable."""
        body = json.dumps(posts[0] if len(posts) == 1 else posts, ensure_ascii=False).encode(errors="replace")
        deadline, wait_s = time.monotonic() + PATIENCE_S, FIRST_WAIT_S
        while True:
            why, after_s = self._try(body)
            if not why:
                return
            if time.monotonic() + (after_s or wait_s) > deadline:
                raise Unavailable(f"{self._address} does not take posts: {why}")
            time.sleep(after_s or wait_s)
            wait_s = min(2.0, wait_s * 2)

    def close(self) -> None:
        """Disconnect."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _try(self, body: bytes) -> tuple[str, float]:
        """Why it did not take them now, nothing if it did, and when to come back. Raises Refused."""
        try:
            status, retry_after, answer = self._post(body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return str(error) or type(error).__name__, 0.0
        if status == 401 and not self._must_prove:
            self._must_prove = True
            return self._try(body)
        if status == 202:
            return "", 0.0
        if status in (429, 503):
            return _detail(answer), float(retry_after) if retry_after.isdigit() else 0.0
        kind = RefusedTogether if status in (400, 413) else Refused
        raise kind(f"{self._address} answered {status}: {_detail(answer)}")

    def _post(self, body: bytes) -> tuple[int, str, bytes]:
        headers = {"Content-Type": "application/json"} | (self._proof(body) if self._must_prove else {})
        if self._line is None:
            kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
            self._line = kind(self._parts.hostname or "", self._parts.port, timeout=REQUEST_S)
        self._line.request("POST", urlsplit(self._address).path + POSTS_PATH, body, headers)
        answer = self._line.getresponse()
        return answer.status, answer.headers.get("Retry-After", ""), answer.read(MAX_ANSWER_BYTES)

    def _proof(self, body: bytes) -> dict[str, str]:
        from ingest.http.keys import proof

        door = self._settings().door
        try:
            found = proof(door.signing_keys(), door.tokens(), body)
        except (OSError, ValueError) as error:
            raise FaultsFound([Fault("door", str(error), "mend door.secret_file or door.token_file")]) from None
        if not found:
            mend = "set door.token or door.secret to one of its own, such as PLAINT_DOOR__TOKEN"
            raise FaultsFound([Fault("door", "it asks who sends, and the settings have no secret or token", mend)])
        return found


def _detail(answer: bytes) -> str:
    """What a door says is wrong."""
    try:
        problem = json.loads(answer)
        faults = [f"{fault['pointer']}: {fault['detail']}" for fault in problem.get("errors", [])]
        return "; ".join(faults) or str(problem["detail"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return answer[:200].decode(errors="replace")


class KafkaTopic:
    """plaint.posts of your own Kafka."""

    def __init__(self, kafka: "KafkaSettings") -> None:
        self._kafka = kafka
        self._publisher: PostPublisher | None = None

    def send(self, posts: Sequence[Json]) -> None:
        """Raises Refused for a post that is none, Unavailable; FaultsFound before the first one if there is no topic."""
        from pydantic import ValidationError

        from ingest.publish import PostPublisher
        from ingest.source import Found as FoundPost
        from schemas.post import Post
        from schemas.record import faults

        try:
            found = [Post.model_validate(post) for post in posts]
        except ValidationError as error:
            raise RefusedTogether(faults(error)) from None
        if self._publisher is None:
            self._require_topics()
            self._publisher = PostPublisher(self._kafka.connection(), self._kafka.idempotent_producer)
        dead = self._publisher.dead.total()
        for post in found:
            self._publisher.put(FoundPost(post, post.id, post.text.encode(errors="replace")), SOURCE)
        self._publisher.drain()
        if self._publisher.dead.total() > dead:
            raise Refused("a post is too large: it is a dead letter now")

    def _require_topics(self) -> None:
        """Raises FaultsFound or BrokerAway at once, where the publisher would wait for a topic."""
        from plaint.kafka.admin import open_admin
        from schemas.topics import DEAD_LETTERS, POSTS

        with open_admin(self._kafka, PATIENCE_S) as admin:
            there = admin.list_topics()
        mend = "start plaint, or run `plaint topics --create`; `plaint topics --print` has the rights"
        missing = [name for name in (POSTS, DEAD_LETTERS) if name not in there]
        if missing:
            raise FaultsFound([Fault(name, "does not exist, or this user may not see it", mend) for name in missing])

    def close(self) -> None:
        """Disconnect."""
        if self._publisher is not None:
            self._publisher.close()


def posts_in(lines: Iterable[bytes], complain: Callable[[int, str], None]) -> Iterator[Json]:
    """The posts in JSON Lines; one without an id gets one that is made of its content, so that it repeats itself.

    ``complain`` is told of each line that is no post.
    """
    from ingest.decode import post_from_json
    from ingest.lines import without_mark
    from schemas.record import RecordInvalid

    for number, line in enumerate(without_mark(lines), start=1):
        if not line.strip():
            continue
        try:
            yield post_from_json(_with_id(line)).model_dump(mode="json", exclude_unset=True, exclude_none=True)
        except RecordInvalid as refusal:
            complain(number, refusal.detail)


def _with_id(line: bytes) -> bytes:
    try:
        given = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(given, dict) or "id" in given:
        return line
    return json.dumps({"id": "line:" + blake2b(line.strip(), digest_size=16).hexdigest(), **given}).encode()


def batches(posts: Iterable[Json]) -> Iterator[list[Json]]:
    """As many as go into one request."""
    batch: list[Json] = []
    size = 0
    for post in posts:
        grown = len(json.dumps(post, ensure_ascii=False).encode(errors="replace"))
        if batch and (len(batch) >= BATCH_POSTS or size + grown > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(post)
        size += grown
    if batch:
        yield batch


def send_all(target: Target, posts: Iterable[Json]) -> Iterator[tuple[list[Json], str]]:
    """Send them in as many requests as it takes: the posts of each, and why they were refused, nothing if they were taken.

    A post that is refused takes no other along, and a target that takes fewer at once gets fewer. Raises Unavailable.
    """
    for batch in batches(posts):
        waiting = [batch]
        while waiting:
            some = waiting.pop()
            try:
                target.send(some)
            except Refused as refusal:
                if isinstance(refusal, RefusedTogether) and len(some) > 1:
                    half = len(some) // 2
                    waiting += [some[half:], some[:half]]
                else:
                    yield some, f"{shown(some[0]['id'])}: {refusal}" if len(some) == 1 else str(refusal)
            else:
                yield some, ""


def tickets_of(posts: Sequence[Json], sent_at: float, inbox: str, patience_s: float) -> list[Json]:
    """The tickets of these posts in this inbox, once each post has one and no other follows; after so long those there are.

    ``sent_at`` is when sending began, in seconds since the epoch: a ticket that an edit or a delete did not reach yet, which
    still says what the post said before, is not one of them. Raises Unavailable.
    """
    from schemas.ticket import ticket_key

    parts = urlsplit(inbox)
    deadline = time.monotonic() + patience_s
    found: dict[str, list[Json]] = {}
    changed = time.monotonic()
    while True:
        line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
        try:
            queues = (_ask(line, "/api/stats") or {})["queues"]
            now: dict[str, list[Json]] = {}
            for post in posts:
                id_ = post["id"].encode(errors="replace").decode()
                least = sent_at if post.get("event", "create") != "create" else 0.0
                held = [_ask(line, f"/api/tickets/{ticket_key(id_, queue)}") for queue in queues]
                now[id_] = [ticket for ticket in held if ticket is not None and ticket["updated_at"] >= least]
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            raise Unavailable(f"the inbox at {inbox} does not answer: {error}") from None
        finally:
            line.close()
        if now != found:
            found, changed = now, time.monotonic()
        is_whole = all(found.values()) and time.monotonic() - changed >= TICKETS_APART_S
        if is_whole or time.monotonic() > deadline:
            return [ticket for tickets in found.values() for ticket in tickets]
        time.sleep(TICKET_CHECK_S * max(1, len(posts)))


def _ask(line: http.client.HTTPConnection, path: str) -> Json | None:
    """The answer of an inbox; None for a ticket that it doesn't have."""
    line.request("GET", path)
    answer = line.getresponse()
    body = answer.read()
    found: Json = json.loads(body)
    return None if answer.status == HTTPStatus.NOT_FOUND else found

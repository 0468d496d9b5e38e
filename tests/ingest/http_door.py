"""A real door for tests: its server in a thread, with a publisher of the test's own or one on a real broker."""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import uvloop

from ingest.http.handlers import Publisher
from ingest.http.server import listen, opened
from ingest.http.settings import DoorSettings
from ingest.publish import PostTooLarge
from plaint.monitoring.ingesting import DoorMeter
from plaint.monitoring.metrics import DOOR_REQUESTS
from plaint.monitoring.readings import Readings
from schemas.post import Post
from schemas.record import MAX_RECORD_BYTES

SECRETS = tuple("whsec_" + text * 8 for text in ("c2Vj", "cmV0"))
TOKENS = ("a-token-for-tests-1", "a-token-for-tests-2")
POST = {"id": "1", "text": "My router is dead"}


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def pointers(self) -> list[str]:
        return [fault["pointer"] for fault in self.json["errors"]]


@dataclass
class Door:
    """A door that is open."""

    port: int
    meter: DoorMeter = field(default_factory=DoorMeter)
    failures: list[Exception] = field(default_factory=list)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            line.request(method, path, body, dict(headers or {}))
            answer = line.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read())
        finally:
            line.close()

    def post(self, body: object, **headers: str) -> Answer:
        """``body`` as JSON, or as it is if it is bytes; ``webhook_id`` stands for the header webhook-id."""
        given = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", "/v1/posts", raw, given)

    def counted(self, name: str = "plaint_door_requests_total") -> dict[tuple[str, ...], float]:
        """The samples of this name that are not 0, by their labels: those of an answer are its status and why."""
        readings = Readings("ingest")
        self.meter.read(readings)
        found = [sample for family in readings.families() for sample in family.samples if sample.name == name]
        return {tuple(one.labels.values())[1:]: one.value for one in found if one.value}

    def raw(self, data: bytes, timeout_s: float = 60) -> bytes:
        """What is answered to these bytes, until the other end closes or says nothing more."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as line:
            with suppress(ConnectionError):
                line.sendall(data)
            return read_all(line)


def read_all(line: socket.socket) -> bytes:
    found = b""
    with suppress(TimeoutError, ConnectionError):
        while part := line.recv(65536):
            found += part
    return found


class Shelf:
    """A publisher that keeps what it is offered; ``acknowledges`` with this error, or not at all until told."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.acknowledges = True
        self.refusal: Exception | None = None
        self.raises: Exception | None = None
        self.refuses: list[Exception] = []
        """What the next offers raise, one after the other."""
        self.wait_s = 0.0
        self.waiting: list[Callable[[Exception | None], None]] = []

    def offer(self, posts: Sequence[Post], source: str, ended: Callable[[Exception | None], None]) -> None:
        if self.refuses:
            raise self.refuses.pop(0)
        if self.raises:
            raise self.raises
        for index, post in enumerate(posts):
            if (size := len(post.model_dump_json(exclude_unset=True))) > MAX_RECORD_BYTES:
                raise PostTooLarge(index, size)
        self.posts += posts
        if self.acknowledges:
            ended(self.refusal)
        else:
            self.waiting.append(ended)

    def offers_wait_s(self) -> float:
        return self.wait_s


class Running:
    """The thread of a door."""

    def __init__(self, settings: DoorSettings, publisher: Publisher) -> None:
        listener = listen(settings)
        self.door = Door(listener.getsockname()[1])
        self._stop: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._ready = threading.Event()
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(settings, listener, publisher), daemon=True)
        self._thread.start()
        assert self._ready.wait(60)
        for error in self._errors:
            listener.close()
            raise error

    def _run(self, settings: DoorSettings, listener: socket.socket, publisher: Publisher) -> None:
        async def serve() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            async with opened(settings, listener, publisher, "0.0", self.door.failures.append, self.door.meter):
                self._ready.set()
                await self._stop.wait()

        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve())
        except BaseException as error:
            self._errors.append(error)
        self._ready.set()

    def close(self, wait_s: float = 60) -> None:
        """Ask it to close, and wait until it has."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(wait_s)
        assert not self._thread.is_alive(), "the door does not end"
        assert self.door.counted().keys() <= set(DOOR_REQUESTS.sets or ()), "an answer that is not declared"

    def ask_to_close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)


@contextmanager
def open_door(publisher: Publisher, **settings: Any) -> Iterator[Door]:
    """A door on a free port until the block ends."""
    running = Running(DoorSettings.model_validate({"port": 0, **settings}), publisher)
    try:
        yield running.door
    finally:
        running.close()

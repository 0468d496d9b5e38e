"""A wire between the deliver workers and the receiver: notes every request, and can refuse connections as if nobody were there.

Each worker gets a door of its own, so that who sent what is known without asking the program.
"""

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
WEBHOOK_ID = re.compile(rb"\r\nwebhook-id: *([^\r\n]+)\r\n", re.IGNORECASE)
LOOK_S = 0.05
STEPS = 3
"""A connection, a head and a body: so often a request waits for the wire."""


@dataclass(slots=True)
class Request:
    """One request: seconds since the epoch at which its body had come, and its answer's (None: it got none).

    ``dropped``: the receiver took the line down without an answer.
    """

    at: float
    worker: str
    webhook_id: str
    status: int | None = None
    answered_at: float | None = None
    dropped: bool = False


class Wiretap:
    """Doors on free ports of 127.0.0.1, all leading to ``upstream``; runs in a thread of its own."""

    def __init__(self, upstream: int) -> None:
        self.requests: list[Request] = []
        self.connections: Counter[str] = Counter()
        self.late_s = 0.0
        """How much later than it came a request may have been noted, since the machine was busy: by the longest wait seen."""
        self._upstream = upstream
        self._doors: dict[str, int] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._lines: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wiretap", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._looking = asyncio.run_coroutine_threadsafe(self._look(), self._loop)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._looking.cancel()
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def door(self, worker: str) -> int:
        """The port at which ``worker`` reaches the receiver."""
        if worker not in self._doors:
            self._doors[worker] = 0
            self._do(self._listen(worker))
        return self._doors[worker]

    def shut(self) -> None:
        """Refuse connections and cut those there are, as when the receiver's process has died."""
        self._do(self._shut())

    def open(self) -> None:
        """Listen again at the same ports."""
        for worker in self._doors:
            self._do(self._listen(worker))

    def sent(self, since: float = 0.0, until: float = float("inf")) -> list[Request]:
        """The requests of a time."""
        return [request for request in list(self.requests) if since <= request.at < until]

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _look(self) -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(LOOK_S)
            self.late_s = max(self.late_s, STEPS * (time.monotonic() - begun - LOOK_S))

    async def _listen(self, worker: str) -> None:
        server = await asyncio.start_server(
            lambda reader, writer: self._serve(worker, reader, writer), "127.0.0.1", self._doors[worker], limit=1 << 20
        )
        self._doors[worker] = server.sockets[0].getsockname()[1]
        self._servers[worker] = server

    async def _shut(self) -> None:
        for server in self._servers.values():
            server.close()
        self._servers.clear()
        for line in list(self._lines):
            line.transport.abort()

    async def _close(self) -> None:
        await self._shut()
        for _ in range(200):
            if len(asyncio.all_tasks()) == 1:
                return
            await asyncio.sleep(0.05)

    async def _serve(self, worker: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.add(writer)
        self.connections[worker] += 1
        line: list[asyncio.StreamWriter] = [writer]
        try:
            await self._relay(worker, reader, writer, line)
        except (asyncio.IncompleteReadError, OSError):
            pass  # one of the two ends is gone: so is the line
        finally:
            self._lines.discard(writer)
            for end in line:
                end.transport.abort()

    async def _relay(
        self, worker: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: list[asyncio.StreamWriter]
    ) -> None:
        up_reader: asyncio.StreamReader | None = None
        while True:
            message = await _message(reader)
            request = Request(time.time(), worker, _found(WEBHOOK_ID, message))
            self.requests.append(request)
            if up_reader is None:
                up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream, limit=1 << 20)
                line.append(up_writer)
            up_writer.write(message)
            try:
                answer = await _answer(up_reader, reader)
            except (asyncio.IncompleteReadError, OSError):
                request.dropped = True
                raise
            if answer is None:
                return
            request.status, request.answered_at = int(answer[9:12]), time.time()
            writer.write(answer)


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(int(_found(LENGTH, head) or 0))


async def _answer(upstream: asyncio.StreamReader, sender: asyncio.StreamReader) -> bytes | None:
    """The answer; None if the sender hangs up before it comes. Raises IncompleteReadError or OSError if none will come."""
    answer, gone = asyncio.create_task(_message(upstream)), asyncio.create_task(sender.read(1))
    try:
        await asyncio.wait([answer, gone], return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else None
    finally:
        for task in (answer, gone):
            task.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)


def _found(pattern: re.Pattern[bytes], message: bytes) -> str:
    found = pattern.search(message)
    return found[1].decode() if found else ""

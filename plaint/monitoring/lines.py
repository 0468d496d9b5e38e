"""The connections of clients that ask a process, in bounds: whoever says nothing, or too little, keeps nobody else out."""

import socket
from contextlib import suppress
from threading import Lock


class Lines:
    """At most ``most`` at once, each with ``head_s`` to say all that it asks; for use by several threads.

    A line that is hung up on is closed by the thread that reads from it, which sees its end.
    """

    def __init__(self, most: int, head_s: float) -> None:
        self._most = most
        self._head_s = head_s
        self._open: set[socket.socket] = set()
        self._asking: dict[socket.socket, float] = {}
        """Those whose head has not come yet, the oldest first, with the time by which it must have."""
        self._lock = Lock()

    def take(self, line: socket.socket, now: float) -> bool:
        """Whether a new one may stay. Where there are too many, that goes which has been about to ask for longest."""
        with self._lock:
            if len(self._open) >= self._most and not self._hang_up_oldest():
                return False
            self._open.add(line)
            self._asking[line] = now + self._head_s
            return True

    def heard(self, line: socket.socket) -> None:
        """Its head has come."""
        with self._lock:
            self._asking.pop(line, None)

    def closed(self, line: socket.socket) -> None:
        """It is no more."""
        with self._lock:
            self._open.discard(line)
            self._asking.pop(line, None)

    def hang_up(self, now: float) -> float | None:
        """Hang up on those that are late; in how many seconds the next one will be, None if nobody is about to ask."""
        with self._lock:
            while self._asking:
                left_s = next(iter(self._asking.values())) - now
                if left_s > 0:
                    return left_s
                self._hang_up_oldest()
            return None

    def _hang_up_oldest(self) -> bool:
        if not self._asking:
            return False
        line = next(iter(self._asking))
        del self._asking[line]
        with suppress(OSError):  # its client has hung up
            line.shutdown(socket.SHUT_RDWR)
        return True

"""The connections of a client of kafka-python, held from outside: its constructor leaves them behind when it fails."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kafka.net.compat import KafkaNetClient

GRACE_S = 0.5
"""What a client gets beyond its own limit, to say by itself what went wrong."""


class Connections:
    """``make`` goes to the client as its ``kafka_client``. ``are_late`` is set once a time was up."""

    def __init__(self) -> None:
        self.are_late = False
        self._made: list[KafkaNetClient] = []

    def make(self, **config: object) -> KafkaNetClient:
        """What the client calls to make its connections."""
        self._made.append(KafkaNetClient(**config))
        return self._made[-1]

    def drop(self) -> None:
        """End the client's thread; who waits for an answer gets a KafkaConnectionError. Any thread may call it."""
        for connections in self._made:
            connections._net.stop()
            with suppress(RuntimeError):  # its loop has ended before it could be told
                connections.close()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Drop them when the time is up. The client's own timeouts leave out a TLS handshake that nobody answers."""
        timer = threading.Timer(seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end(self) -> None:
        self.are_late = True
        self.drop()

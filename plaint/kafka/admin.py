"""kafka-python's admin client, opened and closed without leftovers."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, RetriableError
from kafka.net.compat import KafkaNetClient

from plaint.kafka.reaching import no_answer, why_away
from plaint.kafka.settings import KafkaSettings

USE_S = 60.0


class BrokerAway(Exception):
    """No broker answered in time: not now, try again later."""


class _LastReason(logging.Handler):
    """The client tries until its time is up and then says only that: keep why the last try failed, which it logs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple) and str(record.msg).startswith("Bootstrap connection"):
            self.text = str(record.args[1])


class _Connections:
    """The client's connections, held from outside: its constructor leaves them behind when it fails."""

    def __init__(self) -> None:
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
        timer = threading.Timer(seconds, self.drop)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


@contextmanager
def open_admin(kafka: KafkaSettings, timeout_s: float) -> Iterator[KafkaAdminClient]:
    """A connected client, to be used for less than a minute.

    Raises BrokerAway if none of the brokers answers within ``timeout_s``, or if they stop answering inside.
    """
    if why := why_away(kafka.brokers, timeout_s):  # the client would tell, but it leaks a socket for each refusal
        raise BrokerAway(why)
    connections = _Connections()
    client = _connect(kafka, timeout_s, connections)
    try:
        with connections.within(USE_S):
            yield client
    except (
        RetriableError,
        RuntimeError,
    ) as error:  # RuntimeError: its connections were dropped, or no controller found
        raise BrokerAway(f"{', '.join(kafka.brokers)}: {error}") from error
    finally:
        with suppress(KafkaError):
            client.close()


def _connect(kafka: KafkaSettings, timeout_s: float, connections: _Connections) -> KafkaAdminClient:
    reason = _LastReason()
    logger = logging.getLogger("kafka.net.manager")
    logger.addHandler(reason)
    try:
        with connections.within(timeout_s + 0.5):
            return KafkaAdminClient(
                **kafka.connection(),
                client_id="plaint-admin",
                bootstrap_timeout_ms=int(timeout_s * 1000),
                request_timeout_ms=int(timeout_s * 1000),
                reconnect_backoff_max_ms=1000,
                kafka_client=connections.make,
            )
    except (KafkaError, RuntimeError) as error:
        connections.drop()
        raise BrokerAway(no_answer(kafka, reason.text or str(error))) from error
    finally:
        logger.removeHandler(reason)

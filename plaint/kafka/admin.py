"""kafka-python's admin client, opened and closed without leftovers."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, RetriableError
from kafka.net.compat import KafkaNetClient

from plaint.kafka.settings import KafkaSettings


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


def _reach(brokers: tuple[str, ...], timeout_s: float) -> None:
    """Return if one of the brokers accepts a connection. The client would do, but it leaks a socket for each refusal."""
    reasons = []
    for broker in brokers:
        host, _, port = broker.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=timeout_s / len(brokers)).close()
        except OSError as error:
            reasons.append(f"{broker}: {error.strerror or error}")
        else:
            return
    raise BrokerAway(f"no broker answers: {'; '.join(reasons) or 'kafka.brokers is empty'}")


@contextmanager
def open_admin(kafka: KafkaSettings, timeout_s: float) -> Iterator[KafkaAdminClient]:
    """A connected client. Raises BrokerAway if none of the brokers answers within ``timeout_s``, or stops answering inside."""
    made: list[KafkaNetClient] = []

    def keep(**config: object) -> KafkaNetClient:
        made.append(KafkaNetClient(**config))
        return made[-1]

    _reach(kafka.brokers, timeout_s)
    reason = _LastReason()
    logger = logging.getLogger("kafka.net.manager")
    logger.addHandler(reason)
    try:
        client = KafkaAdminClient(
            **kafka.connection(),
            client_id="plaint-admin",
            bootstrap_timeout_ms=int(timeout_s * 1000),
            request_timeout_ms=int(timeout_s * 1000),
            reconnect_backoff_max_ms=1000,
            kafka_client=keep,
        )
    except KafkaError as error:
        for half_open in made:  # the constructor starts a thread and leaves it behind when it fails
            half_open._net.stop()
            half_open.close()
        raise BrokerAway(
            f"no answer from {', '.join(kafka.brokers)}: {reason.text or error}. "
            f"If it runs: kafka.security_protocol is {kafka.security_protocol}, are protocol, user and password right?"
        ) from error
    finally:
        logger.removeHandler(reason)
    try:
        yield client
    except RetriableError as error:
        raise BrokerAway(f"{', '.join(kafka.brokers)}: {error}") from error
    finally:
        with suppress(KafkaError):
            client.close()

"""kafka-python's admin client, opened and closed without leftovers."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, RetriableError, SaslAuthenticationFailedError

from ingest.connections import GRACE_S, Connections
from plaint.kafka.certificate import is_refused
from plaint.kafka.reaching import no_answer, none_accepts, why_refused
from plaint.kafka.settings import KafkaSettings
from schemas.faults import Unavailable

USE_S = 60.0


class BrokerAway(Unavailable):
    """No broker answered in time: not now, try again later."""


class _Reason(logging.Handler):
    """The client tries until its time is up and then says only that: keep why the last try failed, which it logs.

    A login or a certificate that was refused outweighs what comes after it: the client often misses the broker's word for it,
    and the last try may find no time to hear it.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.error: object = None

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(self.error, SaslAuthenticationFailedError) or is_refused(self.error):
            return
        if isinstance(record.args, tuple) and str(record.msg).startswith("Bootstrap connection"):
            self.error = record.args[1]


@contextmanager
def open_admin(kafka: KafkaSettings, timeout_s: float) -> Iterator[KafkaAdminClient]:
    """A connected client, to be used for less than a minute.

    Raises BrokerAway if none of the brokers answers within ``timeout_s``, or if they stop answering inside.
    """
    client, connections = _connect(kafka, timeout_s)
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


def _connect(kafka: KafkaSettings, timeout_s: float) -> tuple[KafkaAdminClient, Connections]:
    """By one broker after the other: the client itself picks one and gives it all of its time, also where it hangs.

    Each that accepts a connection gets half of the time that is left, the last one all of it: as much as a broker far away
    needs for a login. Whether one accepts is tried first, since the client leaks a socket for each refusal.
    """
    deadline = time.monotonic() + timeout_s
    tried: dict[str, str] = {}
    failure: Exception | None = None
    with _reason_of_failure() as reason:
        for number, broker in enumerate(kafka.brokers, start=1):
            behind = len(kafka.brokers) - number
            tried[broker] = why_refused(broker, max(0.1, deadline - time.monotonic()) / (behind + 1))
            if tried[broker]:
                continue
            left = max(0.1, deadline - time.monotonic())
            try:
                return _connected(kafka, broker, left / 2 if behind else left, timeout_s)
            except (KafkaError, RuntimeError) as error:
                failure = error
    if failure is None:
        raise BrokerAway(none_accepts(tried))
    raise BrokerAway(no_answer(kafka, str(reason.error or failure))) from failure


@contextmanager
def _reason_of_failure() -> Iterator[_Reason]:
    reason = _Reason()
    logger = logging.getLogger("kafka.net.manager")
    logger.addHandler(reason)
    try:
        yield reason
    finally:
        logger.removeHandler(reason)


def _connected(
    kafka: KafkaSettings, broker: str, limit_s: float, timeout_s: float
) -> tuple[KafkaAdminClient, Connections]:
    connections = Connections()
    try:
        with connections.within(limit_s + GRACE_S):
            client = KafkaAdminClient(
                **kafka.model_copy(update={"brokers": (broker,)}).connection(),
                client_id="plaint-admin",
                bootstrap_timeout_ms=int(limit_s * 1000),
                request_timeout_ms=int(timeout_s * 1000),
                reconnect_backoff_max_ms=1000,
                kafka_client=connections.make,
            )
    except BaseException:
        connections.drop()
        raise
    return client, connections

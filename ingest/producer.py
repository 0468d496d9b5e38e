"""The producer of kafka-python that ingest writes with: connected by whichever broker answers, and patient from then on."""

import time
from collections.abc import Mapping
from typing import Any

from kafka import KafkaProducer
from kafka.cluster import ClusterMetadata
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.future import Future
from kafka.net.compat import KafkaNetClient

from ingest.connections import GRACE_S, Connections

TRY_S = 10.0
"""What a broker gets to answer before another one is asked."""


def connected_producer(connection: Mapping[str, Any], idempotent: bool, timeout_s: float) -> KafkaProducer:
    """A producer with these options of kafka-python. Raises KafkaError if no broker answers in time.

    The client picks a broker and gives it all of its time, also where it hangs: so it gets little, again and again.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return _tried(connection, idempotent, timeout_s, min(TRY_S, deadline - time.monotonic()))
        except KafkaError as error:
            if time.monotonic() >= deadline or not isinstance(error, KafkaTimeoutError):
                raise


def _tried(connection: Mapping[str, Any], idempotent: bool, block_s: float, connect_s: float) -> KafkaProducer:
    connections = Connections()

    def make(**config: Any) -> KafkaNetClient:
        client = connections.make(**config)
        # The producer has an option of this name and passes it on to nobody. A topic that the brokers make has their settings.
        client.cluster.config["allow_auto_create_topics"] = False
        _ask_once(client.cluster)
        return client

    try:
        with connections.within(connect_s + GRACE_S):
            producer = KafkaProducer(
                **connection,
                client_id="plaint-ingest",
                acks="all",
                enable_idempotence=idempotent,
                max_in_flight_requests_per_connection=5 if idempotent else 1,  # the order of a key's records
                delivery_timeout_ms=float("inf"),  # retry as long as it takes
                retry_backoff_ms=200,
                reconnect_backoff_max_ms=2_000,
                linger_ms=5,
                batch_size=64 * 1024,
                max_block_ms=int(block_s * 1000),
                bootstrap_timeout_ms=int(connect_s * 1000),
                metrics_enabled=False,
                kafka_client=make,
            )
        if not connections.are_late:
            return producer
    except (KafkaError, RuntimeError):
        connections.drop()
        if not connections.are_late:
            raise
    raise KafkaTimeoutError(f"nothing within {connect_s:.0f} s")


def _ask_once(cluster: ClusterMetadata) -> None:
    """Wake the client for newer metadata only where nobody has asked for them yet.

    The producer asks in each of its rounds while a partition has no leader, and each question began another round at once:
    tens of thousands a second.
    """
    ask = cluster.request_update
    asked: Future | None = None

    def ask_once() -> Future:
        nonlocal asked
        if asked is None or asked.is_done:
            asked = ask()
        return asked

    cluster.request_update = ask_once

"""Whether a broker can be reached, and what is said if none can: the same by every command, whatever client it uses."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Protocol

from aiokafka.errors import KafkaConnectionError

from plaint.kafka.answering import give_up_the_silent
from plaint.kafka.settings import KafkaSettings
from schemas.faults import Unavailable

REACH_S = 10.0


class Startable(Protocol):
    """A client of aiokafka."""

    async def start(self) -> None:
        """Connect."""


async def start_client(client: Startable, kafka: KafkaSettings) -> None:
    """Connect a client that a person waits for. Raises Unavailable if no broker answers, and else as the client does."""
    give_up_the_silent()
    if why := await asyncio.to_thread(why_away, kafka.brokers, REACH_S):
        raise Unavailable(why)
    try:
        await client.start()
    except KafkaConnectionError as error:  # it names addresses, and no reason
        raise Unavailable(no_answer(kafka, "the connection fails")) from error


def why_away(brokers: Sequence[str], timeout_s: float) -> str:
    """Why none of the brokers accepts a connection; empty if one does."""
    tried = {}
    for broker in brokers:
        why = why_refused(broker, timeout_s / len(brokers))
        if not why:
            return ""
        tried[broker] = why
    return none_accepts(tried)


def why_refused(broker: str, timeout_s: float) -> str:
    """Why this broker accepts no connection; empty if it does."""
    host, _, port = broker.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=timeout_s).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def none_accepts(tried: Mapping[str, str]) -> str:
    """Of brokers that accept no connection, each with why."""
    reasons = "; ".join(f"{broker}: {why}" for broker, why in tried.items())
    return f"no broker answers: {reasons or 'kafka.brokers is empty'}"


def no_answer(kafka: KafkaSettings, why: str) -> str:
    """Of brokers that accept a connection and don't talk."""
    return (
        f"no answer from {', '.join(kafka.brokers)}: {why}. "
        f"If it runs: kafka.security_protocol is {kafka.security_protocol}, {are_right(kafka)}?"
    )


def are_right(kafka: KafkaSettings) -> str:
    """The question after what a broker may have against this client."""
    if kafka.ssl_certfile is not None:
        more = "" if kafka.security_protocol == "SSL" else ", user, password"
        return f"are protocol{more} and the certificate in kafka.ssl_certfile right"
    wants = ", or does it want a certificate (kafka.ssl_certfile)" if kafka.security_protocol.endswith("SSL") else ""
    return f"are protocol, user and password right{wants}"

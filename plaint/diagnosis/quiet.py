"""Keeps the Kafka clients from talking into what a person reads: what they meet is told in plaint's words."""

import logging

CLIENTS = ("kafka", "aiokafka", "asyncio")


def hush() -> None:
    """From now on nothing that they log reaches the terminal; who listens to one of their loggers still hears it."""
    for name in CLIENTS:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())

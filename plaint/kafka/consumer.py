"""The consumers that plaint makes, other than Faust's."""

from typing import Any

from aiokafka import AIOKafkaConsumer

from plaint.kafka.answering import give_up_the_silent
from plaint.kafka.header_names import read_any_header_name
from plaint.kafka.resting import rest_while_away
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.stopping import stop_while_away

FETCH_WAIT_MS = 500
"""How long the broker may hold a fetch back for news. With less the embedded broker can't be read."""


def new_consumer(kafka: KafkaSettings, **options: Any) -> AIOKafkaConsumer:
    """A consumer, not started yet. It begins with the earliest record, and nothing is acknowledged by itself."""
    read_any_header_name()
    rest_while_away()
    give_up_the_silent()
    stop_while_away()
    return AIOKafkaConsumer(
        **kafka.connection(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        **options,
    )

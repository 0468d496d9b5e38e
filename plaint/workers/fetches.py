"""Makes what a fetch brought from one partition a single message of Faust's, so that its cost a message is paid a fetch.

Faust spends about 80 µs on each message: two tasks in its drain loop, a queue, a stream, its sensors (measured on one core).
Groups, rebalances, flow control, acknowledging and committing stay Faust's; only the unit is larger. A message's offset is
that of its last record, so to acknowledge it is to acknowledge all of them.
"""

from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from plaint.kafka.consumer import FETCH_WAIT_MS
from plaint.kafka.namesake import tell_of_namesakes

Fetches = AsyncIterator[tuple[TP, "Fetch"]]


class Fetch(ConsumerMessage):  # type: ignore[misc]
    """Records of one partition, in order and at least one. Faust sees one message without key or value."""

    __slots__ = ("records",)

    def __init__(self, tp: TP, records: list[Any], generation_id: int) -> None:
        last = records[-1]
        super().__init__(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000,
            last.timestamp_type,
            None,
            None,
            None,
            None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=tp,
            generation_id=generation_id,
        )
        self.records = records


class _Thread(AIOKafkaConsumerThread):  # type: ignore[misc]
    def _create_worker_consumer(self, transport: Transport) -> AIOKafkaConsumer:
        tell_of_namesakes()
        consumer = super()._create_worker_consumer(transport)
        # With Faust's own 1,500 the embedded broker answers up to 700 ms late.
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer


class _NoOffsets(dict[TP, int | None]):
    """Where Faust notes the last message that it passed on, to drop what comes again. It notes it too late: a message that
    was held up by a rebalance is noted after the seek of that rebalance, and all before it that is read again was dropped."""

    def __missing__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        pass

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is noted."""


class FetchConsumer(Consumer):  # type: ignore[misc]
    """Faust's consumer on aiokafka, with fetches for messages.

    Those of a partition must be acknowledged in their order: an offset is committed with all before it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _NoOffsets()

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> Fetches:
        """Wait up to ``timeout`` seconds for records. What a rebalance makes stale is left out and read again after it.

        Records that came while a rebalance went on may be from before its seek or from after it: nobody knows, so they are
        dropped, and reading goes back to them, where it is not further back.
        """
        generation = self.app.consumer_generation_id
        records, active = await self._wait_next_records(timeout)
        if not records or self.should_stop:
            return
        for tp, found in records.items():
            if not found:
                continue
            stale = not self.flow_active or self.app.consumer_generation_id != generation
            if stale or not (active is None or tp in active or tp in self._buffered_partitions):
                await self._read_again(tp, found[0].offset)
            else:
                yield tp, Fetch(tp, found, generation)

    async def _read_again(self, tp: TP, offset: int) -> None:
        """Let reading go on at ``offset`` at the latest; a seek may have set it back further meanwhile."""
        if tp in self.assignment():
            position = await self.position(tp)
            if position is None or position > offset:
                await self._seek(tp, offset)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets between two messages are records of the second: nothing is missing."""

    def _new_offset(self, tp: TP) -> int | None:
        acknowledged = self._acked[tp]
        if not acknowledged:
            return None
        last: int = max(acknowledged)
        acknowledged.clear()
        self._acked_index[tp].clear()
        return last + 1


for service in (_Thread, FetchConsumer):  # Faust gives each a logger of its module: theirs are as quiet as Faust's
    service.logger = Consumer.logger


class FetchTransport(Transport):  # type: ignore[misc]
    """Faust's transport on aiokafka with such a consumer."""

    Consumer = FetchConsumer

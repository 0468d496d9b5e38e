"""Dead letters of the deliver stage."""

from collections.abc import Callable, Sequence

from plaint.kafka.publisher import NotWritten, OutRecord, Publisher
from route.delivery.courier import Dead
from route.delivery.intake import STAGE
from schemas import topics
from schemas.deadletter import DeadLetter


class Graveyard:
    """Both methods return once the broker has the letters; if it does not take them, ``fatal`` is called."""

    def __init__(self, publisher: Publisher, destination: str, fatal: Callable[[BaseException], object]) -> None:
        self._publisher = publisher
        self._log = topics.deliveries(destination)
        self._fatal = fatal

    async def bury_ticket(self, dead: Dead) -> None:
        """A ticket that will never be delivered; its place is that of its record in the delivery log."""
        place = topics.place(self._log, dead.partition, dead.item.offset)
        letter = DeadLetter.of(dead.reason, STAGE, place, dead.detail, dead.body, dead.item.key.encode())
        await self.bury_records([letter], dead.partition)

    async def bury_records(self, letters: Sequence[DeadLetter], partition: int) -> None:
        """Records of the tickets topic that are no tickets."""
        try:
            await self._publisher.publish(
                OutRecord(topics.DEAD_LETTERS, partition, letter.key, letter.value, letter.headers())
                for letter in letters
            )
        except NotWritten as error:
            self._fatal(error)

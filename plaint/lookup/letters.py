"""Dead letters and the marks of those that were sent again, read from ``plaint.deadletters``."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import ValidationError

from plaint.kafka.reading import EARLIEST, Progress, Start, Stored, TopicReader
from plaint.lookup.explanation import Letter, Replay
from schemas.deadletter import DeadLetter, Replayed
from schemas.topics import DEAD_LETTERS


@dataclass(slots=True)
class HeldLetter:
    """A dead letter, where it lies, and what was done about it."""

    record: Stored
    letter: DeadLetter
    replays: list[Replay] = field(default_factory=list)
    certain: bool = True

    @property
    def id(self) -> str:
        """Its partition and offset: ``2@17``."""
        return f"{self.record.partition}@{self.record.offset}"

    def shape(self) -> Letter:
        """The same without the bytes."""
        letter = self.letter
        return Letter(
            id=self.id,
            at=letter.at,
            reason=letter.reason,
            stage=letter.stage,
            place=letter.place,
            key=letter.key.decode("utf-8", "backslashreplace"),
            detail=letter.detail,
            size=letter.size,
            kept=len(letter.value),
            sha256=letter.sha256,
            certain=self.certain,
            replays=tuple(self.replays),
        )


class LetterBook:
    """Collects the letters that ``wanted`` takes, and the marks on them, which stand behind them on their partition."""

    def __init__(self, wanted: Callable[[DeadLetter, Stored], bool], keep_values: bool = False) -> None:
        self.letters: dict[str, HeldLetter] = {}
        self._wanted = wanted
        self._keep_values = keep_values

    def add(self, record: Stored) -> HeldLetter | None:
        """Take in a record of the topic; the letter that it is, if it is wanted."""
        try:
            letter = DeadLetter.from_kafka(record.key, record.value, record.headers)
        except ValidationError:
            self._mark(record)
            return None
        if not self._wanted(letter, record):
            return None
        held = HeldLetter(record, letter)
        if not self._keep_values:  # there may be many, of 256 KiB each
            held.letter = letter.model_copy(update={"value": b""})
            held.record = record._replace(value=None)
        self.letters[held.id] = held
        return held

    def _mark(self, record: Stored) -> None:
        try:
            mark = Replayed.from_kafka(record.headers)
        except ValidationError:
            return
        if held := self.letters.get(mark.letter):
            held.replays.append(Replay(at=mark.at, place=mark.place))


async def read_letters(
    reader: TopicReader, book: LetterBook, start: Start = EARLIEST, progress: Progress | None = None
) -> None:
    """Feed ``book`` with all that the topic holds from ``start`` on. Raises as TopicReader does."""
    async for record in reader.scan(await reader.partitions([DEAD_LETTERS]), start, progress):
        book.add(record)

"""Which dead letters a person means, and how they are shown."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from plaint.kafka.reading import EARLIEST, Progress, Start, Stored, TopicReader
from plaint.lookup.letters import HeldLetter, LetterBook, read_letters
from plaint.terminal import clock, one_line
from schemas.deadletter import DeadLetter
from schemas.topics import DEAD_LETTERS

STAGES = ("ingest", "classify", "route", "deliver")
MAX_DETAIL = 100
_ID = re.compile(rf"(?:{re.escape(DEAD_LETTERS)}\[(\d+)\]@(\d+)|(\d+)@(\d+))")


@dataclass(frozen=True)
class WantedLetters:
    """Which letters; all that are set must hold. ``places`` are patterns with ``*`` and ``?``, or parts of a place."""

    reasons: Collection[str] = ()
    stages: Collection[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    places: Collection[str] = ()
    names: Collection[str] = ()

    def takes(self, letter: DeadLetter, record: Stored) -> bool:
        """Whether it is one of them."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.stages or letter.stage in self.stages)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
            and (not self.places or any(_at(letter.place, pattern) for pattern in self.places))
            and (not self.names or any(_is(letter, record, name) for name in self.names))
        )

    @property
    def start(self) -> Start:
        """Where reading may begin: a letter is written soon after its time, never before."""
        return EARLIEST if self.since is None else Start(since=self.since)


def _at(place: str, pattern: str) -> bool:
    if not any(sign in pattern for sign in "*?"):
        return pattern in place
    return fnmatchcase(place, pattern.replace("[", "[[]"))  # a place has brackets of its own: plaint.posts[3]@17


def _is(letter: DeadLetter, record: Stored, name: str) -> bool:
    found = _ID.fullmatch(name)
    if found is None:
        return letter.place == name
    return (record.partition, record.offset) == (int(found[1] or found[3]), int(found[2] or found[4]))


async def find_letters(
    reader: TopicReader, wanted: WantedLetters, progress: Progress | None = None, keep_values: bool = False
) -> list[HeldLetter]:
    """The letters that are meant, oldest first, without their bytes unless asked for. Raises as TopicReader does."""
    book = LetterBook(wanted.takes, keep_values)
    await read_letters(reader, book, wanted.start, progress)
    return sorted(book.letters.values(), key=lambda held: (held.letter.at, held.record.partition, held.record.offset))


def row(held: HeldLetter) -> str:
    """A letter on one line, escaped."""
    letter = held.letter
    again = f", sent again {clock(held.replays[-1].at)}" if held.replays else ""
    return (
        f"{held.id}  {clock(letter.at)}  {one_line(letter.stage, 20)}  {letter.reason}  {one_line(letter.place, 80)}  "
        f"{letter.size:,} bytes{again}  {one_line(letter.detail, MAX_DETAIL)}"
    )


def page(held: HeldLetter, value: bytes) -> Iterator[str]:
    """All of a letter, escaped: what is said about it, then its bytes as text, a line of theirs on a line."""
    letter = held.letter
    yield f"id       {held.id}"
    yield f"at       {clock(letter.at)}"
    yield f"stage    {one_line(letter.stage)}"
    yield f"reason   {letter.reason}"
    yield f"place    {one_line(letter.place)}"
    yield f"detail   {one_line(letter.detail)}"
    yield f"key      {one_line(letter.key.decode('utf-8', 'backslashreplace')) or '-'}"
    kept = "" if letter.size == len(value) else f", of which {len(value):,} are kept"
    yield f"size     {letter.size:,} bytes{kept}, SHA-256 {one_line(letter.sha256)}"
    for replay in held.replays:
        yield f"replayed {clock(replay.at)} as {one_line(replay.place)}"
    yield ""
    yield from shown_bytes(value)


def shown_bytes(value: bytes) -> Iterator[str]:
    """The bytes as text; what is no UTF-8, and whatever a terminal would obey, is escaped."""
    for line in value.decode("utf-8", "backslashreplace").split("\n"):
        yield f"  {one_line(line)}"


def without_letters(names: Sequence[str], found: Sequence[HeldLetter]) -> list[str]:
    """Those of ``names`` that mean none of ``found``."""
    return [name for name in names if not any(_is(held.letter, held.record, name) for held in found)]

"""What a stage is: a function from a batch of records to one outcome for each of them. No Kafka client, no Faust.

Invariant 1: every record that enters a stage leaves it as results, as a counted drop or as a dead letter. ``outcomes``
holds it: whatever a stage raises, each record gets exactly one outcome, and a record that can never pass is told from a
stage that is broken.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol, TypeVar

from plaint.kafka.publisher import OutRecord
from schemas.deadletter import DeadLetter
from schemas.reasons import DeadReason, DropReason
from schemas.record import MAX_RECORD_BYTES, Record, RecordDropped, RecordInvalid
from schemas.topics import place

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class InRecord:
    """One record as it was read. ``timestamp`` is Kafka's, in seconds since 1970.

    ``is_replay``: it was refused before, and a person has sent it again.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: float
    is_replay: bool = False

    @property
    def place(self) -> str:
        """Where a person finds it: ``plaint.posts[3]@1042``."""
        return place(self.topic, self.partition, self.offset)


class Result(NamedTuple):
    """The record passed; these are to be written."""

    records: tuple[OutRecord, ...]


class Dropped(NamedTuple):
    """The record is sound and gives nothing, for this reason."""

    reason: DropReason


Outcome = Result | Dropped | DeadLetter


class Stretch(NamedTuple):
    """Offsets ``start`` to before ``end`` of a partition of a stage's input."""

    partition: int
    start: int
    end: int


class Stage(Protocol):
    """One stage of the way. ``process`` is called from one thread, one batch at a time, and may take long."""

    name: str
    input_topic: str

    def process(self, records: Sequence[InRecord]) -> list[Outcome]:
        """One outcome for each record, in their order. What it raises concerns the batch as a whole."""
        ...

    def took(self, records: Sequence[InRecord]) -> None:
        """The outcomes of these records, the last that were processed, stand: they get written, or the process ends."""
        ...

    def unknown(self, records: Sequence[InRecord]) -> list[Stretch]:
        """What came before these records on their partitions and has to be remembered before ``process`` gets them."""
        ...

    def remember(self, records: Sequence[InRecord]) -> None:
        """Records of such a stretch: their results were written by this worker or another."""
        ...


class StageBroken(Exception):
    """The stage fails on records that are sound: it has to be restarted, the records are read again."""


def dead(stage: str, record: InRecord, reason: DeadReason, detail: str) -> DeadLetter:
    """The dead letter of a record that can never pass this stage."""
    written_at = datetime.fromtimestamp(record.timestamp, UTC) if record.timestamp > 0 else None
    return DeadLetter.of(reason, stage, record.place, detail, record.value, record.key, written_at)


def decoded(
    stage: str, record: InRecord, decode: Callable[[bytes | None], R], limit: int = MAX_RECORD_BYTES
) -> R | Dropped | DeadLetter:
    """``decode`` of the record's value; what it refuses is given as an outcome rather than raised.

    A value over ``limit`` bytes is refused: the broker counts them compressed and lets far larger ones through, but
    what comes of such a record would fit into no record again.
    """
    if record.value is not None and len(record.value) > limit:
        return dead(stage, record, DeadReason.TOO_LARGE, f"{len(record.value)} bytes are over {limit}")
    try:
        return decode(record.value)
    except RecordInvalid as refusal:
        return dead(stage, record, refusal.reason, refusal.detail)
    except RecordDropped as drop:
        return Dropped(drop.reason)


def outcomes(stage: Stage, records: Sequence[InRecord], canary: InRecord) -> list[Outcome]:
    """One outcome for each record, also when the stage fails on some of them.

    A batch that raises is taken apart. A record that raises alone is dead-lettered, if ``canary``, a record known to be
    sound, still passes; if not, the stage itself is broken and StageBroken is raised.
    """
    try:
        return _taken(stage, records)
    except Exception:
        log.exception("%s failed on a batch of %d records; trying each alone", stage.name, len(records))
    return [_alone(stage, record, canary) for record in records]


def _alone(stage: Stage, record: InRecord, canary: InRecord) -> Outcome:
    try:
        return _taken(stage, [record])[0]
    except Exception as error:
        try:
            _complete(stage, [canary])
        except Exception as broken:
            raise StageBroken(f"{stage.name} fails on a sound record too: {broken!r}") from error
        log.exception("%s failed on %s alone", stage.name, record.place)
        return dead(stage.name, record, DeadReason.STAGE_ERROR, f"{type(error).__name__}: {error}")


def _taken(stage: Stage, records: Sequence[InRecord]) -> list[Outcome]:
    found = _complete(stage, records)
    stage.took(records)
    return found


def _complete(stage: Stage, records: Sequence[InRecord]) -> list[Outcome]:
    found = stage.process(records)
    if len(found) != len(records):
        raise StageBroken(f"{stage.name} gave {len(found)} outcomes for {len(records)} records")
    return found

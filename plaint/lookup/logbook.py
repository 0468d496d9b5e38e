"""One partition of a delivery log, read by somebody who delivers nothing: what each record meant when it came."""

from typing import NamedTuple

from plaint.kafka.reading import Stored
from plaint.lookup.explanation import Step
from route.delivery.entry import OWNER, Entry, is_key, read_entry
from route.delivery.fold import Fold
from schemas.delivery import Delivery
from schemas.record import RecordDropped, RecordInvalid


class Told(NamedTuple):
    """A record of a ticket. ``counts`` is false if it was overruled already, such as a late word of a stopped owner."""

    entry: Entry
    counts: bool


class LogBook:
    """Folds the records as a deliver worker does, but holds no text. Feed it a partition from its beginning, in order."""

    def __init__(self) -> None:
        self.fold = Fold()

    def feed(self, record: Stored) -> Told | None:
        """The next record; None if it is none of a ticket."""
        key = record.key or b""
        if key == OWNER:
            self.fold.owned(record.offset)
            return None
        if not is_key(key):
            return None
        if record.value is None:
            self.fold.forget(key.decode())
            return None
        try:
            entry = read_entry(key, record.value, record.offset)
        except RecordInvalid:
            return None
        self.fold.apply(entry, keep_until=float("-inf"))
        return Told(entry, entry.key not in self.fold.stale)


def step_of(record: Stored, counts: bool) -> Step | None:
    """A record of a ticket as people see it; None if this version can't read it."""
    try:
        said = Delivery.from_bytes(record.value)
    except (RecordInvalid, RecordDropped):
        return None
    return Step(
        place=record.place,
        at=said.at,
        counts=counts,
        state=said.state,
        op=said.op,
        revision=said.revision,
        generation=said.generation,
        attempt=said.attempt,
        due_at=said.due_at,
        status=said.status,
        reason=said.reason or "",
        remote_id=said.remote_id,
        remote_url=said.remote_url,
    )

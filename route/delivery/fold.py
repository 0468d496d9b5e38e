"""What one partition of the delivery log says, up to a position."""

from dataclasses import dataclass

from route.delivery.entry import RANKS, Entry, OpenState, with_op
from route.delivery.offsets import Mark
from route.delivery.settled import Known, Settled, Version
from schemas.ticket import Op, Ticket


@dataclass(slots=True, eq=False)
class Waiting:
    """A newer revision of a ticket whose request is under way: its turn comes with the outcome."""

    ticket: Ticket
    mark: Mark


@dataclass(slots=True, eq=False)
class Item:
    """One ticket that is not settled."""

    key: str
    revision: int
    op: Op
    attempt: int
    """Tries begun for this revision; one made while the breaker was open is taken back."""
    due: float
    """When the next try may begin, in seconds since the epoch."""
    created: bool
    """The destination has, or may have, a ticket under this key."""
    state: OpenState
    body: bytes | None
    """The ticket's JSON; None while it is left in the log because the next try is far off."""
    offset: int = -1
    """Of the record of the log that holds the body."""
    flying: bool = False
    waiting: Waiting | None = None
    rank: int = RANKS["normal"]
    """Place of the ticket's priority in RANKS."""
    author: bytes = b""
    """Who wrote the post, if new tickets are counted by author; see limits.author_of."""
    author_turn: float = 0.0
    """When its author's turn comes, or came, in seconds since the epoch; 0 if it never had to wait for that."""
    generation: int = 0
    since: float = 0.0
    """When its post was received, in seconds since the epoch, else when the ticket was taken on."""

    @property
    def version(self) -> Version:
        """Revision and generation."""
        return self.revision, self.generation

    @property
    def waits_since(self) -> float:
        """From when on the destination could have it, in seconds since the epoch: in the future until its author's turn."""
        return max(self.since, self.author_turn)

    @property
    def may_be_there(self) -> bool:
        """The destination has, or may have, a ticket under this key."""
        return self.created or (self.state == "sending" and self.op == "create")

    def follow_create(self) -> None:
        """Something older of this ticket has, or may have, arrived: it is no create any more."""
        self.created = True
        if self.op == "create":
            self.op = "update"
            self.body = None if self.body is None else with_op(self.body, "update")

    @property
    def is_uncertain(self) -> bool:
        """A request to create it was sent and nobody knows whether the destination took it."""
        return self.op == "create" and self.created


_NONE: Version = (-1, 0)


class Fold:
    """The state of one partition: open tickets and settled keys.

    The rules, whatever order records come in, whoever wrote them and however often they are read:

    - a settled revision is final: no record of it or of an older one opens it again, but for one that is dead, which a
      higher generation takes up again;
    - the highest revision wins, and of one revision the highest generation;
    - what an owner writes about an open ticket after another's owner record is late. It may be the word of a process that
      was stopped and woke, or of the rightful owner that has not yet read what such a process wrote. So it brings no
      known revision back to an earlier state; but one that is news counts, since its offset may be acknowledged, and so
      does that a request has begun. That it settled a ticket counts as if it were not late: it says what the destination
      did;
    - once anything newer than what is settled says that the destination has, or may have, the ticket, what is open of it is
      no create.

    A record that counts for nothing, or late, but came last would be all that compaction keeps, so its key is noted in
    ``stale`` for the owner to write the truth once more.
    """

    def __init__(self) -> None:
        self.position = 0
        """Offset of the next record to read."""
        self.epoch = -1
        """Offset of the newest owner record."""
        self.open: dict[str, Item] = {}
        self.settled = Settled()
        self.stale: set[str] = set()
        self.is_whole = True
        """It holds all that reading the log from the start would tell; see ``overhear``."""
        self._bodiless = 0

    @property
    def held(self) -> int:
        """Open tickets whose body is in memory."""
        return len(self.open) - self._bodiless

    def owned(self, offset: int) -> None:
        """Take in an owner record."""
        self.epoch = max(self.epoch, offset)

    def forget(self, key: str) -> None:
        """Take in a tombstone: the key is as good as new."""
        self.remove(key)
        self.settled.forget(key)
        self.stale.discard(key)

    def apply(self, entry: Entry, keep_until: float) -> None:
        """Take in a record. The body of a ticket that is due after ``keep_until`` is left in the log."""
        known, item = self.settled.get(entry.key), self.open.get(entry.key)
        newest = max(known.version if known else _NONE, item.version if item else _NONE)
        is_late = entry.state is not None and entry.epoch < self.epoch
        if entry.version < newest or (entry.state and known and known.settles(entry.version)):
            self.stale.add(entry.key)
            if item is not None and entry.may_be_there and (known is None or entry.version > known.version):
                item.follow_create()
        elif entry.state is None:
            self.remove(entry.key)
            self.settled.put(entry.key, Known(entry.revision, entry.created, entry.dead, entry.generation))
            self.stale.discard(entry.key)
        elif is_late and item is not None and entry.version == newest:
            self.stale.add(entry.key)
            if entry.state == "sending":
                item.state = "sending"
        else:
            self._take_up(entry, entry.state, keep_until, is_late)

    def _take_up(self, entry: Entry, state: OpenState, keep_until: float, is_late: bool) -> None:
        known, before = self.settled.get(entry.key), self.open.get(entry.key)
        item = _item(entry, state, keep_until)
        if before is not None and before.version == item.version:  # a further try of what has waited since then
            item.since = min(filter(None, (before.since, item.since)), default=0.0)
        self.put(item)
        if not is_late:
            self.stale.discard(entry.key)
            return
        self.stale.add(entry.key)
        if (known is not None and known.created) or (before is not None and before.may_be_there):
            item.follow_create()

    def overhear(self, entry: Entry, keep_until: float) -> None:
        """Take in another's record while tickets are delivered by what is known here.

        What it says of an open ticket changes nothing now: if the partition is ours, the ticket comes by its topic too,
        and if it isn't, nothing is sent. But it may be the rightful owner's word, so this memory is not whole any more.
        """
        if entry.state is None:
            self.apply(entry, keep_until)
        else:
            self.stale.add(entry.key)
            self.is_whole = False

    def put(self, item: Item) -> None:
        """``item`` is what is open of its key."""
        self.remove(item.key)
        self.open[item.key] = item
        self._bodiless += item.body is None

    def remove(self, key: str) -> None:
        """Nothing of ``key`` is open."""
        item = self.open.pop(key, None)
        self._bodiless -= item is not None and item.body is None

    def is_open(self, item: Item) -> bool:
        """Whether ``item`` is still what is open of its key."""
        return self.open.get(item.key) is item

    def leave(self, item: Item) -> None:
        """Let go of the body of ``item``: it lies in the log at ``item.offset``."""
        if item.body is not None and self.is_open(item):
            item.body = None
            self._bodiless += 1

    def load(self, item: Item, body: bytes) -> None:
        """The body of ``item`` was read back."""
        self._bodiless -= item.body is None and self.is_open(item)
        item.body = body


def _item(entry: Entry, state: OpenState, keep_until: float) -> Item:
    return Item(
        key=entry.key,
        revision=entry.revision,
        op=entry.op,
        attempt=entry.attempt,
        due=entry.due,
        created=entry.created,
        state=state,
        body=entry.body if entry.due <= keep_until else None,
        offset=entry.offset,
        rank=entry.rank,
        generation=entry.generation,
        since=entry.since,
    )

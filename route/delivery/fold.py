"""What one partition of the delivery log says, up to a position."""

from dataclasses import dataclass

from route.delivery.entry import RANKS, Entry, OpenState
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
    - what an owner writes about an open ticket after its successor's owner record counts for nothing. That it settled a
      ticket does count: it says what the destination did.

    A record that counts for nothing but came last would be all that compaction keeps, so its key is noted in ``stale``
    for the owner to write the truth once more.
    """

    def __init__(self) -> None:
        self.position = 0
        """Offset of the next record to read."""
        self.epoch = -1
        """Offset of the newest owner record."""
        self.open: dict[str, Item] = {}
        self.settled = Settled()
        self.stale: set[str] = set()
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
        if entry.state is None:
            if entry.version < newest:
                self.stale.add(entry.key)
                return
            self.remove(entry.key)
            self.settled.put(entry.key, Known(entry.revision, entry.created, entry.dead, entry.generation))
        else:
            settled = known is not None and known.settles(entry.version)
            if settled or entry.version < newest or entry.epoch < self.epoch:
                self.stale.add(entry.key)
                return
            self.put(_item(entry, entry.state, keep_until))
        self.stale.discard(entry.key)

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

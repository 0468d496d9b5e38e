"""Counts what became of every post of a run, by id: from the topics and from the receiver, never from counters alone.

The fold knows what must come of each record, since the stages are deterministic: a post must have a triage, a triage the
tickets that the routes give it, a ticket its end in the delivery log. What is missing is not settled, and when nothing
moves any more it is lost.

Routes that are read again amid a run leave open which of their versions a post met: it must have the tickets of one of
them, once the router has passed its record.

What came by the door while a run's sources were read goes the same way and is none of it: its posts, and whatever comes
of them alone, are left out of every count.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import starmap

from classify.meant import as_meant
from classify.text import is_blank
from route.rules import RouteTable
from route.tickets import tickets_for
from schemas import topics
from schemas.deadletter import DeadLetter
from schemas.delivery import OWNER_KEY, Delivery
from schemas.post import Post
from schemas.reasons import DropReason
from schemas.record import RecordDropped, RecordInvalid
from schemas.ticket import Ticket, ticket_key
from schemas.triage import Triage

Place = tuple[str, int, int]


@dataclass
class Tickets:
    """What one destination was asked to do and what its log says of it; revisions by ticket key.

    ``taken`` are the revisions that the destination is said to have taken in this run: its receiver must know them.
    ``held`` are the keys that it was ever said to have taken.
    """

    asked: dict[str, int] = field(default_factory=dict)
    created: set[str] = field(default_factory=set)
    ended: dict[str, int] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    taken: set[tuple[str, int]] = field(default_factory=set)
    requests: Counter[str] = field(default_factory=Counter)

    def open(self) -> set[str]:
        """Keys whose newest revision has not come to its end. Withdrawing what never had a ticket asks for nothing."""
        return {key for key in self.created if self.ended.get(key, -1) < self.asked[key]}


@dataclass(frozen=True)
class Either:
    """A triage of which is not known by which version of the routes, or as what, the router took it: what comes of each."""

    revision: int
    partition: int
    offset: int
    choices: tuple[tuple[frozenset[tuple[str, str]], DropReason | None], ...]


class Census:
    """Folds the records of one run. Feed it everything that the topics hold, in any order of topics.

    ``read`` is how many posts the sources gave, known when they have ended: each must be a record or a dead letter.
    ``routed`` is the offset before which the router has acknowledged all, by partition of plaint.triaged; it is only
    needed while there is something ``undecided``.
    """

    def __init__(self, table: RouteTable, destinations: Iterable[str]) -> None:
        destinations = tuple(destinations)
        self._tables = [table]
        self.read = 0
        self.records = 0
        self.posts: dict[tuple[str, int], Place] = {}
        self.newest: dict[str, int] = {}
        self.repeated = 0
        self.triaged: dict[str, int] = {}
        self.triaged_before: dict[str, int] = {}
        self.intents: dict[str, str] = {}
        self._drops: Counter[str] = Counter()
        self._drops_of_triages: dict[tuple[str, int], DropReason] = {}
        self._either: dict[tuple[str, int], Either] = {}
        self.routed: dict[int, int] = {}
        self.dropped: set[tuple[str, int]] = set()
        self.dead: Counter[str] = Counter()
        self.dead_at_ingest = 0
        self.dead_places: set[str] = set()
        self.must_have: dict[str, dict[str, tuple[int, Place]]] = {name: {} for name in destinations}
        self.invalid: set[Place] = set()
        self.tickets: dict[str, Tickets] = {name: Tickets() for name in destinations}
        self._offered: set[str] = set()
        self._offered_keys: dict[str, dict[str, str]] = {name: {} for name in self.tickets}

    def add_post(self, place: Place, value: bytes | None, written_at: float) -> None:
        """A record of plaint.posts; ``written_at`` is Kafka's time of it, in seconds since 1970."""
        self.records += 1
        try:
            post = as_meant(Post.from_bytes(value), written_at)
        except RecordInvalid:
            self.invalid.add(place)
            return
        except RecordDropped as drop:
            self._drops[drop.reason] += 1
            return
        identity = post.id, post.revision
        if identity in self.posts:
            self.repeated += 1
            return
        self.posts[identity] = place
        self.newest[post.id] = max(post.revision, self.newest.get(post.id, 0))
        if post.event == "create" and is_blank(post.text):
            self.dropped.add(identity)
            self._drops[DropReason.EMPTY_TEXT] += 1

    def add_offer(self, value: bytes | None) -> None:
        """A record of plaint.posts that came by the door."""
        try:
            id_ = Post.from_bytes(value).id
        except (RecordInvalid, RecordDropped):
            return
        self._offered.add(id_)
        for name, keys in self._offered_keys.items():
            keys[ticket_key(id_, name)] = id_

    def is_other(self, id_: str) -> bool:
        """Whether this post came by the door alone."""
        return id_ in self._offered and id_ not in self.newest

    def others(self, destination: str) -> set[str]:
        """The keys of the tickets of posts that came by the door alone."""
        return {key for key, id_ in self._offered_keys[destination].items() if self.is_other(id_)}

    def add_table(self, table: RouteTable) -> None:
        """Another version of the routes may have met any triage: forget the triages, which must be added again."""
        if table.version not in {known.version for known in self._tables}:
            self._tables.append(table)
        self.triaged.clear()
        self.triaged_before.clear()
        self.intents.clear()
        self._drops_of_triages.clear()
        self._either.clear()
        for must in self.must_have.values():
            must.clear()

    def add_triage(self, place: Place, value: bytes | None, is_earlier: bool = False) -> None:
        """A record of plaint.triaged: what tickets must come of it is worked out with the routes of this run.

        The first triage of a revision wins: where it ``is_earlier``, of a run before this one, nothing new comes of it.
        """
        try:
            triage = Triage.from_bytes(value)
        except (RecordInvalid, RecordDropped):
            if not is_earlier:
                self.invalid.add(place)
            return
        post = triage.post
        if is_earlier:
            self.triaged_before[post.id] = max(post.revision, self.triaged_before.get(post.id, 0))
            return
        before = self.triaged.get(post.id, -1)
        if before >= post.revision:
            return
        self.triaged[post.id] = post.revision
        if triage.intent is not None:
            self.intents[post.id] = triage.intent
        before = max(before, self.triaged_before.get(post.id, -1))
        if before >= post.revision:
            return
        # Whether the router still remembers the lower revision is for it to know.
        maybe_later = (False, True) if before >= 0 and post.event == "create" else (False,)
        choices = tuple(dict.fromkeys(_choice(triage, table, it) for table in self._tables for it in maybe_later))
        if len(choices) > 1:
            self._either[post.id, post.revision] = Either(post.revision, *place[1:], choices)
            return
        ((asked, drop),) = choices
        if drop is not None:
            self._drops_of_triages[post.id, post.revision] = drop
        for destination, key in asked:
            must = self.must_have[destination]
            must[key] = max((post.revision, place), must.get(key, (0, place)))

    def add_ticket(self, destination: str, place: Place, value: bytes | None) -> None:
        """A record of plaint.tickets.<destination>."""
        try:
            ticket = Ticket.from_bytes(value)
        except (RecordInvalid, RecordDropped):
            self.invalid.add(place)
            return
        known = self.tickets[destination]
        known.asked[ticket.key] = max(ticket.revision, known.asked.get(ticket.key, 0))
        if ticket.op != "withdraw":
            known.created.add(ticket.key)

    def add_delivery(self, destination: str, key: bytes | None, value: bytes | None, is_earlier: bool = False) -> None:
        """A record of plaint.deliveries.<destination>; ``is_earlier``: written before this run."""
        if key is None or key == OWNER_KEY.encode():
            return
        try:
            step = Delivery.from_bytes(value)
        except (RecordInvalid, RecordDropped):
            return
        known = self.tickets[destination]
        name = key.decode()
        if step.state == "sending":
            known.requests[name] += not is_earlier
        elif step.state in ("done", "dead"):
            known.ended[name] = max(step.revision, known.ended.get(name, 0))
            if step.state == "done" and step.reason is None:  # else it ended without a request: collapsed, say
                known.held.add(name)
                if not is_earlier:
                    known.taken.add((name, step.revision))

    def add_dead_letter(self, letter: DeadLetter) -> None:
        """A record of plaint.deadletters."""
        self.dead[letter.reason] += 1
        self.dead_places.add(letter.place)
        self.dead_at_ingest += letter.stage == "ingest"

    def missing(self) -> list[str]:
        """What has not come to its end yet: empty once all is settled."""
        unwritten = max(0, self.read - self.records - self.dead_at_ingest)
        others = {name: self.others(name) for name in self.tickets}
        return [
            *["a post that was read was not written"] * unwritten,
            *(f"{id_}: no triage" for id_ in self._posts_without_triage()),
            *(f"{place}: neither passed nor dead" for place in self._invalid_without_dead_letter()),
            *(
                f"{key}: no ticket for {name}"
                for name, must in self.must_have.items()
                for key, (revision, place) in must.items()
                if self.tickets[name].asked.get(key, -1) < revision
                and topics.place(*place) not in self.dead_places
                and key not in others[name]
            ),
            *(f"{id_}: no tickets of any version of the routes" for (id_, _), _ in self.undecided()),
            *(
                f"{key}: not delivered to {name}"
                for name, known in self.tickets.items()
                for key in known.open() - others[name]
            ),
        ]

    @property
    def drops(self) -> "Counter[str]":
        """Records that gave nothing, by reason."""
        of_triages = Counter(drop for (id_, _), drop in self._drops_of_triages.items() if not self.is_other(id_))
        met = (self._met(either) for (id_, _), either in self._either.items() if not self.is_other(id_))
        return self._drops + of_triages + Counter(choice[1] for choice in met if choice and choice[1])

    def undecided(self) -> list[tuple[tuple[str, int], Either]]:
        """Triages of which is not known which version of the routes they met."""
        return [
            (identity, either)
            for identity, either in self._either.items()
            if (self.routed.get(either.partition, 0) <= either.offset or self._met(either) is None)
            and not self.is_other(identity[0])
        ]

    def _met(self, either: Either) -> tuple[frozenset[tuple[str, str]], DropReason | None] | None:
        """The choice whose tickets are all there; of several the one with the most."""
        there = [
            choice
            for choice in either.choices
            if all(self.tickets[name].asked.get(key, -1) >= either.revision for name, key in choice[0])
        ]
        return max(there, key=lambda choice: len(choice[0]), default=None)

    def _posts_without_triage(self) -> list[str]:
        return [
            id_
            for (id_, revision), place in self.posts.items()
            if self.triaged.get(id_, -1) < revision
            and (id_, revision) not in self.dropped
            and topics.place(*place) not in self.dead_places
        ]

    def _invalid_without_dead_letter(self) -> list[str]:
        return [shown for shown in starmap(topics.place, self.invalid) if shown not in self.dead_places]


def _choice(triage: Triage, table: RouteTable, is_later: bool) -> tuple[frozenset[tuple[str, str]], DropReason | None]:
    found, drop = tickets_for(triage, table, is_later)
    return frozenset((ticket.destination, ticket.key) for ticket in found), drop

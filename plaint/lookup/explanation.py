"""All that plaint's topics tell of one post, as ``plaint explain --json`` gives it.

Text, handles and answers in here came from outside: escape them for wherever they are shown.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from schemas.delivery import State
from schemas.labels import Intent, Sentiment, Unsure
from schemas.post import Event, Moment
from schemas.ticket import Op
from schemas.triage import UrgencyPart


class Shape(BaseModel):
    """Frozen. ``place`` is where a record lies (``plaint.posts[3]@1042``), ``at`` when Kafka took it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PostSeen(Shape):
    """One record of the post. ``became``: ``triaged``, ``waiting`` for its triage, or the reason why there is none."""

    place: str
    at: Moment
    became: str
    event: Event | None = None
    revision: int | None = None
    text: str = ""
    author: str = ""
    network: str = ""
    source: str = ""
    url: str = ""
    created_at: Moment | None = None
    received_at: Moment | None = None


class Label(Shape):
    """One triage. ``counts`` is false where an earlier one of this or a newer revision decided already."""

    place: str
    at: Moment
    counts: bool
    event: Event
    revision: int
    intent: Intent | None
    confidence: float
    intents: dict[Intent, float]
    sentiment: Sentiment | None
    urgency: int
    urgent: bool
    urgency_parts: tuple[UrgencyPart, ...]
    unsure: bool
    model_version: str
    policy_version: str
    triaged_at: Moment
    unsure_why: tuple[Unsure, ...] = ()
    language: str = ""


class RuleTried(Shape):
    """One rule in its order. ``unmet`` says which of its conditions failed first, and is empty where it ``took`` the post."""

    rule: str
    why: str
    parents: tuple[str, ...]
    took: bool
    unmet: str
    destinations: tuple[str, ...]


class Routing(Shape):
    """What the routes, as they are now, make of the newest triage. ``silenced`` tells by whom and why, if it is.

    ``settled``: whether route has acknowledged that triage, by the routes of then; None where that can't be looked at.
    """

    revision: int
    tried: tuple[RuleTried, ...]
    destinations: tuple[str, ...]
    settled: bool | None = None
    silenced: str = ""
    drop: str = ""


class TicketAsked(Shape):
    """One revision of a ticket, as route asked for it."""

    place: str
    at: Moment
    op: Op
    revision: int
    generation: int
    rule: str
    why: str
    priority: str
    team: str


class Step(Shape):
    """One record of the delivery log. ``counts`` is false for one that a newer one had overruled when it came.

    ``attempt`` is how many requests had begun for this revision and generation; ``due_at`` is when the next may.
    """

    place: str
    at: Moment
    counts: bool
    state: State
    op: Op
    revision: int
    generation: int
    attempt: int
    due_at: Moment | None
    status: int | None
    reason: str
    remote_id: str
    remote_url: str


HoldCause = Literal["disabled", "breaker", "max_per_minute", "max_per_author_per_hour"]


class Hold(Shape):
    """What keeps a ticket back that would be sent else, or a destination from all its tickets.

    ``cause``: ``disabled``: nothing is sent until the destination is enabled; ``breaker``: it is taken to be down, and only
    asked whether it is back; else the limit of that name. ``why`` is what the destination answered, or what the person said
    who disabled it (``by``), or how the limit stands. ``until`` is when its turn comes at the earliest, where that can be
    told. ``mend`` says what to do.
    """

    destination: str
    cause: HoldCause
    why: str
    since: Moment | None = None
    until: Moment | None = None
    status: int | None = None
    by: Literal["", "answers", "person"] = ""
    mend: str = ""

    @property
    def is_of_destination(self) -> bool:
        """Whether it holds for all tickets of the destination."""
        return self.cause in ("disabled", "breaker")


TicketState = Literal["none", "asked", "accepted", "sending", "done", "dead"]


class TicketLife(Shape):
    """The ticket of a post at one destination. ``post_id`` is empty where no record is left that names the post.

    ``state``: ``none``: never asked for, or asked to withdraw what never was; ``asked``: no deliver worker has taken it on;
    else that of the delivery log. ``webhook_id`` is the id under which its newest revision is sent. ``next_try`` is set
    while it is open. ``requests`` counts those that the log still tells of, ``requests_lost`` those whose records were
    compacted away. ``hold`` is what it waits for, of one that is not done, or is routed there and not asked for; of a dead
    one what it would wait for if it went again.
    """

    destination: str
    key: str
    post_id: str
    webhook_id: str
    state: TicketState
    asked: tuple[TicketAsked, ...] = ()
    steps: tuple[Step, ...] = ()
    requests: int = 0
    requests_lost: int = 0
    next_try: Moment | None = None
    status: int | None = None
    reason: str = ""
    remote_id: str = ""
    remote_url: str = ""
    hold: Hold | None = None


class Replay(Shape):
    """That a dead letter was sent again: when, and where that record lies."""

    at: Moment
    place: str


class Letter(Shape):
    """One dead letter, without the bytes. ``id`` names it for ``plaint dead show`` and ``replay``; ``key`` is the record's.

    ``size`` and ``sha256`` are those of the original record, of which ``kept`` bytes are left. ``certain`` is false where
    it only looks as though it concerned the post: bytes that can't be read hold its id.
    """

    id: str
    at: Moment
    reason: str
    stage: str
    place: str
    detail: str
    size: int
    kept: int
    sha256: str
    key: str = ""
    certain: bool = True
    replays: tuple[Replay, ...] = ()


class Drop(Shape):
    """A sound record that gave nothing: its reason (docs/reasons.md), the record, and what that means here."""

    reason: str
    place: str
    why: str


class Explanation(Shape):
    """Everything that is known of a post. ``found`` is false if no topic holds anything of it.

    ``removed`` are those destinations of its tickets that stand in no settings any more.
    ``summary`` is one sentence; ``unknown`` tells what the topics can't tell (any more), ``check`` what to look at or to do.
    Lists are in the order in which things happened.
    """

    post_id: str
    at: Moment
    found: bool
    summary: str
    posts: tuple[PostSeen, ...] = ()
    labels: tuple[Label, ...] = ()
    routing: Routing | None = None
    tickets: tuple[TicketLife, ...] = ()
    removed: tuple[str, ...] = ()
    dead_letters: tuple[Letter, ...] = ()
    drops: tuple[Drop, ...] = ()
    unknown: tuple[str, ...] = ()
    check: tuple[str, ...] = ()

"""What delivery asks of a destination, and the answers it knows."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from schemas.ticket import Op, message_id


class Idempotency(StrEnum):
    """What a destination promises about a create that it gets twice under the same key."""

    IDEMPOTENT = "idempotent"
    """It drops a repeated request."""
    UPSERT = "upsert"
    """It changes the ticket that it has."""
    FIND = "find"
    """It makes a second ticket, but can be asked first whether it has one."""
    NONE = "none"
    """It makes a second ticket, and can't be asked."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One try of one revision of a ticket. ``body`` is the ticket as JSON, ``op`` what it asks of the destination."""

    key: str
    op: Op
    revision: int
    attempt: int
    body: bytes
    generation: int = 0

    @property
    def message_id(self) -> str:
        """See schemas.ticket.message_id."""
        return message_id(self.key, self.revision, self.generation)


@dataclass(frozen=True, slots=True)
class Taken:
    """The destination has taken it; id and address of its own ticket, where it tells them."""

    status: int | None = None
    remote_id: str = ""
    remote_url: str = ""


@dataclass(frozen=True, slots=True)
class NotNow:
    """Try again later. ``maybe_taken`` is false only where the destination certainly did not take it.

    ``detail`` is for people and holds no secret.
    """

    detail: str
    status: int | None = None
    retry_after_s: float = 0.0
    maybe_taken: bool = True


@dataclass(frozen=True, slots=True)
class NeverAgain:
    """The destination will never take it. ``detail`` holds the start of its answer and no secret."""

    detail: str
    status: int | None = None


Outcome = Taken | NotNow | NeverAgain


class Withheld(Exception):
    """Nothing was sent: ``may_send`` said no as the bytes were about to go out."""


MaySend = Callable[[], bool]


class Destination(Protocol):
    """A place that takes tickets. One instance serves many requests at once.

    Every failure is an Outcome, never an exception, but for Withheld: a destination asks ``may_send`` right before the
    bytes go to the socket and raises it if the answer is no. It does not retry, wait or log by itself.
    """

    idempotency: Idempotency

    @property
    def mark(self) -> str:
        """Changes with the address and the credentials in use; nothing of them can be told from it."""

    def refresh(self) -> bool:
        """Read credentials again that lie in a file which has changed, and go on with them; whether they are others."""

    async def create(self, parcel: Parcel, may_send: MaySend) -> Outcome:
        """Make a ticket."""

    async def update(self, parcel: Parcel, may_send: MaySend) -> Outcome:
        """Bring the ticket of this key to what the parcel says."""

    async def withdraw(self, parcel: Parcel, may_send: MaySend) -> Outcome:
        """The post is gone or goes elsewhere: close or delete the ticket of this key."""

    async def close(self) -> None:
        """Let go of connections."""


@runtime_checkable
class Finds(Protocol):
    """What a destination of the class ``find`` can do besides."""

    async def find(self, key: str) -> Taken | NotNow | None:
        """The ticket of this key, None if there is none. Failures are outcomes here too."""

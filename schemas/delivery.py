"""The log of one destination: what is known of each ticket's delivery. Key: the ticket's key; partition: the ticket's.

``accepted`` → ``sending`` → ``done`` | ``dead``. The topic is compacted, so each record stands for all before it:
``accepted`` and ``sending`` carry the whole ticket, ``done`` and ``dead`` carry no text and are final for their revision.
"""

from typing import Annotated, Literal

from pydantic import Field

from schemas.post import Moment
from schemas.reasons import DeadReason, DropReason
from schemas.record import Record
from schemas.ticket import Op, Ticket

State = Literal["accepted", "sending", "done", "dead", "owner", "disabled", "enabled", "in_use"]

OWNER_KEY = "_owner"
"""Key of the record by which a worker takes a partition of the log: one written later deposes the one before."""
SWITCH_KEY = "_switch"
"""Key of the record, the same in each partition, that says whether the destination is ``disabled``: nothing is sent then."""
IN_USE_KEY = "_switch_in_use"
"""Key of the record, the same in each partition, that says which ``settings`` are ``in_use`` in place of refused ones."""


class Delivery(Record):
    """One step of one ticket's delivery.

    ``attempt`` counts the requests begun for this revision in this ``generation`` (see Ticket); ``due_at`` is when the next
    may begin; ``epoch`` is the offset of the owner record of the worker that wrote this one. ``created`` is true once the
    destination has (or may have) a ticket under this key, so that what follows is an update or a withdraw. ``detail`` says
    why a destination was disabled, ``settings`` marks the address, the secret and the proxy that it refused, or that are
    used in their place.
    """

    v: Literal[1] = 1
    state: State
    revision: Annotated[int, Field(ge=0)] = 0
    generation: Annotated[int, Field(ge=0)] = 0
    op: Op = "create"
    attempt: Annotated[int, Field(ge=0)] = 0
    due_at: Moment | None = None
    epoch: int = -1
    worker: str = ""
    created: bool = False
    reason: DeadReason | DropReason | None = None
    status: int | None = None
    remote_id: str = ""
    remote_url: str = ""
    detail: str = ""
    settings: str = ""
    at: Moment
    ticket: Ticket | None = None

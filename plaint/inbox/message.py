"""The body of a webhook: what the door looks at, and the whole of it for whoever shows the ticket.

Reading the whole ticket costs three times as much as its head, and most tickets of a long run are never looked at.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from schemas.post import Moment
from schemas.ticket import Op, Ticket

TEST_TYPE = "plaint.test"
"""Type of the event by which ``plaint doctor --send-test`` tries a secret: no ticket."""
TEST_BEGINS = b'{"type":"%b"' % TEST_TYPE.encode()


class Head(BaseModel):
    """What of a ticket decides whether it is applied; as in schemas.ticket.Ticket."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    op: Op
    revision: Annotated[int, Field(ge=0, le=2**53)]


class Envelope(BaseModel):
    """What Standard Webhooks lays around the data, which is a ticket's head."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: str
    timestamp: str
    data: Head


class Message(BaseModel):
    """The same with the whole ticket."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: str
    timestamp: Moment
    data: Ticket

"""The body of a webhook."""

from pydantic import BaseModel, ConfigDict

from schemas.post import Moment
from schemas.ticket import Ticket


class Message(BaseModel):
    """What Standard Webhooks lays around the data, which here is a ticket. Unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: str
    timestamp: Moment
    data: Ticket

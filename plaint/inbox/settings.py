"""What the inbox can be told."""

from base64 import b64encode
from pathlib import Path
from secrets import token_bytes
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from plaint.inbox.faults import Faults
from schemas.ticket import DestinationId
from schemas.webhook_secret import SigningSecret

DEFAULT_PORT = 8321

QUEUES = ("helpdesk", "service", "marketing")
"""The destinations of the shipped routes; the inbox stands in for those that the settings don't have."""


def new_secret() -> SecretStr:
    """A fresh signing secret of 32 bytes."""
    return SecretStr("whsec_" + b64encode(token_bytes(32)).decode())


class InboxSettings(BaseModel):
    """`inbox:` in the settings: the receiver of webhooks that `plaint up` brings, and `plaint inbox` alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: SigningSecret = Field(
        default_factory=new_secret,
        description="Signing secret of the webhooks, whsec_ and base64 of 24 to 64 bytes. Without it one made at start.",
    )
    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on. Whoever reaches it can read the tickets: there is no log-in.",
    )
    port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        default=None,
        description=f"Port; 0 for any free one. Without it {DEFAULT_PORT} if that is free, else any free one.",
    )
    queues: tuple[DestinationId, ...] = Field(
        default=QUEUES,
        description="Queues that the page shows from the start; others appear with their first ticket.",
    )
    keep: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=2_000,
        description="Tickets of each queue whose text is held in memory; of older ones only key, revision and receipts.",
    )
    journal: Path | None = Field(
        default=None,
        description="File that remembers the webhook ids taken (no text), so that a restarted inbox knows them again.",
    )
    faults: Faults | None = Field(
        default=None,
        description='Makes it a test receiver, which fails by these rules and takes new ones at POST /api/faults: {"rules": '
        '[{"do": "answer", "status": 503, "share": 0.5, "queue": "helpdesk"}]}. do is answer, wait (seconds), drop or hang.',
    )

"""What classify says of a post."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.labels import Intent, Sentiment, Unsure
from schemas.post import Moment, Post
from schemas.record import MAX_RECORD_BYTES, Record

MAX_TRIAGE_BYTES = MAX_RECORD_BYTES + 16 * 1024
"""The triage of the largest post: the post, its defaults written out, and the labels on it."""

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class UrgencyPart(Record):
    """One voice among those that make a post urgent: the model, policy words, reach, confirmations.

    ``points`` are on the scale of urgency (0 to 4) and add up to it before rounding; ``why`` is for people.
    """

    name: str
    points: float
    why: str = ""


class Triage(Record):
    """A post and its labels. Of a deleted post there are none: ``intent`` and ``sentiment`` are None, the rest is 0."""

    v: Literal[1] = 1
    post: Post
    intent: Intent | None = None
    confidence: Probability = 0.0
    intents: dict[Intent, Probability] = Field(default_factory=dict)
    sentiment: Sentiment | None = None
    sentiments: dict[Sentiment, Probability] = Field(default_factory=dict)
    urgency: Annotated[int, Field(ge=0, le=4)] = 0
    urgencies: dict[int, Probability] = Field(default_factory=dict)
    urgent: bool = False
    urgency_parts: tuple[UrgencyPart, ...] = ()
    unsure: bool = False
    unsure_why: tuple[Unsure, ...] = ()
    """Empty unless ``unsure``."""
    language: str = ""
    """ISO 639: what the source said, else what was detected; ``und`` where the text is too short or too mixed to tell."""
    model_version: str = ""
    policy_version: str = ""
    triaged_at: Moment

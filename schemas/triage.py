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
    """One voice among those that make a post urgent: the model, policy words, reach, confirmations."""

    name: str = Field(description="Whose voice it is.")
    points: float = Field(description="On the scale of urgency (0 to 4); all parts add up to it before rounding.")
    why: str = Field(default="", description="Why so many, for people.")


class Triage(Record):
    """A post and its labels. Of a deleted post there are none: ``intent`` and ``sentiment`` are None, the rest is 0."""

    v: Literal[1] = Field(default=1, description="Version of this schema.")
    post: Post = Field(description="The post as it came.")
    intent: Intent | None = Field(default=None, description="The likeliest intent.")
    confidence: Probability = Field(default=0.0, description="Calibrated probability that the intent is right.")
    intents: dict[Intent, Probability] = Field(default_factory=dict, description="Probability of each intent.")
    sentiment: Sentiment | None = Field(default=None, description="The likeliest sentiment.")
    sentiments: dict[Sentiment, Probability] = Field(default_factory=dict, description="Probability of each sentiment.")
    urgency: int = Field(
        default=0, ge=0, le=4, description="How soon somebody must see to it, from 0 (no need) to 4 (now)."
    )
    urgencies: dict[int, Probability] = Field(
        default_factory=dict, description="Probability of each urgency, by the model alone."
    )
    urgent: bool = Field(default=False, description="Whether it goes to the helpdesk at once: a decision of its own.")
    urgency_parts: tuple[UrgencyPart, ...] = Field(default=(), description="What the urgency is made of.")
    unsure: bool = Field(default=False, description="Whether a person had better look.")
    unsure_why: tuple[Unsure, ...] = Field(default=(), description="Why it is unsure; empty if it isn't.")
    language: str = Field(
        default="",
        description="ISO 639: what the source said, else what was detected; `und` where the text is too short or too mixed.",
    )
    model_version: str = Field(default="", description="Weights that labelled it.")
    policy_version: str = Field(default="", description="Rules of urgency that were applied.")
    triaged_at: Moment = Field(description="When it was labelled.")

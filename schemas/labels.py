"""The labels that the model gives and everything downstream reads. Orders are the order of the model's outputs."""

from enum import StrEnum


class Intent(StrEnum):
    """What a post asks of the organisation."""

    COMPLAINT = "complaint"
    QUESTION = "question"
    PRAISE = "praise"
    MARKETING = "marketing"
    OTHER = "other"


class Sentiment(StrEnum):
    """How the author feels about what the post speaks of."""

    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"


class Unsure(StrEnum):
    """Why a post's labels are not to be relied on."""

    CONFIDENCE = "confidence"
    """Its likeliest intent is not likely enough."""
    LANGUAGE = "language"
    """The model was not measured in the post's language."""


INTENTS: tuple[Intent, ...] = tuple(Intent)
SENTIMENTS: tuple[Sentiment, ...] = tuple(Sentiment)
URGENCIES: tuple[int, ...] = (0, 1, 2, 3, 4)
"""What happens if nobody answers for a day."""
URGENCY_WORDS = ("no", "low", "normal", "high", "critical")
"""The same for people: ``critical urgency``."""

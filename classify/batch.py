"""Posts to triage, a batch at a time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from classify.policy import POLICY_VERSION, assess
from models.language import Language, Languages
from models.outputs import Scores
from schemas.labels import INTENTS, SENTIMENTS, URGENCIES, Unsure
from schemas.post import Post
from schemas.triage import Triage


class Scorer(Protocol):
    """What is needed of a model: ``models.engine.Engine`` is one, ``models.huggingface.HuggingFace`` another."""

    version: str
    urgent_threshold: float
    unsure_below: float
    """A likeliest intent below this probability is unsure; chosen with the weights."""
    languages: tuple[str, ...]
    """Those that the model was measured in (ISO 639)."""

    def score(self, texts: Sequence[str]) -> list[Scores]:
        """Calibrated probabilities of each text, in order."""
        ...


class Classifier:
    """A model, the policy of urgency around it, and what it can't be relied on for."""

    def __init__(self, model: Scorer, unsure_below: float | None = None) -> None:
        """``unsure_below`` None: as the model has it."""
        self.model = model
        self.unsure_below = model.unsure_below if unsure_below is None else unsure_below
        self._languages = Languages(model.languages)

    def triage(self, posts: Sequence[Post]) -> list[Triage]:
        """The triage of each post, in order. A deleted post gets one without labels."""
        texts = [post.text for post in posts if post.event != "delete"]
        scores = iter(self.model.score(texts) if texts else ())
        now = datetime.now(UTC)
        return [
            self._unlabelled(post, now) if post.event == "delete" else self._labelled(post, next(scores), now)
            for post in posts
        ]

    def _labelled(self, post: Post, scores: Scores, now: datetime) -> Triage:
        confidence = max(scores.intents)
        intent = INTENTS[scores.intents.index(confidence)]
        urgency = assess(post, scores, self.model.urgent_threshold)
        language = self._languages.of(post.text, post.language)
        unsure = self._unsure(confidence, language)
        return Triage.model_construct(
            v=1,
            post=post,
            intent=intent,
            confidence=confidence,
            intents=dict(zip(INTENTS, scores.intents, strict=True)),
            sentiment=SENTIMENTS[scores.sentiments.index(max(scores.sentiments))],
            sentiments=dict(zip(SENTIMENTS, scores.sentiments, strict=True)),
            urgency=urgency.level,
            urgencies=dict(zip(URGENCIES, scores.urgencies, strict=True)),
            urgent=urgency.urgent,
            urgency_parts=urgency.parts,
            unsure=bool(unsure),
            unsure_why=unsure,
            language=language.code,
            model_version=self.model.version,
            policy_version=POLICY_VERSION,
            triaged_at=now,
        )

    def _unsure(self, confidence: float, language: Language) -> tuple[Unsure, ...]:
        found = []
        if confidence < self.unsure_below:
            found.append(Unsure.CONFIDENCE)
        if not language.measured:
            found.append(Unsure.LANGUAGE)
        return tuple(found)

    def _unlabelled(self, post: Post, now: datetime) -> Triage:
        return Triage(post=post, model_version=self.model.version, policy_version=POLICY_VERSION, triaged_at=now)

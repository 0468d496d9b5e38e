"""How urgent a post is: the model's voice first, raised by words, by reach and by confirmations, never lowered by them.

A post's urgency is the sum of its parts, rounded: 0 none, 1 low, 2 normal, 3 high, 4 critical. The model's part is the
mean of its calibrated probabilities. The other parts count for complaints and questions alone, since nothing else asks
anything of a desk.

``urgent`` is a decision of its own: the model's probability of an urgent complaint reaches a threshold that was chosen by
cost, or a complaint is at 3 or more with the policy behind it. A question is urgent by its words alone (a lost card),
however many people follow or like it.
"""

from dataclasses import dataclass
from typing import Protocol

from classify.policy_match import kinds_in
from schemas.labels import INTENTS, Intent
from schemas.post import Post
from schemas.triage import UrgencyPart

POLICY_VERSION = "3"
"""Changes with every change of a word, a point, a rule or of what is read of a text, so that a triage says which policy made
it."""

HIGH = 3
FOLLOWERS = ((1_000_000, 0.75), (100_000, 0.5), (10_000, 0.25))
"""From so many followers on, so many points."""
VERIFIED = 0.25
CONFIRMATIONS = ((1_000, 0.75), (100, 0.5), (10, 0.25))
"""From so many likes, replies and reposts on (a repost counts twice), so many points."""
AUDIENCE_CEILING = 3.0
MOST_OF_AUDIENCE = 1.0
"""Reach and confirmations together raise a post by one level at most: a large audience alone is no emergency."""
AUDIENCE_FROM = 1.0
"""Less than this before the audience is counted, and there is nothing to be urgent about."""


class Scored(Protocol):
    """What is needed of a model's scores: probabilities in the orders of ``schemas.labels``."""

    @property
    def intents(self) -> tuple[float, ...]: ...

    @property
    def urgencies(self) -> tuple[float, ...]: ...

    @property
    def urgent(self) -> float:
        """That this is an urgent complaint."""
        ...


@dataclass(frozen=True, slots=True)
class Urgency:
    """``level`` 0 to 4; ``parts`` add up to it before rounding, the model's first."""

    level: int
    urgent: bool
    parts: tuple[UrgencyPart, ...]


def assess(post: Post, scores: Scored, urgent_threshold: float) -> Urgency:
    """The urgency of a post by its scores and the policy. Pure; 30 µs where words can count, 5 µs elsewhere."""
    intent = INTENTS[scores.intents.index(max(scores.intents))]
    tally = _Tally(sum(level * p for level, p in enumerate(scores.urgencies)), _model_why(scores))
    if intent not in (Intent.COMPLAINT, Intent.QUESTION):
        return Urgency(tally.level, False, tuple(tally.parts))
    for kind, phrase in kinds_in(post.text):
        tally.add(kind.name, kind.points, kind.ceiling, f'says "{phrase}"')
    by_policy = tally.backed and tally.level >= HIGH
    if tally.points >= AUDIENCE_FROM:
        _add_audience(tally, post)
    if intent is Intent.COMPLAINT:
        by_policy = tally.backed and tally.level >= HIGH
    return Urgency(tally.level, by_policy or scores.urgent >= urgent_threshold, tuple(tally.parts))


class _Tally:
    """The parts so far; they only ever add."""

    def __init__(self, points: float, why: str) -> None:
        self.points = points
        self.parts = [_part("model", points, why)]
        self.backed = False
        """Whether another voice than the model's speaks for urgency, also where it has nothing left to add."""

    @property
    def level(self) -> int:
        return int(self.points + 0.5)

    def add(self, name: str, points: float, ceiling: float, why: str) -> None:
        """Add a part as far as it fits under its ceiling; one that adds nothing any more is left out."""
        self.backed = self.backed or points > 0
        points = round(min(points, ceiling - self.points), 3)
        if points > 0:
            self.points += points
            self.parts.append(_part(name, points, why))


def _part(name: str, points: float, why: str) -> UrgencyPart:
    return UrgencyPart.model_construct(name=name, points=round(points, 3), why=why)


def _model_why(scores: Scored) -> str:
    likeliest = max(range(len(scores.urgencies)), key=scores.urgencies.__getitem__)
    return f"most likely {likeliest} ({scores.urgencies[likeliest]:.0%}); urgent complaint {scores.urgent:.0%}"


def _add_audience(tally: _Tally, post: Post) -> None:
    author, found = post.author, post.engagement
    reach = _step(FOLLOWERS, author.followers or 0) + (VERIFIED if author.verified else 0.0)
    told = [] if author.followers is None else [f"{author.followers:,} followers"]
    tally.add("reach", reach, AUDIENCE_CEILING, ", ".join([*told, "verified"] if author.verified else told))
    confirmed = _step(CONFIRMATIONS, found.likes + found.replies + 2 * found.reposts)
    counts = f"{found.likes:,} likes, {found.replies:,} replies, {found.reposts:,} reposts"
    tally.add("confirmations", min(confirmed, MOST_OF_AUDIENCE - reach), AUDIENCE_CEILING, counts)


def _step(steps: tuple[tuple[int, float], ...], count: int) -> float:
    return next((points for least, points in steps if count >= least), 0.0)

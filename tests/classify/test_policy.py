"""Urgency: what each part adds, what none of them may do, and who can be urgent at all."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classify.policy import assess
from schemas.labels import INTENTS, URGENCIES, Intent
from schemas.post import Author, Engagement, Post

THRESHOLD = 0.5


@dataclass(frozen=True)
class Scores:
    """What a model says of a post."""

    intents: tuple[float, ...]
    urgencies: tuple[float, ...]
    urgent: float = 0.0


def scores(intent: Intent, urgency: float, urgent: float = 0.0) -> Scores:
    """Scores with a sure intent and this mean urgency."""
    below = min(int(urgency), 3)
    levels = {below: 1 - (urgency - below), below + 1: urgency - below}
    return Scores(
        tuple(1.0 if each is intent else 0.0 for each in INTENTS),
        tuple(levels.get(level, 0.0) for level in URGENCIES),
        urgent,
    )


def post(text: str = "My Fjordline parcel is late", **author: Any) -> Post:
    """A post with this text and author."""
    return Post(id="1", text=text, author=Author(**author))


GAS = "it smells of gas in the hall"
IGNORED = "My Fjordline parcel is late, nobody answers"
CARD = "I lost my Lumen card, how do I block it?"


@pytest.mark.parametrize(
    ("text", "intent", "model", "level", "urgent", "parts"),
    [
        ("late", Intent.COMPLAINT, 1.4, 1, False, {"model": 1.4}),
        ("late", Intent.COMPLAINT, 3.4, 3, False, {"model": 3.4}),
        (GAS, Intent.COMPLAINT, 1.6, 3, True, {"model": 1.6, "safety": 1.5}),
        (GAS, Intent.COMPLAINT, 0.4, 2, False, {"model": 0.4, "safety": 1.5}),
        (GAS, Intent.COMPLAINT, 3.2, 4, True, {"model": 3.2, "safety": 0.8}),
        (GAS, Intent.COMPLAINT, 4.0, 4, True, {"model": 4.0}),
        (IGNORED, Intent.COMPLAINT, 2.0, 3, True, {"model": 2.0, "repeated contact": 1.0}),
        (IGNORED, Intent.COMPLAINT, 2.7, 3, True, {"model": 2.7, "repeated contact": 0.3}),
        (IGNORED, Intent.COMPLAINT, 3.1, 3, True, {"model": 3.1}),
        (
            f"{GAS} and {IGNORED}",
            Intent.COMPLAINT,
            1.2,
            3,
            True,
            {"model": 1.2, "safety": 1.5, "repeated contact": 0.3},
        ),
        (CARD, Intent.QUESTION, 1.8, 3, True, {"model": 1.8, "lost card": 1.2}),
        (CARD, Intent.PRAISE, 1.8, 2, False, {"model": 1.8}),
        (GAS, Intent.OTHER, 2.0, 2, False, {"model": 2.0}),
    ],
)
def test_words_raise_what_the_model_says_up_to_their_ceiling(
    text: str, intent: Intent, model: float, level: int, urgent: bool, parts: dict[str, float]
) -> None:
    found = assess(post(text), scores(intent, model), THRESHOLD)
    assert {part.name: part.points for part in found.parts} == pytest.approx(parts)
    assert (found.level, found.urgent) == (level, urgent)


@pytest.mark.parametrize(
    ("author", "engagement", "parts"),
    [
        ({}, Engagement(), {}),
        ({"followers": 9_999}, Engagement(likes=9), {}),
        ({"followers": 10_000}, Engagement(), {"reach": 0.25}),
        ({"followers": 100_000}, Engagement(), {"reach": 0.5}),
        ({"followers": 2_000_000}, Engagement(), {"reach": 0.75}),
        ({"verified": True}, Engagement(), {"reach": 0.25}),
        ({"followers": 2_000_000, "verified": True}, Engagement(likes=5_000), {"reach": 1.0}),
        ({}, Engagement(likes=4, replies=2, reposts=2), {"confirmations": 0.25}),
        ({}, Engagement(reposts=50), {"confirmations": 0.5}),
        ({}, Engagement(likes=1_000), {"confirmations": 0.75}),
        ({"followers": 10_000}, Engagement(likes=100), {"reach": 0.25, "confirmations": 0.5}),
        ({"followers": 100_000}, Engagement(likes=1_000), {"reach": 0.5, "confirmations": 0.5}),
    ],
)
def test_reach_and_confirmations_raise_by_one_level_at_most(
    author: dict[str, Any], engagement: Engagement, parts: dict[str, float]
) -> None:
    heard = post(**author).model_copy(update={"engagement": engagement})
    found = assess(heard, scores(Intent.COMPLAINT, 1.5), THRESHOLD)
    assert {part.name: part.points for part in found.parts} == {"model": 1.5, **parts}


def test_an_audience_makes_a_complaint_urgent_that_is_nearly_so() -> None:
    heard = post(followers=150_000)
    assert assess(heard, scores(Intent.COMPLAINT, 2.2), THRESHOLD).urgent
    assert not assess(post(), scores(Intent.COMPLAINT, 2.2), THRESHOLD).urgent


def test_an_audience_makes_no_question_urgent() -> None:
    found = assess(post(followers=150_000), scores(Intent.QUESTION, 2.2), THRESHOLD)
    assert (found.level, found.urgent) == (3, False)


def test_an_audience_adds_nothing_to_a_post_that_asks_nothing() -> None:
    heard = post("I prefer the old logo", followers=5_000_000)
    assert [part.name for part in assess(heard, scores(Intent.COMPLAINT, 0.3), THRESHOLD).parts] == ["model"]


@pytest.mark.parametrize(
    ("intent", "probability", "urgent"),
    [
        (Intent.COMPLAINT, 0.5, True),
        (Intent.COMPLAINT, 0.49, False),
        (Intent.QUESTION, 0.5, True),
        (Intent.OTHER, 0.99, False),
        (Intent.PRAISE, 0.99, False),
        (Intent.MARKETING, 0.99, False),
    ],
)
def test_the_model_makes_a_complaint_or_question_urgent_at_the_threshold(
    intent: Intent, probability: float, urgent: bool
) -> None:
    assert assess(post(), scores(intent, 1.0, probability), THRESHOLD).urgent is urgent


def test_each_part_says_why() -> None:
    heard = post(GAS, followers=12_000, verified=True).model_copy(update={"engagement": Engagement(likes=40)})
    found = assess(heard, scores(Intent.COMPLAINT, 1.2, 0.31), THRESHOLD)
    assert {part.name: part.why for part in found.parts} == {
        "model": "most likely 1 (80%); urgent complaint 31%",
        "safety": 'says "smells of gas"',
        "reach": "12,000 followers, verified",
    }


def test_followers_that_nobody_counted_are_not_told_as_none() -> None:
    found = assess(post(verified=True), scores(Intent.COMPLAINT, 1.5), THRESHOLD)
    assert [part.why for part in found.parts if part.name == "reach"] == ["verified"]


probabilities = st.lists(st.floats(0.01, 1), min_size=5, max_size=5).map(lambda raw: tuple(p / sum(raw) for p in raw))
authors = st.builds(Author, followers=st.none() | st.integers(0, 10**8), verified=st.booleans())
engagements = st.builds(Engagement, likes=st.integers(0, 10**6), reposts=st.integers(0, 10**6))
texts = st.lists(st.sampled_from(["late", GAS, IGNORED, CARD, "servers are down", "not", "hacked", '"']), max_size=5)


@given(texts.map(" ".join), authors, engagements, probabilities, probabilities, st.floats(0, 1))
@settings(max_examples=300, deadline=None)
def test_nothing_lowers_what_the_model_says_and_the_parts_add_up(
    text: str,
    author: Author,
    engagement: Engagement,
    intents: tuple[float, ...],
    urgencies: tuple[float, ...],
    urgent: float,
) -> None:
    found = assess(
        Post(id="1", text=text, author=author, engagement=engagement), Scores(intents, urgencies, urgent), THRESHOLD
    )
    total = sum(part.points for part in found.parts)
    assert found.parts[0].name == "model"
    assert all(part.points > 0 for part in found.parts[1:])
    assert len({part.name for part in found.parts}) == len(found.parts)
    assert found.level >= int(found.parts[0].points + 0.5 - 0.001)
    assert 0 <= found.level <= 4
    assert abs(found.level - total) <= 0.51
    intent = INTENTS[intents.index(max(intents))]
    if intent not in (Intent.COMPLAINT, Intent.QUESTION):
        assert not found.urgent
        assert len(found.parts) == 1
    elif urgent >= THRESHOLD:
        assert found.urgent

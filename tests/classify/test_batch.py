"""A batch of posts gets its triage in order, and each says where its labels are not to be relied on."""

from collections.abc import Sequence

import pytest

from classify.batch import Classifier
from classify.policy import POLICY_VERSION, assess
from models.outputs import Scores
from schemas.labels import INTENTS, Intent, Sentiment, Unsure
from schemas.post import Post

ENGLISH = "My parcel is two days late again and nobody answers"
GERMAN = "Mein Paket ist seit zwei Wochen verschwunden und niemand antwortet"


class Model:
    """Takes every text for a complaint, as sure as it was told to be."""

    version, urgent_threshold, unsure_below = "m-1", 0.5, 0.65
    languages: tuple[str, ...] = ("en",)

    def __init__(self, confidence: float = 0.9, urgent: float = 0.0) -> None:
        self.confidence, self.urgent = confidence, urgent

    def score(self, texts: Sequence[str]) -> list[Scores]:
        """See Scorer."""
        rest = (1 - self.confidence) / 4
        one = Scores((self.confidence, rest, rest, rest, rest), (0.8, 0.1, 0.1), (0.1, 0.6, 0.2, 0.1, 0.0), self.urgent)
        return [one] * len(texts)


def why(model: Model, text: str, language: str = "", unsure_below: float | None = None) -> tuple[Unsure, ...]:
    """Why the triage of this post is unsure."""
    (triage,) = Classifier(model, unsure_below).triage([Post(id="1", text=text, language=language)])
    assert triage.unsure == bool(triage.unsure_why)
    return triage.unsure_why


def test_a_triage_tells_what_the_model_and_the_policy_say() -> None:
    post = Post(id="1", text=f"{ENGLISH}, it smells of gas")
    (triage,) = Classifier(Model()).triage([post])
    assert (triage.post, triage.model_version, triage.policy_version) == (post, "m-1", POLICY_VERSION)
    assert (triage.intent, triage.confidence, triage.sentiment) == (Intent.COMPLAINT, 0.9, Sentiment.NEGATIVE)
    assert list(triage.intents) == list(INTENTS)
    assert triage.intents[Intent.COMPLAINT] == 0.9
    assert triage.sentiments == {Sentiment.NEGATIVE: 0.8, Sentiment.NEUTRAL: 0.1, Sentiment.POSITIVE: 0.1}
    assert triage.urgencies == {0: 0.1, 1: 0.6, 2: 0.2, 3: 0.1, 4: 0.0}
    expected = assess(post, Model().score([post.text])[0], 0.5)
    assert (triage.urgency, triage.urgent, triage.urgency_parts) == (expected.level, expected.urgent, expected.parts)
    assert (expected.level, len(expected.parts)) == (3, 3)


def test_a_likely_label_in_a_measured_language_is_sure() -> None:
    assert why(Model(), ENGLISH) == ()


def test_an_unlikely_label_is_unsure_below_the_threshold_of_the_weights() -> None:
    assert why(Model(0.64), ENGLISH) == (Unsure.CONFIDENCE,)
    assert why(Model(0.65), ENGLISH) == ()


@pytest.mark.parametrize(("below", "unsure"), [(0.5, ()), (0.95, (Unsure.CONFIDENCE,)), (0.0, ())])
def test_the_setting_overrides_the_threshold_of_the_weights(below: float, unsure: tuple[Unsure, ...]) -> None:
    assert why(Model(0.6 if below < 0.6 else 0.9), ENGLISH, unsure_below=below) == unsure


def test_a_language_that_the_model_was_not_measured_in_is_unsure_however_likely_the_label() -> None:
    assert why(Model(0.999), GERMAN) == (Unsure.LANGUAGE,)
    assert why(Model(0.3), GERMAN) == (Unsure.CONFIDENCE, Unsure.LANGUAGE)


def test_what_the_source_says_of_the_language_counts() -> None:
    assert why(Model(), ENGLISH, language="de") == (Unsure.LANGUAGE,)
    assert why(Model(), GERMAN, language="en-GB") == ()
    assert why(Model(), GERMAN, language="und") == (Unsure.LANGUAGE,)


def test_the_language_is_told_and_the_post_left_as_it_came() -> None:
    posts = [
        Post(id="1", text=ENGLISH),
        Post(id="2", text=GERMAN),
        Post(id="3", text="ok 👍"),
        Post(id="4", text=ENGLISH, language="en-GB"),
    ]
    found = Classifier(Model()).triage(posts)
    assert [triage.language for triage in found] == ["en", "de", "en", "en"]
    assert [triage.post.language for triage in found] == ["", "", "", "en-GB"]


def test_an_urgent_post_stays_urgent_where_it_is_unsure() -> None:
    (triage,) = Classifier(Model(0.4, urgent=0.9)).triage([Post(id="1", text=GERMAN)])
    assert (triage.urgent, triage.unsure) == (True, True)


def test_a_deleted_post_has_no_labels_and_keeps_its_place() -> None:
    posts = [Post(id="1", text=ENGLISH), Post(id="2", event="delete"), Post(id="3", text=GERMAN)]
    found = Classifier(Model()).triage(posts)
    assert [triage.post.id for triage in found] == ["1", "2", "3"]
    assert (found[1].intent, found[1].unsure, found[1].language) == (None, False, "")

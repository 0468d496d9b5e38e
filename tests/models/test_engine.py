"""The shipped engine: order, batches, memory of what it has seen, hostile texts, and plain cases labelled right."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from models.engine import SHIPPED, Engine
from models.manifest import NETWORK, TOKENIZER, load_manifest
from models.outputs import Scores
from models.session import Session
from models.tokens import Tokens
from schemas.labels import INTENTS, SENTIMENTS, URGENCIES

TINY = Path(__file__).parent / "tiny-2"

BATCH_TOLERANCE = 1e-5
"""How far one probability may move with the batch: the order of some sums of float32, no more."""

POSTS = [
    "@NorthRail stuck at Ashby for three hours, no staff, no water, nobody answers",
    "my @PennyBank card was used by somebody in another country and the money is gone, this is fraud",
    "Kelda Water have cut us off again and my baby needs her bottle made, third call today",
    "router from @Larkspur arrived broken and the chat just closes on me",
    "why is the @Tallis app down again?",
    "does the Ovenly 300 come with a second rack?",
    "@NorthRail what time is the last train to Wexcombe on Sunday?",
    "huge thanks to the nurse at Corran Clinic who stayed late with my mum, you were wonderful",
    "@Larkspur your engineer was brilliant, fixed in ten minutes 👏",
    "WIN a Tallis phone! Follow us and RT before midnight, link in bio https://tallis.example/win",
    "20% off all boots this weekend only at Hob & Last. Shop now: https://hob.example",
    "just walked the dog, sun's out",
    "lol same, see you tonight",
]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(threads=1)


@pytest.fixture(scope="module")
def tiny() -> Engine:
    return Engine.load(TINY, threads=1, remembered=0)


def label(probabilities: Sequence[float], labels: Sequence[object]) -> object:
    return labels[int(np.argmax(probabilities))]


def flat(scores: Scores) -> list[float]:
    return [*scores.intents, *scores.sentiments, *scores.urgencies, scores.urgent]


@pytest.mark.parametrize(
    ("post", "intent", "sentiment", "urgent"),
    [
        (POSTS[0], "complaint", "negative", True),
        (POSTS[1], "complaint", "negative", True),
        (POSTS[2], "complaint", "negative", True),
        (POSTS[3], "complaint", "negative", None),
        (POSTS[4], "complaint", "negative", None),
        (POSTS[5], "question", "neutral", False),
        (POSTS[6], "question", "neutral", False),
        (POSTS[7], "praise", "positive", False),
        (POSTS[8], "praise", "positive", False),
        (POSTS[9], "marketing", "positive", False),
        (POSTS[10], "marketing", None, False),
        (POSTS[11], "other", None, False),
        (POSTS[12], "other", None, False),
    ],
)
def test_plain_cases(engine: Engine, post: str, intent: str, sentiment: str | None, urgent: bool | None) -> None:
    scores = engine.score([post])[0]
    assert label(scores.intents, INTENTS) == intent
    assert sentiment is None or label(scores.sentiments, SENTIMENTS) == sentiment
    assert urgent is None or (scores.urgent >= engine.urgent_threshold) == urgent


def test_fraud_is_more_urgent_than_a_broken_router(engine: Engine) -> None:
    fraud, router = engine.score([POSTS[1], POSTS[3]])
    assert np.dot(fraud.urgencies, URGENCIES) > np.dot(router.urgencies, URGENCIES)


def test_scores_come_in_the_order_of_the_texts(tiny: Engine) -> None:
    texts = [post * (1 + number % 3) for number, post in enumerate(POSTS * 3)]
    random.Random(5).shuffle(texts)
    for text, scores in zip(texts, tiny.score(texts), strict=True):
        assert np.allclose(flat(scores), flat(tiny.score([text])[0]), atol=BATCH_TOLERANCE)
    assert label(tiny.score(POSTS)[9].intents, INTENTS) == "marketing"


@pytest.mark.parametrize("weights", [SHIPPED, TINY], ids=["shipped", "tiny"])
def test_the_scores_of_a_post_hang_on_no_other_post(weights: Path) -> None:
    """A post that is read again after a crash, among others, must not get another intent and so a second ticket."""
    engine = Engine.load(weights, threads=1, remembered=0)
    alone = [flat(engine.score([post])[0]) for post in POSTS]
    together = [flat(scores) for scores in engine.score(POSTS)]
    among_long_ones = [flat(engine.score([post, "a long grumble about nothing much " * 40])[0]) for post in POSTS]
    assert np.abs(np.array(alone) - np.array(together)).max() < BATCH_TOLERANCE
    assert np.abs(np.array(alone) - np.array(among_long_ones)).max() < BATCH_TOLERANCE


def test_threads_share_the_posts_and_change_no_score(tiny: Engine) -> None:
    texts = [f"{post} {number}" for number in range(20) for post in POSTS]
    several = Engine.load(TINY, threads=3, token_budget=64, remembered=0)
    for alone, shared in zip(tiny.score(texts), several.score(texts), strict=True):
        assert np.allclose(flat(alone), flat(shared), atol=BATCH_TOLERANCE)


def test_probabilities_sum_to_one(tiny: Engine) -> None:
    for scores in tiny.score(POSTS):
        assert [len(scores.intents), len(scores.sentiments), len(scores.urgencies)] == [5, 3, 5]
        assert [sum(scores.intents), sum(scores.sentiments), sum(scores.urgencies)] == pytest.approx(
            [1, 1, 1], abs=1e-4
        )
        assert 0 < scores.urgent < 1


@pytest.mark.parametrize(
    "text",
    ["", " ", "\x00", "\ud800", "\u202e", "😂" * 400, "x" * 1_000_000, "word " * 200_000, "ﷺ" * 3000, "[SEP] [PAD]"],
)
def test_every_text_has_a_score(tiny: Engine, text: str) -> None:
    scores = tiny.score([text, POSTS[0]])
    assert np.isfinite(flat(scores[0])).all()
    assert np.allclose(flat(scores[1]), flat(tiny.score([POSTS[0]])[0]), atol=BATCH_TOLERANCE)


def test_no_texts_no_scores(tiny: Engine) -> None:
    assert tiny.score([]) == []


class Counting(Session):
    """The real session, which counts the posts that it computes."""

    computed = 0

    def logits(self, encoded: Sequence[Sequence[int]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        self.computed += len(encoded)
        return super().logits(encoded)


def counting(remembered: int) -> tuple[Engine, Counting]:
    manifest = load_manifest(TINY)
    session = Counting(TINY / NETWORK, threads=1, token_budget=1024)
    return Engine(manifest, Tokens(TINY / TOKENIZER, manifest.max_tokens), session, remembered), session


def test_a_post_passed_on_is_computed_once_whatever_its_link() -> None:
    engine, session = counting(remembered=0)
    scores = engine.score([f"{POSTS[0]} https://t.co/{number}" for number in range(20)])
    assert session.computed == 1
    assert len(set(scores)) == 1


def test_a_post_of_an_earlier_call_is_remembered_until_newer_ones_displace_it() -> None:
    engine, session = counting(remembered=2)
    first = engine.score(POSTS[:1])
    assert engine.score(POSTS[:1]) == first
    assert session.computed == 1
    engine.score(POSTS[1:3])
    engine.score(POSTS[:1])
    assert session.computed == 4


def test_nothing_is_remembered_when_told_so() -> None:
    engine, session = counting(remembered=0)
    engine.score(POSTS[:1])
    engine.score(POSTS[:1])
    assert session.computed == 2

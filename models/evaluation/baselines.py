"""What any model has to beat: the most frequent label, a lexicon, and words counted. Needs the `train` extra."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np

from models.evaluation.evaluate import Entrant
from models.evaluation.measures import Answers
from models.evaluation.metrics import Floats
from models.text import normalise
from models.training.calibrate import cheapest_threshold
from models.training.data import Example, Parts
from schemas.labels import INTENTS, SENTIMENTS, URGENCIES

NEEDED = {"sklearn": "scikit-learn", "vaderSentiment": "vaderSentiment"}
"""Module and package of what the baselines are made with."""
VADER_CUT = 0.05
"""Of the compound score, as VADER's authors advise."""
SEED = 20

Head = Callable[[Example], int]


def missing_packages() -> list[str]:
    return [package for module, package in NEEDED.items() if find_spec(module) is None]


def baselines(parts: Parts, texts: Sequence[str]) -> list[Entrant]:
    """Answers to the texts of the majority, VADER and a logistic regression, all trained on the training part alone."""
    return [_majority(parts.train, len(texts)), _vader(texts), _regression(parts, texts)]


def _majority(train: Sequence[Example], posts: int) -> Entrant:
    def shares(label: Head, classes: int) -> Floats:
        counts = np.bincount([label(example) for example in train], minlength=classes)
        return np.tile(counts / counts.sum(), (posts, 1))

    answers = Answers(
        intents=shares(lambda example: example.intent, len(INTENTS)),
        sentiments=shares(lambda example: example.sentiment, len(SENTIMENTS)),
        urgencies=shares(lambda example: example.urgency, len(URGENCIES)),
        urgent=shares(lambda example: example.urgent, 2)[:, 1],
    )
    return Entrant("majority", "the most frequent label of the training posts, at its share there", answers)


def _vader(texts: Sequence[str]) -> Entrant:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyser = SentimentIntensityAnalyzer()
    compound = np.array([analyser.polarity_scores(text)["compound"] for text in texts])
    labels = np.where(compound >= VADER_CUT, 2, np.where(compound <= -VADER_CUT, 0, 1))
    about = f"sentiment by a lexicon and rules (Hutto and Gilbert 2014), cut at ±{VADER_CUT}"
    return Entrant("VADER", about, Answers(sentiments=np.eye(len(SENTIMENTS))[labels], calibrated=False))


def _regression(parts: Parts, texts: Sequence[str]) -> Entrant:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, strip_accents="unicode")
    train = words.fit_transform([normalise(example.text) for example in parts.train])
    dev = words.transform([normalise(example.text) for example in parts.dev])
    asked = words.transform([normalise(text) for text in texts])

    def fitted(label: Head, balanced: bool = True) -> LogisticRegression:
        weights = "balanced" if balanced else None
        regression = LogisticRegression(C=4.0, class_weight=weights, max_iter=500, random_state=SEED)
        return regression.fit(train, [label(example) for example in parts.train])

    def chances(label: Head, classes: int) -> Floats:
        regression = fitted(label)
        found = np.zeros((len(texts), classes))
        found[:, regression.classes_] = regression.predict_proba(asked)
        return found

    urgent = fitted(lambda example: int(example.urgent), balanced=False)
    seen = np.array([example.urgent for example in parts.dev])
    answers = Answers(
        intents=chances(lambda example: example.intent, len(INTENTS)),
        sentiments=chances(lambda example: example.sentiment, len(SENTIMENTS)),
        urgencies=chances(lambda example: example.urgency, len(URGENCIES)),
        urgent=urgent.predict_proba(asked)[:, 1],
        threshold=cheapest_threshold(urgent.predict_proba(dev)[:, 1], seen, SEED),
    )
    return Entrant("TF-IDF", "logistic regression over words and pairs of words; its threshold chosen as ours", answers)

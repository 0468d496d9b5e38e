"""Truth and a model's answers to every figure that a report states of a set of posts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluation import metrics
from models.evaluation.bootstrap import ROUNDS, Series, bootstrap, figure, short
from models.evaluation.labelled import LabelledPost
from models.evaluation.metrics import Flags, Floats, Labels
from models.evaluation.report import Bin, Head, Label, Measures, Unsure, Urgent
from models.outputs import Probabilities
from schemas.labels import INTENTS, SENTIMENTS, URGENCIES, Intent

UNKNOWN = -1
"""In place of a label that a post doesn't have."""
COMPLAINT = INTENTS.index(Intent.COMPLAINT)
URGENT_FROM = 3
"""A complaint of this urgency or above is urgent."""
COMPLAINT_LABELS = ("complaint", "no complaint")
MACRO_F1 = "macro_f1"


@dataclass(frozen=True, slots=True)
class Truth:
    """The labels of some posts as class indices, UNKNOWN where there is none."""

    intents: Labels
    complaints: Labels
    """0 is a complaint, 1 is none; of posts that have no intent."""
    sentiments: Labels
    urgencies: Labels

    @classmethod
    def of(cls, posts: Sequence[LabelledPost]) -> "Truth":
        return cls(
            intents=_indices([None if p.intent is None else INTENTS.index(p.intent) for p in posts]),
            complaints=_indices([None if p.complaint is None else int(not p.complaint) for p in posts]),
            sentiments=_indices([None if p.sentiment is None else SENTIMENTS.index(p.sentiment) for p in posts]),
            urgencies=_indices([p.urgency for p in posts]),
        )

    def at(self, positions: Labels) -> "Truth":
        return Truth(
            self.intents[positions], self.complaints[positions], self.sentiments[positions], self.urgencies[positions]
        )


def _indices(labels: Sequence[int | None]) -> Labels:
    return np.array([UNKNOWN if label is None else label for label in labels], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model says of the same posts; None for what it has no answer to. Chances are (posts, labels)."""

    intents: Floats | None = None
    sentiments: Floats | None = None
    urgencies: Floats | None = None
    urgent: Floats | None = None
    threshold: float = 0.5
    """From this chance on a post is urgent."""
    calibrated: bool = True
    """Whether the chances are meant as chances, rather than as the labels alone."""

    @classmethod
    def of(cls, given: Probabilities, threshold: float) -> "Answers":
        return cls(
            given.intents.astype(np.float64),
            given.sentiments.astype(np.float64),
            given.urgencies.astype(np.float64),
            given.urgent.astype(np.float64),
            threshold,
        )

    def at(self, positions: Labels) -> "Answers":
        def part(whole: Floats | None) -> Floats | None:
            return None if whole is None else whole[positions]

        intents, sentiments, urgencies = part(self.intents), part(self.sentiments), part(self.urgencies)
        return Answers(intents, sentiments, urgencies, part(self.urgent), self.threshold, self.calibrated)


@dataclass(frozen=True, slots=True)
class Assessed:
    """Measures, with the rounds of each head's macro-F1 for comparisons."""

    measures: Measures
    macro_f1s: dict[str, Series]


@dataclass(frozen=True, slots=True)
class _Question:
    """A head over some posts: the true labels, the chances and the labels given."""

    name: str
    labels: tuple[str, ...]
    true: Labels
    chances: Floats
    given: Labels

    def labelled(self) -> "_Question":
        """Over the posts that have a label."""
        known = self.true != UNKNOWN
        return _Question(self.name, self.labels, self.true[known], self.chances[known], self.given[known])


def assess(truth: Truth, answers: Answers, unsure_below: float, rounds: int = ROUNDS) -> Assessed:
    """Every figure that the labels and the answers allow."""
    heads, series = {}, {}
    for question in _questions(truth, answers):
        heads[question.name], series[question.name] = _head(question, answers.calibrated, rounds)
    measures = Measures(
        posts=len(truth.intents),
        **heads,
        urgent=_urgent(truth, answers, rounds),
        unsure=_unsure(truth, answers, unsure_below, rounds),
    )
    return Assessed(measures, series)


def _questions(truth: Truth, answers: Answers) -> list[_Question]:
    """Those that the posts have labels for and the model has answers to."""
    asked = [
        ("sentiment", tuple(map(str, SENTIMENTS)), truth.sentiments, answers.sentiments),
        ("urgency", tuple(map(str, URGENCIES)), truth.urgencies, answers.urgencies),
    ]
    found = [
        _Question(name, labels, true, chances, chances.argmax(axis=1))
        for name, labels, true, chances in asked
        if chances is not None
    ]
    if answers.intents is not None:
        given, chance = answers.intents.argmax(axis=1), answers.intents[:, COMPLAINT]
        both = np.stack([chance, 1.0 - chance], axis=1)
        # As posts are triaged: a complaint is what has complaint as its likeliest intent, at whatever chance.
        complaints = (given != COMPLAINT).astype(np.int64)
        found.insert(0, _Question("complaint", COMPLAINT_LABELS, truth.complaints, both, complaints))
        found.insert(0, _Question("intent", tuple(map(str, INTENTS)), truth.intents, answers.intents, given))
    return [question.labelled() for question in found if (question.true != UNKNOWN).any()]


def _head(question: _Question, calibrated: bool, rounds: int) -> tuple[Head, Series]:
    true, given, chances = question.true, question.given, question.chances
    correct = given == true
    confidence = chances[np.arange(len(given)), given]
    brier, log_loss = metrics.brier(true, chances), metrics.log_loss(true, chances)
    classes = len(question.labels)

    def measure(weights: Floats) -> dict[str, Floats]:
        confusion = metrics.confusions(true, given, classes, weights)
        by_label = {"precision": metrics.precisions, "recall": metrics.recalls, "f1": metrics.f1s}
        return {
            "accuracy": metrics.accuracies(confusion),
            MACRO_F1: metrics.macro_f1s(confusion),
            "kappa": metrics.kappas(confusion),
            "brier": metrics.means(brier, weights),
            "log_loss": metrics.means(log_loss, weights),
            **{f"{name} {i}": of(confusion)[:, i] for name, of in by_label.items() for i in range(classes)},
        }

    series = bootstrap(len(true), measure, rounds)
    figures = {name: figure(values) for name, values in series.items()}
    if not calibrated:
        figures |= dict.fromkeys(("brier", "log_loss"))
    counts = metrics.confusions(true, given, classes, np.ones((1, len(true))))[0].astype(int)
    head = Head(
        posts=len(true),
        accuracy=figures["accuracy"],
        macro_f1=figures[MACRO_F1],
        kappa=figures["kappa"] if question.name == "urgency" else None,
        labels={
            label: Label(
                posts=int(counts[i].sum()),
                precision=figures[f"precision {i}"],
                recall=figures[f"recall {i}"],
                f1=figures[f"f1 {i}"],
            )
            for i, label in enumerate(question.labels)
        },
        confusion=counts.tolist(),
        ece=short(metrics.calibration_error(correct, confidence)) if calibrated else None,
        brier=figures["brier"],
        log_loss=figures["log_loss"],
    )
    return head, series[MACRO_F1]


def _urgent_truth(truth: Truth) -> tuple[Labels, Flags]:
    """Positions of the posts of which it is known, and whether they are urgent."""
    known = np.flatnonzero((truth.intents != UNKNOWN) & (truth.urgencies != UNKNOWN))
    return known, (truth.intents[known] == COMPLAINT) & (truth.urgencies[known] >= URGENT_FROM)


def _urgent(truth: Truth, answers: Answers, rounds: int) -> Urgent | None:
    known, true = _urgent_truth(truth)
    if answers.urgent is None or not len(known):
        return None
    chance = answers.urgent[known]
    alarms = chance >= answers.threshold
    squares = (chance - true) ** 2
    log_loss = metrics.log_loss(true.astype(np.int64), np.stack([1.0 - chance, chance], axis=1))

    def measure(weights: Floats) -> dict[str, Floats]:
        confusion = metrics.confusions(true.astype(np.int64), alarms.astype(np.int64), 2, weights)
        ranked = metrics.ranking(true, chance, weights)
        return {
            "recall": metrics.recalls(confusion)[:, 1],
            "precision": metrics.precisions(confusion)[:, 1],
            "average_precision": metrics.average_precisions(ranked),
            "precision_at_recall_90": metrics.precisions_at_recall(ranked, 0.9),
            "brier": metrics.means(squares, weights),
            "log_loss": metrics.means(log_loss, weights),
        }

    figures = {name: figure(series) for name, series in bootstrap(len(known), measure, rounds).items()}
    if not answers.calibrated:
        figures |= dict.fromkeys(("brier", "log_loss"))
    counts = {"posts": len(known), "urgent": int(true.sum()), "alarms": int(alarms.sum())}
    ece = short(metrics.calibration_error(true, chance)) if answers.calibrated else None
    return Urgent(threshold=answers.threshold, ece=ece, **counts, **figures)


def _unsure(truth: Truth, answers: Answers, below: float, rounds: int) -> Unsure | None:
    known = np.flatnonzero(truth.intents != UNKNOWN)
    if answers.intents is None or not answers.calibrated or not len(known):
        return None
    chances = answers.intents[known]
    unsure = chances.max(axis=1) < below
    correct = chances.argmax(axis=1) == truth.intents[known]

    def measure(weights: Floats) -> dict[str, Floats]:
        among, others = weights * unsure, weights * ~unsure
        return {
            "share": metrics.means(unsure.astype(float), weights),
            "accuracy": metrics.means(correct.astype(float), among),
            "accuracy_of_others": metrics.means(correct.astype(float), others),
        }

    figures = {name: figure(series) for name, series in bootstrap(len(known), measure, rounds).items()}
    return Unsure(below=below, posts=int(unsure.sum()), **figures)


def reliability(truth: Truth, answers: Answers) -> dict[str, list[Bin]]:
    """Confidence against truth, by head; of `urgent` the chance itself against how many are urgent."""
    found = {}
    for question in _questions(truth, answers):
        confidence = question.chances[np.arange(len(question.given)), question.given]
        found[question.name] = _bins(question.given == question.true, confidence)
    known, urgent = _urgent_truth(truth)
    if answers.urgent is not None and len(known):
        found["urgent"] = _bins(urgent, answers.urgent[known])
    return found


def _bins(right: Flags, confidence: Floats) -> list[Bin]:
    index = metrics.bins(confidence)
    return [
        Bin(
            posts=int((index == number).sum()),
            confidence=round(float(confidence[index == number].mean()), 4),
            right=round(float(right[index == number].mean()), 4),
        )
        for number in np.unique(index)
    ]

"""Labelled posts and models to a report: the whole, its slices, and the contenders beside it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from models.evaluation.bootstrap import ROUNDS, figure
from models.evaluation.labelled import LabelledPost
from models.evaluation.measures import Answers, Assessed, Truth, assess, reliability
from models.evaluation.metrics import Floats
from models.evaluation.report import LEAST_POSTS, Contender, Measures, Report, Slice
from models.outputs import Scores

MOST_VALUES = 50
"""So many values of a field, the most frequent ones, are told of."""
BANDS = ((10, "up to 10 words"), (20, "11 to 20 words"), (40, "21 to 40 words"))
LONGER = "over 40 words"

Facet = Callable[[LabelledPost], str | None]


class Scorer(Protocol):
    """What is needed of a model: `models.engine.Engine` is one."""

    version: str
    urgent_threshold: float

    def score(self, texts: Sequence[str]) -> list[Scores]: ...


@dataclass(frozen=True, slots=True)
class Entrant:
    """A contender by its answers to the posts."""

    name: str
    about: str
    answers: Answers


@dataclass(frozen=True, slots=True)
class Plan:
    """What a report is made with."""

    unsure_below: float
    rounds: int = ROUNDS
    facets: dict[str, Facet] = field(default_factory=lambda: dict(FACETS))


def band(text: str) -> str:
    """The band of a text's length."""
    words = len(text.split())
    return next((name for most, name in BANDS if words <= most), LONGER)


FACETS: dict[str, Facet] = {
    "source": lambda post: post.source,
    "language": lambda post: post.language,
    "origin": lambda post: post.origin,
    "length": lambda post: band(post.text),
    "sure": lambda post: None if post.sure is None else ("sure" if post.sure else "not sure"),
}
"""What posts are sliced by; a post without a value is in no slice."""


def answers_of(model: Scorer, posts: Sequence[LabelledPost]) -> Answers:
    scores = model.score([post.text for post in posts])
    return Answers(
        intents=np.array([one.intents for one in scores], dtype=np.float64),
        sentiments=np.array([one.sentiments for one in scores], dtype=np.float64),
        urgencies=np.array([one.urgencies for one in scores], dtype=np.float64),
        urgent=np.array([one.urgent for one in scores], dtype=np.float64),
        threshold=model.urgent_threshold,
    )


def evaluate(
    posts: Sequence[LabelledPost], name: str, answers: Answers, plan: Plan, entrants: Sequence[Entrant] = ()
) -> Report:
    """`posts` must not be empty; about 2 s for 2,000 posts in 1,000 rounds, the model's own time apart."""
    truth = Truth.of(posts)
    whole = assess(truth, answers, plan.unsure_below, plan.rounds)
    return Report(
        model=name,
        posts=len(posts),
        rounds=plan.rounds,
        measures=whole.measures,
        reliability=reliability(truth, answers),
        slices=[part for by, facet in plan.facets.items() for part in _slices(by, facet, posts, truth, answers, plan)],
        contenders=[_contender(entrant, truth, whole, plan) for entrant in entrants],
    )


def _slices(
    by: str, facet: Facet, posts: Sequence[LabelledPost], truth: Truth, answers: Answers, plan: Plan
) -> Iterator[Slice]:
    """In the order of the bands, else the largest first."""
    values = [facet(post) for post in posts]
    counts = Counter(value for value in values if value is not None)
    names = [value for value, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_VALUES]]
    if by == "length":
        names = [name for _, name in (*BANDS, (0, LONGER)) if name in counts]
    for name in names:
        measures: Measures | None = None
        if counts[name] >= LEAST_POSTS:
            at = np.array([position for position, value in enumerate(values) if value == name], dtype=np.int64)
            measures = assess(truth.at(at), answers.at(at), plan.unsure_below, plan.rounds).measures
        yield Slice(by=by, name=name, posts=counts[name], measures=measures)


def _contender(entrant: Entrant, truth: Truth, whole: Assessed, plan: Plan) -> Contender:
    found = assess(truth, entrant.answers, plan.unsure_below, plan.rounds)
    differences: dict[str, Floats] = {
        head: whole.macro_f1s[head] - series for head, series in found.macro_f1s.items() if head in whole.macro_f1s
    }
    ahead = {head: shown for head, series in differences.items() if (shown := figure(series)) is not None}
    return Contender(name=entrant.name, about=entrant.about, measures=found.measures, ahead=ahead)

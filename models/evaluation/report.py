"""What an evaluation says, as it stands in report.json and evaluation.json."""

from pydantic import BaseModel, ConfigDict, Field

LEAST_POSTS = 30
"""A slice of fewer posts gets no figures: its intervals would span half the scale."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Part):
    """A value and the ends of its 95% bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"


class Label(_Part):
    """How one label fared. A figure is None where it is undefined: recall of a label that no post has."""

    posts: int
    """That truly have the label."""
    precision: Figure | None
    recall: Figure | None
    f1: Figure | None


class Head(_Part):
    """One question with labels to choose from, by the most likely label."""

    posts: int
    accuracy: Figure | None
    macro_f1: Figure | None
    """Mean F1 of the labels that truly occur."""
    kappa: Figure | None = None
    """Cohen's, with quadratic weights; of urgency alone."""
    labels: dict[str, Label]
    confusion: list[list[int]]
    """Rows are the true labels, columns the given ones, in the order of `labels`."""
    ece: float | None
    """Expected calibration error of the most likely label, over ten bins. It has no interval: the bootstrap's is too high."""
    brier: Figure | None
    """Squared distance between chances and truth, summed over the labels: 0 to 2."""
    log_loss: Figure | None


class Urgent(_Part):
    """The decision "this is an urgent complaint". None of it knows the policy of urgency, which raises posts further."""

    posts: int
    urgent: int
    """Complaints of urgency 3 or 4."""
    threshold: float
    alarms: int
    """Posts at or above the threshold."""
    recall: Figure | None
    precision: Figure | None
    average_precision: Figure | None
    precision_at_recall_90: Figure | None
    """At the highest threshold that finds at least 0.90 of the urgent ones."""
    ece: float | None
    brier: Figure | None
    """0 to 1, of the one chance."""
    log_loss: Figure | None


class Unsure(_Part):
    """Posts whose most likely intent is below `classify.unsure_below`."""

    below: float
    posts: int
    share: Figure | None
    accuracy: Figure | None
    """Of their intent."""
    accuracy_of_others: Figure | None


class Measures(_Part):
    """All figures of one model on some posts; None where the posts have no such label, or the model gives none."""

    posts: int
    intent: Head | None = None
    complaint: Head | None = None
    """Complaint or not, of posts that tell nothing finer."""
    sentiment: Head | None = None
    urgency: Head | None = None
    urgent: Urgent | None = None
    unsure: Unsure | None = None


class Bin(_Part):
    """Posts of like confidence, and how many of them are right."""

    posts: int
    confidence: float
    """The mean."""
    right: float
    """Share of the posts."""


class Slice(_Part):
    """The posts that share a value of a field, or a band of lengths."""

    by: str
    name: str
    posts: int
    measures: Measures | None
    """None for fewer posts than LEAST_POSTS."""


class Contender(_Part):
    """Another model, or a baseline, on the same posts."""

    name: str
    about: str
    measures: Measures
    ahead: dict[str, Figure]
    """The macro-F1 by which the evaluated model is ahead, by head, drawn in pairs."""


class Report(_Part):
    """One model on some labelled posts."""

    model: str
    posts: int
    rounds: int
    """Of the bootstrap."""
    measures: Measures
    reliability: dict[str, list[Bin]]
    """By head; ten bins of confidence, those without posts left out."""
    slices: list[Slice] = Field(default_factory=list)
    contenders: list[Contender] = Field(default_factory=list)

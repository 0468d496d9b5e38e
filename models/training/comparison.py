"""Weights before and after training went on, on the same posts, and whether they got worse."""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from models.evaluation.bootstrap import Series, figure
from models.evaluation.labelled import LabelledPost
from models.evaluation.measures import Answers, Truth, assess
from models.evaluation.report import Figure, Measures
from models.evaluation.tables import Table, heads_of, plain, shown


class Compared(BaseModel):
    """Two models on some labelled posts that neither was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    """Which posts."""
    before: Measures
    after: Measures
    gained: dict[str, Figure]
    """Macro-F1 by head, over the same bootstrap draws; negative where it fell."""
    gained_mean: Figure
    """The same as a mean over the heads: of a few hundred posts one head alone swings by a point for nothing."""
    gained_accuracy: float
    """The mean over the heads."""


def compare(what: str, posts: Sequence[LabelledPost], before: Answers, after: Answers, unsure_below: float) -> Compared:
    """`posts` must not be empty."""
    truth = Truth.of(posts)
    old, new = (assess(truth, answers, unsure_below) for answers in (before, after))
    series = {head: new.macro_f1s[head] - macro_f1s for head, macro_f1s in old.macro_f1s.items()}
    heads = zip(heads_of(old.measures), heads_of(new.measures), strict=True)
    accuracies = [_value(later.accuracy) - _value(earlier.accuracy) for (_, earlier), (_, later) in heads]
    return Compared(
        what=what,
        before=old.measures,
        after=new.measures,
        gained={head: _figure(differences) for head, differences in series.items()},
        gained_mean=_figure(np.mean(list(series.values()), axis=0)),
        gained_accuracy=round(float(np.mean(accuracies)), 4),
    )


def _figure(series: Series) -> Figure:
    found = figure(series)
    assert found is not None, "each head has labelled posts, and those make it defined"
    return found


def _value(measured: Figure | None) -> float:
    assert measured is not None, "each head has labelled posts, and those make it defined"
    return measured.value


def fallen(compared: Compared, allowed: float) -> list[str]:
    """What got worse, a line each: macro-F1 or accuracy, as a mean over the heads, fell by more than allowed; or macro-F1 of
    one head did, and its interval leaves no doubt that it fell."""
    mean, accuracy = compared.gained_mean, compared.gained_accuracy
    found = []
    if mean.value < -allowed:
        found.append(f"macro-F1, the mean over the labels, fell on {compared.what}: {change(mean)}")
    if accuracy < -allowed:
        found.append(f"accuracy, the mean over the labels, fell on {compared.what}: {accuracy:+.3f}")
    for head, gained in compared.gained.items():
        if gained.value < -allowed and gained.high < 0:
            found.append(f"macro-F1 of {head} fell on {compared.what}: {change(gained)}")
    return found


def change(gained: Figure) -> str:
    """With its sign and its interval."""
    return f"{gained.value:+.3f} ({gained.low:+.3f} to {gained.high:+.3f})"


def table(compared: Compared) -> Table:
    """Before, after, and what was gained, for people."""
    rows = [("macro-F1, mean", "", "", change(compared.gained_mean))]
    for (name, old), (_, new) in zip(heads_of(compared.before), heads_of(compared.after), strict=True):
        rows.append((f"{name} macro-F1", shown(old.macro_f1), shown(new.macro_f1), change(compared.gained[name])))
        rows.append((f"{name} accuracy", shown(old.accuracy), shown(new.accuracy), ""))
        rows.append((f"{name} ECE", plain(old.ece), plain(new.ece), ""))
    if compared.before.urgent is not None and compared.after.urgent is not None:
        urgent_before, urgent_after = compared.before.urgent, compared.after.urgent
        rows.append(("urgent recall", shown(urgent_before.recall), shown(urgent_after.recall), ""))
        rows.append(("urgent precision", shown(urgent_before.precision), shown(urgent_after.precision), ""))
    return Table(f"{compared.what} ({compared.before.posts:,})", ("", "before", "after", "gained"), rows)

"""Weights before and after training went on, on the same posts, and whether they got worse."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from models.evaluation.bootstrap import ROUNDS, figure
from models.evaluation.labelled import LabelledPost
from models.evaluation.measures import Answers, Truth, assess
from models.evaluation.report import Figure, Measures
from models.evaluation.tables import NONE, Table, heads_of, shown


class Compared(BaseModel):
    """Two models on some labelled posts that neither was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    """Which posts."""
    before: Measures
    after: Measures
    gained: dict[str, Figure]
    """Macro-F1 by head, over the same bootstrap draws; negative where it fell."""


def compare(
    what: str, posts: Sequence[LabelledPost], before: Answers, after: Answers, unsure_below: float, rounds: int = ROUNDS
) -> Compared:
    """`posts` must not be empty."""
    truth = Truth.of(posts)
    old, new = (assess(truth, answers, unsure_below, rounds) for answers in (before, after))
    gained = {head: figure(new.macro_f1s[head] - series) for head, series in old.macro_f1s.items()}
    return Compared(
        what=what,
        before=old.measures,
        after=new.measures,
        gained={head: found for head, found in gained.items() if found is not None},
    )


def fallen(compared: Compared, allowed: float) -> list[str]:
    """What fell by more than allowed, a line each: macro-F1 or accuracy of a head."""
    found = []
    for (name, old), (_, new) in zip(heads_of(compared.before), heads_of(compared.after), strict=True):
        for measure in ("macro_f1", "accuracy"):
            before, after = getattr(old, measure), getattr(new, measure)
            if before is not None and after is not None and after.value < before.value - allowed - 1e-9:
                shown_as = measure.replace("macro_f1", "macro-F1")
                found.append(f"{name} {shown_as} fell from {before.value:.3f} to {after} on {compared.what}")
    return found


def table(compared: Compared) -> Table:
    """Before, after, and what was gained, for people."""
    rows = []
    for (name, old), (_, new) in zip(heads_of(compared.before), heads_of(compared.after), strict=True):
        gained = compared.gained.get(name)
        change = NONE if gained is None else f"{gained.value:+.3f} ({gained.low:+.3f} to {gained.high:+.3f})"
        rows.append((f"{name} macro-F1", shown(old.macro_f1), shown(new.macro_f1), change))
        rows.append((f"{name} accuracy", shown(old.accuracy), shown(new.accuracy), ""))
        rows.append((f"{name} ECE", shown(old.ece), shown(new.ece), ""))
    if compared.before.urgent is not None and compared.after.urgent is not None:
        urgent_before, urgent_after = compared.before.urgent, compared.after.urgent
        rows.append(("urgent recall", shown(urgent_before.recall), shown(urgent_after.recall), ""))
        rows.append(("urgent precision", shown(urgent_before.precision), shown(urgent_after.precision), ""))
    return Table(f"{compared.what} ({compared.before.posts:,})", ("", "before", "after", "gained"), rows)

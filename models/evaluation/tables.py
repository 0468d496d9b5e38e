"""A report as tables, for the terminal and for Markdown alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.evaluation.report import LEAST_POSTS, Contender, Figure, Head, Measures, Report, Slice, Urgent

NONE = "–"
MOST_CHARS = 40
"""Of the name of a slice."""
HEADS = ("intent", "complaint", "sentiment", "urgency")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as long as the columns; all cells are text."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def markdown(self) -> str:
        """Without its title."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)

    def text(self) -> str:
        """In columns, numbers to the right."""
        lines = [self.columns, *self.rows]
        wide = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        told = [
            "  ".join(cell.ljust(wide[i]) if i == 0 else cell.rjust(wide[i]) for i, cell in enumerate(line))
            for line in lines
        ]
        return "\n".join([self.title, *(f"  {line}".rstrip() for line in told)])


def _cell(text: str) -> str:
    plain = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
    return plain.replace("<", "&lt;").replace("`", "\\`")


def shown(figure: Figure | None) -> str:
    return NONE if figure is None else str(figure)


def macro(head: Head | None) -> str:
    return NONE if head is None else shown(head.macro_f1)


def alarms(urgent: Urgent | None) -> tuple[str, str]:
    """Recall and precision at the threshold."""
    return (NONE, NONE) if urgent is None else (shown(urgent.recall), shown(urgent.precision))


def value(figure: Figure | None) -> str:
    """Without the interval."""
    return plain(None if figure is None else figure.value)


def plain(number: float | None) -> str:
    """What has no interval."""
    return NONE if number is None else f"{number:.3f}"


def heads_of(measures: Measures) -> list[tuple[str, Head]]:
    found = [(name, getattr(measures, name)) for name in HEADS]
    return [(name, head) for name, head in found if head is not None]


def scores(measures: Measures) -> dict[str, str]:
    """Every figure of the whole but those of single labels, by the name it has in a table."""
    rows = {}
    for name, head in heads_of(measures):
        rows[f"{name} macro-F1"] = shown(head.macro_f1)
        if head.kappa is not None:
            rows[f"{name} quadratic kappa"] = shown(head.kappa)
        rows[f"{name} accuracy"] = shown(head.accuracy)
        rows |= {f"{name} ECE": plain(head.ece), f"{name} Brier": shown(head.brier)}
        rows[f"{name} log loss"] = shown(head.log_loss)
    if (urgent := measures.urgent) is not None:
        rows |= {
            "urgent recall": shown(urgent.recall),
            "urgent precision": shown(urgent.precision),
            "urgent average precision": shown(urgent.average_precision),
            "urgent precision at recall 0.90": shown(urgent.precision_at_recall_90),
            "urgent ECE": plain(urgent.ece),
            "urgent Brier": shown(urgent.brier),
            "urgent log loss": shown(urgent.log_loss),
        }
    if (unsure := measures.unsure) is not None:
        rows |= {
            "share of unsure posts": shown(unsure.share),
            "intent accuracy of unsure posts": shown(unsure.accuracy),
            "intent accuracy of the others": shown(unsure.accuracy_of_others),
        }
    return rows


def tables(report: Report) -> Iterator[Table]:
    """All of a report, the most asked for first."""
    yield score_table({f"all ({report.posts:,})": report.measures})
    yield label_table(report.measures)
    for name, head in heads_of(report.measures):
        yield confusion_table(name, head)
    if report.contenders:
        yield contender_table(report)
    if report.slices:
        yield slice_table(report.slices, _main(report.measures))
    if any(part.measures is not None for part in report.slices):
        yield label_slice_table(report.slices)


def score_table(columns: dict[str, Measures]) -> Table:
    """Several measures beside each other; the rows are those that the first one has."""
    found = [scores(measures) for measures in columns.values()]
    rows = [(name, *(column.get(name, NONE) for column in found)) for name in found[0]]
    return Table("Scores, with 95% intervals", ("", *columns), rows)


def label_table(measures: Measures, one_a_group: Measures | None = None) -> Table:
    """With the F1 of the other measures beside it, if there are others; they have the same heads."""
    rows = [
        (
            name if head == "complaint" else f"{head} {name}",
            f"{label.posts:,}",
            shown(label.precision),
            shown(label.recall),
            shown(label.f1),
        )
        for head, figures in heads_of(measures)
        for name, label in figures.labels.items()
    ]
    columns = ("label", "posts", "precision", "recall", "F1")
    if one_a_group is None:
        return Table("By label", columns, rows)
    f1s = [shown(label.f1) for _, figures in heads_of(one_a_group) for label in figures.labels.values()]
    return Table("By label", (*columns, "F1, one a group"), [(*row, f1) for row, f1 in zip(rows, f1s, strict=True)])


def confusion_table(name: str, head: Head) -> Table:
    rows = [(label, *map(str, counts)) for label, counts in zip(head.labels, head.confusion, strict=True)]
    return Table(f"What each {name} was taken for", ("truly ↓ taken for →", *head.labels), rows)


def contender_table(report: Report) -> Table:
    """The model, then each contender; ahead is by how much the model's macro-F1 is higher, drawn in pairs."""
    main = _main(report.measures)
    columns = (
        "model",
        f"{main} macro-F1",
        "sentiment macro-F1",
        "urgency kappa",
        "urgent recall",
        "urgent precision",
        "urgent average precision",
        f"{main}: ahead by",
        "sentiment: ahead by",
    )
    rows = [_contender_row(report.model, report.measures, main, {})]
    rows += [_contender_row(one.name, one.measures, main, one.ahead) for one in report.contenders]
    return Table("Beside others, on the same posts", columns, rows)


def _main(measures: Measures) -> str:
    return "complaint" if measures.intent is None and measures.complaint is not None else "intent"


def _contender_row(name: str, measures: Measures, main: str, ahead: dict[str, Figure]) -> tuple[str, ...]:
    head: Head | None = getattr(measures, main)
    urgent = measures.urgent
    return (
        name,
        macro(head),
        macro(measures.sentiment),
        NONE if measures.urgency is None else shown(measures.urgency.kappa),
        *alarms(urgent),
        NONE if urgent is None else shown(urgent.average_precision),
        shown(ahead.get(main)),
        shown(ahead.get("sentiment")),
    )


def slice_table(slices: Sequence[Slice], main: str = "intent") -> Table:
    columns = (
        "slice",
        "posts",
        f"{main} macro-F1",
        "sentiment macro-F1",
        "urgent",
        "urgent recall",
        "urgent precision",
    )
    return Table("By slice", columns, [_slice_row(part, main) for part in slices])


def _name(part: Slice) -> str:
    short = part.name if len(part.name) <= MOST_CHARS else f"{part.name[: MOST_CHARS - 1]}…"
    return f"{part.by}: {short}"


def _slice_row(part: Slice, main: str) -> tuple[str, ...]:
    name = _name(part)
    if (measures := part.measures) is None:
        return (name, f"{part.posts:,}", f"under {LEAST_POSTS}: too few", *(NONE,) * 4)
    urgent = measures.urgent
    return (
        name,
        f"{part.posts:,}",
        macro(getattr(measures, main)),
        macro(measures.sentiment),
        NONE if urgent is None else str(urgent.urgent),
        *alarms(urgent),
    )


def label_slice_table(slices: Sequence[Slice]) -> Table:
    """F1 of each label of intent (or complaint) and sentiment, with how many posts have it."""
    measured = [(part, part.measures) for part in slices if part.measures is not None]
    labels = list(
        dict.fromkeys(
            (name, label)
            for _, measures in measured
            for name, head in heads_of(measures)
            if name != "urgency"
            for label in head.labels
        )
    )
    rows = []
    for part, measures in measured:
        heads = dict(heads_of(measures))
        found = [heads[name].labels[label] if name in heads else None for name, label in labels]
        rows.append((_name(part), *(NONE if one is None else f"{value(one.f1)} ({one.posts})" for one in found)))
    return Table("F1 of each label by slice (posts that have it)", ("slice", *(label for _, label in labels)), rows)


def abouts(contenders: Sequence[Contender]) -> list[str]:
    """What each contender is, a line each."""
    return [f"{one.name}: {one.about}." for one in contenders]

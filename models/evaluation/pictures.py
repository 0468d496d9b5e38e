"""Pictures of a report as SVG, drawn by templates: the same numbers give the same bytes, and nothing has to be installed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.evaluation.report import Bin, Head, Report
from models.evaluation.tables import heads_of

CONFUSION = "confusion.svg"
RELIABILITY = "reliability.svg"
CELL = 56
LABEL = 124
PLOT = 220
GAP = 40
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def pictures(report: Report) -> dict[str, str]:
    """By file name; none where the posts have no labels to draw."""
    drawn = {}
    matrices = [(name, head) for name, head in heads_of(report.measures) if name != "urgency"]
    if matrices:
        drawn[CONFUSION] = _confusion(report, matrices)
    curves = [(name, bins) for name, bins in report.reliability.items() if name != "urgency"]
    if curves:
        drawn[RELIABILITY] = _reliability(report, curves)
    return drawn


def _confusion(report: Report, heads: Sequence[tuple[str, Head]]) -> str:
    """Panels side by side; a cell is as dark as its share of the posts that truly have its row's label."""
    panels, left = [], 0
    for name, head in heads:
        panels.append(_matrix(name, head, left + LABEL))
        left += LABEL + CELL * len(head.labels) + GAP
    tallest = max(len(head.labels) for _, head in heads)
    return _TEMPLATES.get_template("confusion.svg").render(
        model=report.model, panels=panels, width=left, height=CELL * tallest + 90, cell=CELL
    )


def _matrix(name: str, head: Head, left: int) -> dict[str, Any]:
    cells = [
        {
            "x": left + CELL * column,
            "y": 60 + CELL * row,
            "count": count,
            "share": round(count / total, 3) if (total := sum(counts)) else 0.0,
        }
        for row, counts in enumerate(head.confusion)
        for column, count in enumerate(counts)
    ]
    labels = [{"name": label, "at": CELL * index + CELL // 2} for index, label in enumerate(head.labels)]
    return {"name": name, "posts": head.posts, "left": left, "cells": cells, "labels": labels}


def _reliability(report: Report, curves: Sequence[tuple[str, list[Bin]]]) -> str:
    """Panels side by side: a point a bin, its area by its posts; on the diagonal confidence is what it says."""
    panels = []
    for number, (name, bins) in enumerate(curves):
        left = 50 + number * (PLOT + GAP + 20)
        most = max(one.posts for one in bins)
        points = [
            {
                "x": round(left + PLOT * one.confidence, 1),
                "y": round(50 + PLOT * (1 - one.right), 1),
                "r": round(2 + 8 * (one.posts / most) ** 0.5, 1),
                "about": f"{one.posts} posts, confidence {one.confidence:.2f}, right {one.right:.2f}",
            }
            for one in bins
        ]
        panels.append({"name": name, "left": left, "points": points})
    return _TEMPLATES.get_template("reliability.svg").render(
        model=report.model, panels=panels, width=50 + len(panels) * (PLOT + GAP + 20), height=PLOT + 110, plot=PLOT
    )

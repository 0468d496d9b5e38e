"""A report as a folder: report.json, report.md and the pictures."""

from pathlib import Path

from models.evaluation.pictures import pictures
from models.evaluation.report import LEAST_POSTS, Report
from models.evaluation.tables import abouts, tables

READING = f"""F1 and the rest are at the most likely label; urgent recall and precision at the model's threshold, without the
policy of urgency, which raises posts further. ECE is the expected calibration error over ten bins. In brackets the 95%
bootstrap interval. A mean over labels goes over those that truly occur, so it swings where a few posts have a label. Slices
of fewer than {LEAST_POSTS} posts get no figures."""


def write_report(folder: Path, report: Report) -> list[Path]:
    """Makes the folder where it isn't there; the files written. Raises OSError where it can't."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = pictures(report)
    files = {"report.json": report.model_dump_json(indent=1) + "\n", "report.md": markdown(report, drawn), **drawn}
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in files]


def markdown(report: Report, drawn: dict[str, str]) -> str:
    """`drawn`: the pictures beside it."""
    parts = [f"# {report.model} on {report.posts:,} labelled posts", READING]
    parts += [f"## {table.title}\n\n{table.markdown()}" for table in tables(report)]
    if report.contenders:
        parts.append("\n".join(f"- {line}" for line in abouts(report.contenders)))
    parts += [f"![{name.partition('.')[0]}]({name})" for name in drawn]
    return "\n\n".join(parts) + "\n"


def text(report: Report) -> str:
    """For a terminal; what came from outside is not escaped."""
    parts = [f"{report.model} on {report.posts:,} labelled posts", *(table.text() for table in tables(report))]
    return "\n\n".join(parts + ["\n".join(abouts(report.contenders))] * bool(report.contenders))

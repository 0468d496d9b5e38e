"""``plaint evaluate``: how good the model is on labelled posts."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import click
from pydantic import ValidationError

from models.choice import ModelChoice
from models.evaluation.evaluate import Entrant, Plan, answers_of, evaluate
from models.evaluation.labelled import Complaints, Form, LabelledPost, read_labelled
from models.evaluation.report import Report
from models.evaluation.written import text, write_report
from models.loading import Model, load_model
from plaint.logs import escaped
from plaint.settings import load_settings
from plaint.terminal import echo_to_who_listens, echo_while_read
from schemas.faults import Fault, FaultsFound, Unavailable

MOST_FAULTS = 20
"""So many lines that can't be used are named."""


class ModelName(click.ParamType):
    """What ``classify.model`` takes as a text."""

    name = "model"

    def convert(
        self, value: str | ModelChoice, param: click.Parameter | None, ctx: click.Context | None
    ) -> ModelChoice:
        """Raises click.BadParameter where it names none."""
        try:
            return ModelChoice.model_validate(value)
        except ValidationError as error:
            self.fail(error.errors()[0]["msg"], param, ctx)


class ComplaintsField(click.ParamType):
    """``FIELD=VALUE[,VALUE…]``."""

    name = "complaints"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Complaints:
        """Raises click.BadParameter where it is anything else."""
        try:
            return Complaints.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("evaluate")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--model", type=ModelName(), metavar="MODEL", help="Name or folder of a model; without it the settings' own."
)
@click.option("--text", "text_field", default="text", metavar="FIELD", show_default=True, help="Field with the post.")
@click.option(
    "--complaints",
    type=ComplaintsField(),
    metavar="FIELD=VALUE[,VALUE…]",
    help="The posts tell complaints from the rest and no more: those with one of these values in this field are complaints.",
)
@click.option(
    "--against", type=ModelName(), metavar="MODEL", multiple=True, help="Another model to compare with; repeatable."
)
@click.option(
    "--baselines",
    is_flag=True,
    help="Compare with the most frequent label, VADER, and a logistic regression. Needs plaint[train] and PLAINT_DATA.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for report.json, .md and pictures."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def evaluate_(
    config: Path | None,
    file: IO[bytes],
    model: ModelChoice | None,
    text_field: str,
    complaints: Complaints | None,
    against: tuple[ModelChoice, ...],
    baselines: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Say how good the model is on the labelled posts of FILE (- is standard input), with 95% intervals.

    FILE holds JSON Lines with a text and at least one of intent, sentiment and urgency; source, language, origin and sure
    are what the scores are told apart by. A line that can't be used is named and left out, and the exit code is then 1.

    \b
    plaint evaluate labelled.jsonl
    plaint evaluate labelled.jsonl --out report
    plaint evaluate tweets.jsonl --text tweet --complaints label=1
    """
    settings = load_settings(config).classify
    posts, bad = _read(file, Form(text_field, complaints))
    rivals = _baselines(posts) if baselines else []

    def loaded(choice: ModelChoice | None) -> Model:
        return load_model(choice, settings.models, settings.threads, remembered=0)

    engine, others = loaded(model or settings.model), [loaded(choice) for choice in against]
    rivals = [
        Entrant(one.version, "another model, at its own threshold", answers_of(one, posts)) for one in others
    ] + rivals
    unsure_below = engine.unsure_below if settings.unsure_below is None else settings.unsure_below
    report = evaluate(posts, engine.version, answers_of(engine, posts), Plan(unsure_below), rivals)
    if out is not None:
        _write(out, report)
    echo_while_read(report.model_dump_json(indent=1) if as_json else escaped(text(report)))
    sys.exit(1 if bad else 0)


def _read(file: IO[bytes], form: Form) -> tuple[list[LabelledPost], int]:
    """The posts, and how many lines can't be used; those are told."""
    posts: list[LabelledPost] = []
    bad = 0
    for found in read_labelled(file, form):
        if isinstance(found, LabelledPost):
            posts.append(found)
            continue
        bad += 1
        if bad <= MOST_FAULTS:
            echo_to_who_listens(escaped(str(found)), err=True)
    if bad:
        echo_to_who_listens(f"{bad} lines can't be used, {len(posts)} can", err=True)
    if not posts:
        mend = 'give JSON Lines such as {"text": "my router is dead", "intent": "complaint"}'
        raise FaultsFound([Fault(file.name, "there is no labelled post in it", mend)])
    return posts, bad


def _baselines(posts: Sequence[LabelledPost]) -> list[Entrant]:
    from models.training.data import data_folder, load_parts

    try:
        from models.evaluation.baselines import baselines, missing_packages
    except ModuleNotFoundError as error:
        raise _needs(str(error.name)) from error
    if missing := missing_packages():
        raise _needs(", ".join(missing))
    try:
        parts = load_parts(data_folder())
    except OSError as error:
        mend = "let PLAINT_DATA name the folder with the labelled posts, or leave --baselines out"
        raise Unavailable(f"the training posts can't be read ({error.filename}: {error.strerror}); {mend}") from error
    return baselines(parts, [post.text for post in posts])


def _needs(packages: str) -> Unavailable:
    return Unavailable(f"--baselines needs {packages}: pip install 'plaint[train]', or leave --baselines out")


def _write(out: Path, report: Report) -> None:
    try:
        files = write_report(out, report)
    except OSError as error:
        raise FaultsFound(
            [Fault(f"--out {out}", f"can't be written: {error.strerror}", "name another folder")]
        ) from error
    echo_to_who_listens(f"written: {', '.join(map(str, files))}", err=True)

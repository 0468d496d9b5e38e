"""``plaint train``: weights from the training posts, or from other weights and a team's own corrections."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click
from click.core import ParameterSource

from models.evaluation.tables import scores
from models.manifest import load_manifest
from models.store import DEFAULT, WEIGHTS, Store
from plaint.logs import escaped
from plaint.settings import load_settings
from plaint.terminal import echo_to_who_listens
from plaint.training import free_folder, read_corrections, train_anew, train_on

MOST_FAULTS = 20
"""So many lines that can't be used are named."""
WITH, WITHOUT = ("even_if_worse",), ("base", "teacher", "clear", "epochs", "run")
"""Options that go with --corrections alone, and those that go without alone."""
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option(
    "--base", type=click.Choice(["minilm", "mpnet", "e5"]), default="minilm", show_default=True, help="Encoder."
)
@click.option(
    "--teacher",
    type=FOLDER,
    multiple=True,
    metavar="FOLDER",
    help="Learn from a finished training, its --run, or from weights too. Repeatable.",
)
@click.option("--clear", is_flag=True, help="Leave out the sources whose terms are unclear.")
@click.option("--epochs", type=click.IntRange(min=1), help="Times that each post is read; without it the recipe's.")
@click.option("--run", type=FOLDER, default="plaint-run", show_default=True, help="Folder for checkpoints.")
@click.option("--corrections", type=click.File("rb"), metavar="FILE", help="Go on from weights with your own labels.")
@click.option(
    "--model",
    metavar="MODEL",
    help="Name or folder of the weights to go on from; without it, with --corrections, the shipped ones.",
)
@click.option("--even-if-worse", is_flag=True, help="Save a model that got worse, too.")
@click.option("--seed", type=int, help="Of all that is drawn; without it the recipe's.")
@click.option("--out", type=FOLDER, help="Folder of weights to make; without it a dated one among your own models.")
@click.pass_context
def train(
    ctx: click.Context,
    base: str,
    teacher: tuple[Path, ...],
    clear: bool,
    epochs: int | None,
    run: Path,
    corrections: IO[bytes] | None,
    model: str | None,
    even_if_worse: bool,
    seed: int | None,
    out: Path | None,
) -> None:
    """Make a model: from the posts in PLAINT_DATA, or with --corrections from another model and your own labels.

    Needs plaint[train]. From the posts it takes hours, from the encoder or going on from --model; broken off, the same
    command goes on from its --run. The same data and seed give the same weights on the same machine.

    Corrections are JSON Lines with a text and what you say it is: intent, and if you like sentiment, urgency and sure; 30
    at the least. A part of them is held out to measure on, and a model that got worse or learned nothing is not saved (exit
    code 1). A line that can't be used is named and left out (exit code 1 as well).

    \b
    plaint train
    plaint train --clear --seed 7 --run training --out models/minilm-clear
    plaint train --model minilm-5 --teacher plaint-run/teacher
    plaint train --corrections corrections.jsonl
    """
    _refuse_mixed(ctx, corrections is not None)
    store = Store(load_settings(ctx.obj).classify.models)
    if corrections is not None:
        _go_on(corrections, store, model, out, seed, even_if_worse)
        return
    start = None if model is None else _folder_of(model, store)
    out = out or _free(store, base if start is None else start.resolve().name)
    try:
        evaluation = train_anew(base, start, run, out, teacher, clear, epochs, seed)
    except KeyboardInterrupt:
        echo_to_who_listens(f"stopped; the same command goes on from {run}", err=True)
        raise
    echo_to_who_listens(f"on {evaluation.test.posts:,} test posts:")
    for name, value in scores(evaluation.test.measures).items():
        echo_to_who_listens(f"  {name} {value}")
    _tell_saved(out, store)


def _refuse_mixed(ctx: click.Context, correcting: bool) -> None:
    """Raises click.UsageError for an option that would have no effect."""
    for name in WITHOUT if correcting else WITH:
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            told = "can't be used with" if correcting else "goes with"
            raise click.UsageError(f"--{name.replace('_', '-')} {told} --corrections")


def _go_on(
    file: IO[bytes], store: Store, model: str | None, out: Path | None, seed: int | None, even_if_worse: bool
) -> None:
    base = _folder_of(model, store)
    corrections = read_corrections(file.read(), file.name)
    for fault in corrections.faults[:MOST_FAULTS]:
        echo_to_who_listens(escaped(str(fault)), err=True)
    if corrections.faults:
        echo_to_who_listens(f"{len(corrections.faults)} lines can't be used, {len(corrections.posts)} can", err=True)
    out = out or _free(store, load_manifest(base).name)
    outcome = train_on(base, corrections, out, seed, even_if_worse)
    if outcome is None:
        echo_to_who_listens(
            "not saved: nothing was learned, training made it no better on the corrections that are watched. Look whether "
            "posts alike have the same labels, and give more"
        )
        sys.exit(1)

    from models.training.comparison import table

    echo_to_who_listens(f"{table(outcome.theirs).text()}\n\n{table(outcome.ours).text()}\n")
    echo_to_who_listens(f"calibration and thresholds: {outcome.calibration}")
    for line in outcome.worse:
        echo_to_who_listens(f"worse: {line}")
    saved = not outcome.worse or even_if_worse
    if saved:
        _tell_saved(out, store)
    else:
        echo_to_who_listens(
            "not saved: it got worse. More corrections help, also of posts that were right; or --even-if-worse"
        )
    sys.exit(0 if saved and not corrections.faults else 1)


def _folder_of(model: str | None, store: Store) -> Path:
    if model is None:
        return WEIGHTS / DEFAULT
    return Path(model) if "/" in model or Path(model).is_dir() else store.find(model)


def _free(store: Store, stem: str) -> Path:
    return free_folder(store.folder, stem, datetime.now(UTC).date())


def _tell_saved(out: Path, store: Store) -> None:
    echo_to_who_listens(f"saved: {out}")
    if out.resolve().parent == store.folder.resolve():
        echo_to_who_listens(
            f"  `plaint models use {out.name}` has it label posts, `plaint models rollback` takes that back"
        )
    else:
        echo_to_who_listens(f"  `classify.model: {out.resolve()}` in the settings has it label posts")

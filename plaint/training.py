"""What ``plaint train`` does: from the training posts, or from weights and a team's own corrections, to a folder of weights."""

import hashlib
import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from models.evaluation.evaluation import load_evaluation
from models.evaluation.labelled import Form, LabelledPost, read_labelled
from models.manifest import WeightsError, load_manifest
from plaint.bar import Bar
from plaint.terminal import echo_to_who_listens
from schemas.faults import Fault, FaultsFound, Unavailable

if TYPE_CHECKING:
    from models.evaluation.evaluation import Evaluation
    from models.training.continuing import Outcome
    from models.training.listener import Listener
    from models.training.train import Plan

PACKAGES = {"torch": "torch", "onnx": "onnx", "safetensors": "safetensors", "sklearn": "scikit-learn"}
"""What training imports that serving does not, by the name of its distribution."""
_DATED = re.compile(r"-\d{4}-\d\d-\d\d(-\d+)?$")


@dataclass(frozen=True, slots=True)
class Corrections:
    """A team's own labels as read from a file."""

    posts: list[LabelledPost]
    faults: list[Fault]
    """A line each that can't be used."""
    sha256: str


def read_corrections(content: bytes, name: str) -> Corrections:
    """Raises FaultsFound where there is none in it."""
    found = list(read_labelled(io.BytesIO(content), Form()))
    posts = [one for one in found if isinstance(one, LabelledPost)]
    faults = [one for one in found if isinstance(one, Fault)]
    if not posts:
        mend = 'give JSON Lines such as {"text": "my router is dead", "intent": "complaint"}'
        raise FaultsFound([*faults[:20], Fault(name, "there is no correction in it", mend)])
    return Corrections(posts, faults, hashlib.sha256(content).hexdigest())


def free_folder(folder: Path, stem: str, today: date) -> Path:
    """`folder/STEM-2026-05-01`, or with a number behind where that is taken; an older date of the stem's own is left out."""
    name = f"{_DATED.sub('', stem)}-{today.isoformat()}"
    names = (name if number == 1 else f"{name}-{number}" for number in range(1, 1000))
    return next(folder / one for one in names if not (folder / one).exists())


def refuse_without_extra() -> None:
    """Raises Unavailable if what training needs is not installed."""
    if missing := [package for module, package in PACKAGES.items() if find_spec(module) is None]:
        raise Unavailable(f"training needs {', '.join(missing)}: pip install 'plaint[train]'")


@contextmanager
def listening() -> "Iterator[Listener]":
    """A bar where a person looks on, else plain lines; both on stderr."""
    from models.training.listener import Lines

    if sys.stderr.isatty():
        with Bar(Console(stderr=True)) as bar:
            yield bar
    else:
        yield Lines(write=partial(echo_to_who_listens, err=True))


def train_anew(
    base: str,
    start: Path | None,
    run: Path,
    out: Path,
    teachers: tuple[Path, ...],
    clear: bool,
    epochs: int | None,
    seed: int | None,
) -> "Evaluation":
    """Trains in `run`, where a checkpoint is taken up, and exports to `out`, unless it has; what was measured of it.

    `start` None: from the pretrained encoder.

    Raises:
        FaultsFound: the data, a teacher, `start`, or what stands in `run` or `out` can't be used.
        Unavailable: what training needs is not installed, or the data is not there.
    """
    refuse_without_extra()
    from models.export import export
    from models.training.bases import BASES
    from models.training.train import Plan, Recipe, run_training
    from models.training.trained import Trained

    plan = Plan(
        BASES[base],
        start=None if start is None else Trained(start),
        teachers=tuple(map(Trained, teachers)),
        clear=clear,
        epochs=epochs,
        seed=Recipe().seed if seed is None else seed,
    )
    try:
        if out.exists():
            return _made_before(run, out, plan)
        with listening() as listener:
            run_training(run, plan, listener)
            listener.say("exporting and measuring")
            return export(run, out)
    except ModuleNotFoundError as error:
        raise Unavailable(str(error)) from error
    except FileNotFoundError as error:
        mend = "let PLAINT_DATA name the folder with the training posts"
        raise Unavailable(f"{error.filename} is not there; {mend}") from error
    except OSError as error:
        raise _unwritable(error) from error


def _made_before(run: Path, out: Path, plan: "Plan") -> "Evaluation":
    """What was measured of weights that this run has made, so that a command that was broken off behind it can be repeated.

    Raises FaultsFound where something else stands there, or the run is of another plan.
    """
    from models.training.checkpoint import load_run
    from models.training.train import prepare

    try:
        made_of, manifest = load_run(run), load_manifest(out)
        same = (made_of.base, made_of.seed, made_of.epochs, made_of.data, made_of.clear, made_of.went_on_from)
        found = (manifest.base, manifest.seed, manifest.epochs, manifest.data, manifest.clear, manifest.went_on_from)
        measured = load_evaluation(out) if same == found else None
    except (OSError, ValueError, TypeError, WeightsError):
        measured = None
    if measured is not None and made_of == prepare(plan).run:
        return measured
    what = "is there already, and not made by this run from these posts with these options"
    raise FaultsFound([Fault(f"--out {out}", what, "name a folder that isn't")])


def train_on(
    base: Path, corrections: Corrections, out: Path, seed: int | None, even_if_worse: bool
) -> "Outcome | None":
    """Goes on from `base` with the corrections; `out` is made unless the model got worse, or learned nothing (None).

    Raises:
        WeightsError: the weights can't be read or gone on from.
        FaultsFound: there are too few corrections, or `out` is there.
        Unavailable: what training needs is not installed.
    """
    refuse_without_extra()
    from models.training.continuing import Order, go_on
    from models.training.corrections import RECIPE

    recipe = RECIPE if seed is None else replace(RECIPE, seed=seed)
    order = Order(base, corrections.posts, corrections.sha256, out, recipe, even_if_worse)
    try:
        with listening() as listener:
            return go_on(order, listener)
    except OSError as error:
        raise _unwritable(error) from error


def _unwritable(error: OSError) -> FaultsFound:
    mend = "let this user read and write there, or name another folder"
    return FaultsFound([Fault(str(error.filename), f"can't be used: {error.strerror}", mend)])

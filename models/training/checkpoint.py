"""What a run leaves on disk, each file written whole or not at all.

`run.json` says what it was made of, `tokenizer.json` is its tokenizer, `checkpoint.pt` is for resuming, `network.pt` is the
result.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from models.outputs import Floats
from models.training.network import Network, Shape
from schemas.faults import Fault, FaultsFound

NETWORK, RUN = "network.pt", "run.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """The next batch to train on, and how many there have been."""

    epoch: int
    batch: int
    step: int


@dataclass(frozen=True, slots=True)
class Run:
    """What a run was made of."""

    base: str
    """Package and sha256 of the pretrained encoder."""
    seed: int
    epochs: int
    posts: int
    data: dict[str, str]
    """sha256 of the files that it read."""
    clear: bool = False
    """The sources whose terms are unclear were left out."""
    multilingual: bool = False
    """There were posts in other languages than English."""
    made_by: str = ""
    """sha256 of the rest that weights hang on: recipe, shape, tokenizer, split, teachers and what it went on from."""
    went_on_from: str = ""
    """Name and sha256 of the weights or the run that it began with; empty: the pretrained encoder."""


def save_run(folder: Path, run: Run) -> None:
    """Raises FaultsFound where the folder holds a run of other stuff: resuming would mix the two."""
    path = folder / RUN
    if path.exists() and load_run(folder) != run:
        what = "holds a run on other data or by another recipe"
        raise FaultsFound([Fault(str(folder), what, "give another folder, or delete it")])
    save_text(path, json.dumps(asdict(run), indent=2) + "\n")


def load_run(folder: Path) -> Run:
    return Run(**json.loads((folder / RUN).read_text(encoding="utf-8")))


def save_array(path: Path, array: Floats) -> None:
    """As .npy, whole or not at all."""
    with _whole(path) as draft, draft.open("wb") as file:
        np.save(file, array)


def save_text(path: Path, content: str) -> None:
    """Whole or not at all."""
    with _whole(path) as draft:
        draft.write_text(content, encoding="utf-8")


def save_network(path: Path, network: Network) -> None:
    _save(path, {"shape": asdict(network.shape), "state": network.state_dict()})


def load_network(path: Path) -> Network:
    """The network in `.eval()`: dropout off, as export needs it."""
    saved = torch.load(path, weights_only=True)
    network = Network(Shape(**saved["shape"]))
    network.load_state_dict(saved["state"])
    network.eval()
    return network


def save_progress(folder: Path, network: Network, average: Network, optimiser: Optimizer, progress: Progress) -> None:
    state = {
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
        "random": torch.get_rng_state(),
        "progress": asdict(progress),
    }
    _save(folder / "checkpoint.pt", state)


def load_progress(folder: Path, network: Network, average: Network, optimiser: Optimizer) -> Progress | None:
    """Fills the arguments from the folder's checkpoint; None where there is none."""
    path = folder / "checkpoint.pt"
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    random: Tensor = state["random"]
    torch.set_rng_state(random)
    return Progress(**state["progress"])


def _save(path: Path, content: dict[str, Any]) -> None:
    with _whole(path) as draft:
        torch.save(content, draft)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """What is written to the path given takes the place of `path` once the block ends without an error."""
    draft = path.with_suffix(".draft")
    yield draft
    draft.replace(path)

"""The model that the settings name, loaded: the one way to a model for whoever labels posts."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.choice import ModelChoice
from models.manifest import MANIFEST, WeightsError, load_manifest, sha256
from models.outputs import Scores
from models.store import ModelInvalid, Store
from schemas.faults import Fault

log = logging.getLogger(__name__)

KEY = "classify.model"


class Model(Protocol):
    """A loaded model: `models.engine.Engine` and `models.huggingface.HuggingFace` are two. For one thread at a time."""

    version: str
    urgent_threshold: float
    unsure_below: float
    languages: tuple[str, ...]
    computed: int
    """Texts that the network has scored so far."""
    known: int
    """Texts whose scores were known."""

    @property
    def runs_on(self) -> str:
        """What computes, for people."""
        ...

    def score(self, texts: Sequence[str]) -> list[Scores]:
        """Scores of each text, in order. Takes any `str`; blocks."""
        ...


def load_model(
    choice: ModelChoice | None, folder: Path, threads: int | None = None, remembered: int | None = None
) -> Model:
    """The model that was chosen in the settings, else by `plaint models use` in this folder, else the one that ships.

    `remembered`: posts whose scores are kept, None for as many as the engine keeps of itself. Blocks for a second or more.

    Raises:
        ModelInvalid, WeightsError: it can't be used. No other is loaded in its place.
    """
    from models.engine import REMEMBERED, Engine  # costs the inference runtime

    kept = REMEMBERED if remembered is None else remembered
    if choice is not None and choice.hugging_face:
        from models.huggingface import load_hugging_face

        return load_hugging_face(choice, lambda: Engine.load(None, threads, remembered=kept), threads)
    return Engine.load(folder_of(choice, Store(folder)), threads, remembered=kept)


def folder_of(choice: ModelChoice | None, store: Store) -> Path:
    """Where the weights of a model in plaint's own format stand. Raises ModelInvalid for a name that nobody knows."""
    if choice is None:
        return store.in_use()
    if "/" in choice.name or (Path(choice.name).is_dir() and choice.name not in store.names()):
        return Path(choice.name)
    return store.find(choice.name)


@dataclass(frozen=True, slots=True)
class Weights:
    """What `load_model` would load: ``place`` is its folder, or what the settings name; other weights, other ``identity``."""

    place: str
    identity: str


def weights_of(choice: ModelChoice | None, folder: Path) -> Weights:
    """What `load_model` would load now, its files checked. A model of Hugging Face is taken to be the same for good.

    Raises:
        ModelInvalid, WeightsError: it can't be used.
    """
    if choice is not None and choice.hugging_face:
        return Weights(choice.text, choice.text)
    path = folder_of(choice, Store(folder))
    load_manifest(path)
    return Weights(str(path.resolve()), sha256((path / MANIFEST).read_bytes()))


def model_faults(choice: ModelChoice | None, folder: Path) -> list[Fault]:
    """What keeps the model from being loaded, as far as that can be known without loading its network."""
    if choice is not None and choice.hugging_face:
        from models.huggingface import hugging_face_faults

        return hugging_face_faults(choice)
    try:
        load_manifest(folder_of(choice, Store(folder)))
    except ModelInvalid as error:
        return list(error.faults)
    except WeightsError as error:
        return [weights_fault(error)]
    return []


def weights_fault(error: WeightsError) -> Fault:
    """The same as a fault of the settings."""
    what, _, mend = str(error).rpartition(": ")
    return Fault(KEY, what, mend)

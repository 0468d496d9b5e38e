"""What a folder of weights says about itself, and the check that its files are the ones it was made with."""

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.outputs import Calibration
from schemas.faults import Unusable
from schemas.labels import INTENTS, SENTIMENTS, URGENCIES, Intent, Sentiment

MANIFEST = "manifest.json"
NETWORK = "model.int8.onnx"
FLOAT = "network.safetensors"
"""The network before it was made int8, for whoever trains on; serving never reads it, and older weights have none."""
TOKENIZER = "tokenizer.json"
MEND = "restore it from the release (git checkout, or install plaint again), or export the weights anew"


class WeightsError(Unusable):
    """Weights that can't be served; says which file, what is wrong with it and the mend."""


class Corrected(BaseModel):
    """How weights were made of other weights and of a team's own corrections."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    """Name of the weights that they continue."""
    manifest: str
    """sha256 of that model's manifest.json."""
    corrections: int
    """How many there were; a part of them was held out to measure on."""
    sha256: str
    """Of the file of corrections."""


class Manifest(BaseModel):
    """`manifest.json`, beside the files that it names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    """Goes into every triage as `model_version`: new weights, new name."""
    intents: tuple[Intent, ...]
    sentiments: tuple[Sentiment, ...]
    urgencies: tuple[int, ...]
    calibration: Calibration
    urgent_threshold: float = Field(gt=0, lt=1)
    unsure_below: float = Field(default=0.5, ge=0, le=1)
    """A post whose likeliest intent is less likely than this is unsure; chosen on the dev posts."""
    languages: tuple[str, ...] = Field(default=("en",), min_length=1)
    """Those that the model was measured in, as ISO 639 codes."""
    max_tokens: int = Field(gt=2)
    layers: int = Field(gt=0)
    base: str
    """Package and sha256 of the pretrained encoder."""
    went_on_from: str = ""
    """Name of the weights that training went on from and the sha256 of their manifest, or of a run and its network; empty: from
    that encoder."""
    seed: int
    epochs: int
    data: dict[str, str]
    """sha256 of the files that the training read."""
    clear: bool = False
    """The sources whose terms are unclear were left out of training."""
    files: dict[str, str]
    """sha256 of the files beside the manifest."""
    corrected: Corrected | None = None
    """None of weights that no team's corrections went into."""

    @property
    def multilingual(self) -> bool:
        """Whether it was trained and measured in more languages than one."""
        return len(self.languages) > 1


def load_manifest(folder: Path) -> Manifest:
    """The manifest of checked weights.

    Raises:
        WeightsError: a file is missing, unreadable or not the one the manifest names; or its labels are of another plaint.
    """
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(_read(path))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise WeightsError(f"{path} is no manifest of weights ({faults}): {MEND}") from error
    if (manifest.intents, manifest.sentiments, manifest.urgencies) != (INTENTS, SENTIMENTS, URGENCIES):
        raise WeightsError(f"{path} has other labels than this plaint, or in another order: use weights made for it")
    for name in (NETWORK, TOKENIZER):
        _check(folder / name, manifest.files.get(name))
    return manifest


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check(path: Path, expected: str | None) -> None:
    try:
        with path.open("rb") as file:  # a network is never whole in memory for this
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error
    if found != expected:
        raise WeightsError(f"{path} has sha256 {found}, its manifest says {expected}: {MEND}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> WeightsError:
    return WeightsError(f"{path} can't be read ({error.strerror}): {MEND}")

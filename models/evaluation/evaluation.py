"""`evaluation.json`: what was measured of a folder of weights, from which alone (and the manifest) its card is written."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from models.evaluation.report import Measures, Report

EVALUATION = "evaluation.json"


class Source(BaseModel):
    """Where posts come from, under which terms, and how many of them serve for what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    origin: str
    terms: str
    train: int
    dev: int
    test: int


class Evaluation(BaseModel):
    """Measured on posts that no choice was made on (`test`), and on those that choices were made on (`dev`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: str
    """sha256 of the manifest.json that was evaluated; it names the weights by theirs."""
    bytes_shipped: int
    """Of the files that the manifest names, and of itself."""
    measured_on: str
    data: dict[str, str]
    """sha256 of the files that test and dev posts were read from."""
    held_out: list[str]
    """Sources of which no post was trained on."""
    miss_cost: float
    """False alarms that a missed urgent complaint costs as much as, in the choice of the threshold."""
    sources: list[Source]
    test: Report
    settled: Report | None = None
    """The same against the labels that two of three readers gave, where three read the test posts."""
    one_a_group: Report | None = None
    """The test part with one post of each group of near-duplicates, since more of them are in it than chance would bring."""
    dev: Measures


def load_evaluation(folder: Path) -> Evaluation:
    """Raises OSError or pydantic's ValidationError where the folder has none that can be read."""
    return Evaluation.model_validate_json((folder / EVALUATION).read_bytes())

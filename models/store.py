"""The models in plaint's own format on this machine: those that ship, a team's own, and which one is used.

A team's own stand in one folder, a folder each. Beside them `in-use.json` remembers which one was chosen and those before
it, so that a choice can be taken back; without it the default that ships is used.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.evaluation.evaluation import Evaluation, load_evaluation
from models.manifest import MANIFEST, NETWORK, TOKENIZER, Manifest, WeightsError, load_manifest
from schemas.faults import Fault, FaultsFound, one_of, shown

WEIGHTS = Path(__file__).parent / "weights"
DEFAULT = "minilm-5"
"""The one that is used where nobody has chosen."""
STATE = "in-use.json"

Origin = Literal["shipped", "own"]


class ModelInvalid(FaultsFound):
    """The model can't be used; no other is used in its place."""


class Chosen(BaseModel):
    """One choice, and when it was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    since: datetime


class History(BaseModel):
    """`in-use.json`: the choices, the newest last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chosen: tuple[Chosen, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """A model that stands here. `manifest` is None, and `fault` says why, where its files can't be used."""

    name: str
    folder: Path
    origin: Origin
    bytes: int
    manifest: Manifest | None
    fault: str
    evaluation: Evaluation | None
    """What was measured of it, None where nothing was."""


class Store:
    """The models that ship and those in one folder, which may be missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def models(self) -> list[Known]:
        """All of them, those that ship first, each by its name; every file is read, and checked by its hash.

        Raises ModelInvalid if two have one name.
        """
        return [_known(name, path, origin) for name, (path, origin) in self._folders().items()]

    def names(self) -> tuple[str, ...]:
        """Of all of them. Raises ModelInvalid if two have one."""
        return tuple(self._folders())

    def find(self, name: str) -> Path:
        """The folder of a model. Raises ModelInvalid if there is none of that name."""
        folders = self._folders()
        if name not in folders:
            what = f"no model is called {shown(name)}"
            mend = f"{one_of(name, folders)}; a folder is written with a / in it"
            raise ModelInvalid([Fault("classify.model", what, mend)])
        return folders[name][0]

    def in_use(self) -> Path:
        """The folder of the model that was chosen, else of the default. Raises ModelInvalid if it isn't there any more."""
        history = self.history()
        if not history.chosen:
            return WEIGHTS / DEFAULT
        name, folders = history.chosen[-1].name, self._folders()
        if name not in folders:
            what = f"{shown(name)} was chosen, and it isn't there any more"
            raise ModelInvalid(
                [Fault(str(self._state), what, "put it back, or `plaint models rollback`, or `… use NAME`")]
            )
        return folders[name][0]

    def name_in_use(self) -> str:
        """The name that was chosen, else the default's, whether it is there or not."""
        chosen = self.history().chosen
        return chosen[-1].name if chosen else DEFAULT

    def history(self) -> History:
        """What was chosen so far. Raises ModelInvalid if the file of it is damaged."""
        try:
            return History.model_validate_json(self._state.read_bytes())
        except FileNotFoundError:
            return History()
        except OSError as error:
            mend = "let this user read it, or set classify.models to another folder"
            raise ModelInvalid([Fault(str(self._state), f"can't be read: {error.strerror}", mend)]) from error
        except ValidationError as error:
            mend = "remove it, and choose again with `plaint models use NAME`"
            raise ModelInvalid([Fault(str(self._state), "is no list of choices", mend)]) from error

    def use(self, name: str) -> None:
        """Choose a model that is there; one that is the newest choice already is not noted again, so that each `rollback` goes
        back to another. Raises ModelInvalid if there is none of that name, or it can't be written down.
        """
        self.find(name)
        before = self.history().chosen
        if before and before[-1].name == name:
            return
        chosen = Chosen(name=name, since=datetime.now(UTC).replace(microsecond=0))
        self._write(History(chosen=(*before, chosen)))

    def before(self) -> str:
        """The model that `rollback` goes back to. Raises ModelInvalid if nothing was chosen."""
        chosen = self.history().chosen
        if not chosen:
            what = f"nothing was chosen here, {DEFAULT} ships as the default"
            raise ModelInvalid([Fault(str(self._state), what, "choose another with `plaint models use NAME`")])
        return chosen[-2].name if len(chosen) > 1 else DEFAULT

    def rollback(self) -> None:
        """Take the newest choice back. Raises ModelInvalid as `before` does, or if it can't be written down."""
        self.before()
        self._write(History(chosen=self.history().chosen[:-1]))

    @property
    def _state(self) -> Path:
        return self.folder / STATE

    def _write(self, history: History) -> None:
        draft = self.folder / f".{STATE}.{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            draft.write_text(history.model_dump_json(indent=2) + "\n", encoding="utf-8")
            draft.replace(self._state)
        except OSError as error:
            mend = "let this user write there, or set classify.models to another folder"
            raise ModelInvalid([Fault(str(self._state), f"can't be written: {error.strerror}", mend)]) from error

    def _folders(self) -> dict[str, tuple[Path, Origin]]:
        """By name. A model of the team's own that is called like one that ships is not taken for it."""
        own = {path.name: path for path in _models_in(self.folder)}
        shipped = {path.name: path for path in _models_in(WEIGHTS)}
        if both := sorted(own.keys() & shipped.keys()):
            what = f"{both[0]} is called like a model that ships"
            raise ModelInvalid([Fault(str(own[both[0]]), what, "give its folder another name")])
        return {name: (path, "shipped") for name, path in shipped.items()} | {
            name: (path, "own") for name, path in own.items()
        }


def _models_in(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(path.parent for path in folder.glob(f"*/{MANIFEST}") if not path.parent.name.startswith("."))


def _known(name: str, folder: Path, origin: Origin) -> Known:
    manifest, fault = None, ""
    try:
        manifest = load_manifest(folder)
    except WeightsError as error:
        fault = str(error)
    sizes = [(folder / file).stat().st_size for file in (NETWORK, TOKENIZER, MANIFEST) if (folder / file).is_file()]
    return Known(name, folder, origin, sum(sizes), manifest, fault, _evaluation(folder))


def _evaluation(folder: Path) -> Evaluation | None:
    try:
        return load_evaluation(folder)
    except (OSError, ValidationError):  # none, or one of another version: the model serves without
        return None

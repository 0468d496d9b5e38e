"""The fields that a rule can ask for: every one of a triage and its post, by its dotted path, read off the schemas."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel

from schemas.labels import INTENTS, SENTIMENTS, URGENCIES
from schemas.triage import Triage, UrgencyPart

Kind = Literal["text", "texts", "number", "yes or no", "time"]
_FEW = 20


@dataclass(frozen=True)
class Field:
    """One field: its dotted ``path``, what it holds, how to get it from a triage, and the values that it can have.

    ``choices`` is empty where any text will do; ``low`` and ``high`` bound a number, which is a ``whole`` one or not.
    """

    path: str
    kind: Kind
    get: Callable[[Triage], Any]
    choices: tuple[str, ...] = ()
    low: float = float("-inf")
    high: float = float("inf")
    whole: bool = False

    @property
    def domain(self) -> tuple[Any, ...] | None:
        """All values that the field can have, None for "not known" among them, or None where there are too many."""
        if self.choices:
            return (*self.choices, None)
        if self.kind == "yes or no":
            return True, False
        if self.whole and self.high - self.low < _FEW:
            return tuple(range(int(self.low), int(self.high) + 1))
        return None


def _fields_of(model: type[BaseModel], prefix: str) -> Iterator[Field]:
    for name, info in model.model_fields.items():
        if name == "v":  # the version of the record, not a property of the post
            continue
        path = f"{prefix}{name}"
        kind, metadata = _plain(info.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields_of(kind, f"{path}.")
        elif get_origin(kind) is not dict:
            yield _field(path, kind, [*info.metadata, *metadata])


def _plain(annotation: Any) -> tuple[Any, list[Any]]:
    """The type without ``None`` and ``Annotated``, and what was annotated."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
    if get_origin(annotation) is Annotated:
        kind, *metadata = get_args(annotation)
        return kind, metadata
    return annotation, []


def _field(path: str, kind: Any, metadata: list[Any]) -> Field:
    get = attrgetter(path)
    if kind == tuple[UrgencyPart, ...]:
        return Field(path, "texts", lambda triage: [part.name for part in get(triage)])
    if get_origin(kind) is tuple:
        return Field(path, "texts", get)
    if get_origin(kind) is Literal and isinstance(get_args(kind)[0], str):
        return Field(path, "text", get, choices=get_args(kind))
    if kind is bool:
        return Field(path, "yes or no", get)
    if kind is datetime:
        return Field(path, "time", get)
    if kind is str or issubclass(kind, StrEnum):
        return Field(path, "text", get, choices=() if kind is str else tuple(kind))
    low = max((float(str(m.ge)) for m in metadata if isinstance(m, Ge)), default=float("-inf"))
    high = min((float(str(m.le)) for m in metadata if isinstance(m, Le)), default=float("inf"))
    return Field(path, "number", get, low=low, high=high, whole=kind is int)


def _probability(group: str, label: Any) -> Field:
    labels = attrgetter(group)
    return Field(f"{group}.{label}", "number", lambda triage: labels(triage).get(label), low=0.0, high=1.0)


def _all_fields() -> Iterator[Field]:
    yield from _fields_of(Triage, "")
    for group, labels in (("intents", INTENTS), ("sentiments", SENTIMENTS), ("urgencies", URGENCIES)):
        yield from (_probability(group, label) for label in labels)


FIELDS: dict[str, Field] = {field.path: field for field in _all_fields()}

"""What pydantic says against settings, in words for whoever wrote them: where, what, and the mend."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from plaint.settings_given import Given, kind, spelled
from route.yamlfile import KeyPath
from schemas.faults import Fault, one_of

MAP, LIST = "is no map", "is no list"
_WHAT = {
    "extra_forbidden": "is no setting",
    "missing": "is missing",
    "model_type": MAP,
    "model_attributes_type": MAP,
    "dict_type": MAP,
    "list_type": LIST,
    "tuple_type": LIST,
    "string_type": "is no text",
    "string_unicode": "is no text",
    "path_type": "is no path",
    "bool_type": "is neither true nor false",
    "bool_parsing": "is neither true nor false",
    "int_type": "is no whole number",
    "int_parsing": "is no whole number",
    "int_from_float": "is no whole number",
    "float_type": "is no number",
    "float_parsing": "is no number",
    "string_pattern_mismatch": "is not written as it must be",
}


def faults_of(error: ValidationError, given: Given) -> list[tuple[int, Fault]]:
    """Each fault with its line, 0 where it stands in no file. Of a value that may be of several types it is one."""
    by_path: dict[KeyPath, list[ErrorDetails]] = defaultdict(list)
    for found in error.errors(include_url=False):
        by_path[_path(found, given)].append(found)
    return [
        (
            given.line(path),
            Fault(given.place(path), " and ".join(dict.fromkeys(map(in_words, found))), _mend(found[-1], path, given)),
        )
        for path, found in by_path.items()
        if not _is_told_inside(path, found, by_path)
    ]


def _is_told_inside(path: KeyPath, found: Iterable[ErrorDetails], others: Iterable[KeyPath]) -> bool:
    """Whether these only say that the value is not of another type, while what is wrong in it is told too."""
    is_choice = all(len(one["loc"]) > len(path) for one in found)
    return is_choice and any(len(other) > len(path) and other[: len(path)] == path for other in others)


def _path(error: ErrorDetails, given: Given) -> KeyPath:
    """Where it is in what was given: without the steps that pydantic adds for the type that it tried, or for a key."""
    path: KeyPath = ()
    value: object = given.values
    for step in error["loc"]:
        if isinstance(value, list):
            value = dict(enumerate(value))
        if isinstance(value, dict) and step in value:
            path, value = (*path, step), value[step]
        elif step in _fields(given.model, path):
            path, value = (*path, step), None
    return path


def in_words(error: ErrorDetails) -> str:
    """What is wrong, without the words that pydantic begins with."""
    return _WHAT.get(error["type"], error["msg"].removeprefix("Value error, ").removeprefix("Input "))


def _mend(error: ErrorDetails, path: KeyPath, given: Given) -> str:
    what, written = _WHAT.get(error["type"], ""), error["input"]
    if error["loc"][-1:] == ("[key]",):
        return "write an id of a-z, 0-9 and -, which begins with a letter"
    if error["type"] == "extra_forbidden":
        return _nearest(path, given)
    if error["type"] == "string_type" and isinstance(written, bool):
        return "put it in quotes: YAML reads no, yes, on and off as true or false"
    if error["type"] == "string_type" and isinstance(written, int | float):
        return "put it in quotes"
    if what == MAP and (fields := _fields(given.model, path)):
        return f"give it keys, each with a value: {', '.join(list(fields)[:5])}{' …' * (len(fields) > 5)}"
    return f"{_in_brackets(path, given) if what == LIST else ''}{_about(path, given)}"


def _nearest(path: KeyPath, given: Given) -> str:
    known = list(_fields(given.model, path[:-1]))
    if not known:
        return "remove it"
    name = given.variable(path)
    if name != spelled(path):  # in the file, or in the JSON of a variable
        return one_of(str(path[-1]), known)
    return one_of(name, [spelled((*path[:-1], other)) for other in known])


def _in_brackets(path: KeyPath, given: Given) -> str:
    return (
        'write it as JSON, ["one", "another"]; ' if given.variable(path) else "write it in brackets, [one, another]; "
    )


def _about(path: KeyPath, given: Given) -> str:
    """The description of the setting at ``path``, or of the one that it stands in."""
    for end in range(len(path), 0, -1):
        found = _fields(given.model, path[: end - 1]).get(path[end - 1])
        if found:
            return f"it takes: {found}"
    return "see docs/configuration.md"


def _fields(model: type[BaseModel], path: KeyPath) -> dict[Any, str]:
    """The keys that the map at ``path`` may have, each with its description."""
    found = getattr(kind(model, path), "model_fields", {})
    return {name: setting.description or "" for name, setting in found.items()}

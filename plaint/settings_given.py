"""What a person gave as settings: the map in the file, under that of the ``PLAINT_…`` variables, and where each key stands."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from route.yamlfile import FileInvalid, KeyPath, Lines, read_yaml
from schemas.faults import Fault, one_of, shown

PREFIX = "PLAINT_"
JOINT = "__"
"""Between the steps of a key in the name of its variable."""
OWN_VARIABLES = {
    "PLAINT_CONFIG",
    "PLAINT_DATA",
    "PLAINT_KAFKA_HOME",
    "PLAINT_INSTANCE",
    "PLAINT_LOG_LEVEL",
    "PLAINT_RUNTIME_DIR",
    "PLAINT_LISTEN_FD",
}
"""Variables that are no settings: where the file is, where data for training lies, and what differs a process."""

_OF_KUBERNETES = re.compile(
    r"\w+_(SERVICE_(HOST|PORT\w*)=.*|PORT\w*=(tcp|udp|sctp)://.*|PORT_\d+_(TCP|UDP|SCTP)_\w+=.*)", re.ASCII
)
"""What Kubernetes puts into the environment of each container for each Service."""

Values = dict[str, Any]


def kind(model: type[BaseModel], path: KeyPath) -> Any:
    """The type of what stands at ``path`` in a map for ``model``, by walking its fields; None where nothing may stand."""
    found: Any = model
    for step in path:
        fields = getattr(found, "model_fields", None)
        if fields is not None:
            found = _given(fields[step].annotation) if step in fields else None
        else:  # inside a map or list
            found = (get_args(found) or (None,))[-1 if isinstance(step, str) else 0]
    return found


def _given(annotation: Any) -> Any:
    """A type without its None and what is asked of it beyond."""
    options = [option for option in get_args(annotation) if option is not NoneType]
    if get_origin(annotation) is Annotated or (get_origin(annotation) in (Union, UnionType) and len(options) == 1):
        return _given(options[0])
    return annotation


def _holds_others(found: Any) -> bool:
    """Whether values of this type are lists or maps, or may be."""
    found = _given(found)
    if get_origin(found) in (Union, UnionType):
        return any(map(_holds_others, get_args(found)))
    return get_origin(found) in (tuple, dict) or (isinstance(found, type) and issubclass(found, BaseModel))


@dataclass
class Given:
    """``values`` as they are to be checked; ``faults``, each with its line, are those of how they were written, ``faulty`` the
    paths at which they are, also of names that are no setting.

    ``lines`` are those of the file, ``variables`` the names of those that gave what stands at a path.
    """

    model: type[BaseModel]
    file: Path | None = None
    values: Values = field(default_factory=dict)
    lines: Lines = field(default_factory=dict)
    variables: dict[KeyPath, str] = field(default_factory=dict)
    faults: list[tuple[int, Fault]] = field(default_factory=list)
    faulty: set[KeyPath] = field(default_factory=set)

    def fault(self, path: KeyPath, what: str, mend: str) -> None:
        """Note what is wrong with the key at ``path``."""
        self.faults.append((self.line(path), Fault(self.place(path), what, mend)))
        self.faulty.add(path)

    def variable_fault(self, name: str, what: str, mend: str) -> None:
        """Note what is wrong with a variable."""
        self.faults.append((0, Fault(name, what, mend)))
        self.faulty.add(_named(name))

    def place(self, path: KeyPath) -> str:
        """How a person finds the key at ``path``: by its variable, or by file and line."""
        name = self.variable(path)
        if name:
            inner = path[_depth(name) :]
            return ": ".join([name, ".".join(map(str, inner))] if inner else [name])
        key, line = ".".join(map(str, path)) or "settings", self.line(path)
        return f"{self.file.name}:{line}: {key}" if self.file and line else key

    def line(self, path: KeyPath) -> int:
        """Where the key stands in the file, or what it is missing in; 0 for one of the environment, or of neither."""
        return 0 if self.variable(path) else self._in_file(path)[1]

    def variable(self, path: KeyPath) -> str:
        """The variable that gave what stands at ``path``, or would have to give what is missing there; empty if none."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.variables:
                return self.variables[path[:end]]
        around = max((end for end in range(len(path) + 1) if self._is_around(path[:end])), default=0)
        return spelled(path) if around > self._in_file(path)[0] else ""

    def _is_around(self, path: KeyPath) -> bool:
        return any(one[: len(path)] == path for one in self.variables)

    def _in_file(self, path: KeyPath) -> tuple[int, int]:
        """How far the path can be followed in the file, and to which line."""
        return next(
            ((end, self.lines[path[:end]]) for end in range(len(path), 0, -1) if path[:end] in self.lines), (0, 0)
        )


def spelled(path: KeyPath) -> str:
    """The variable of the key at ``path``."""
    return PREFIX + JOINT.join(map(str, path)).upper()


def _named(variable: str) -> tuple[str, ...]:
    """The key that it gives, if it is a setting."""
    return tuple(variable.upper().removeprefix(PREFIX).lower().split(JOINT))


def _depth(name: str) -> int:
    return name.removeprefix(PREFIX).count(JOINT) + 1


def read_given(model: type[BaseModel], file: Path | None) -> Given:
    """Everything that was given for ``model``. Raises FileInvalid if the file is no YAML."""
    given = Given(model, file)
    in_file = _read_file(given)
    merged = _merged(in_file, _read_variables(given), (), given)
    given.values = {
        name: value for name, value in merged.items() if value is not None
    }  # a section without keys is none
    _look_through(given.values, (), given)
    return given


def _read_file(given: Given) -> Values:
    if given.file is None:
        return {}
    values, given.lines = read_yaml(given.file)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise FileInvalid([Fault(given.file.name, "is no map of settings", "start with a key such as kafka:")])
    return values


def _merged(below: Values, above: Values, path: KeyPath, given: Given) -> Values:
    """What the file says with what the variables say, which win key by key."""
    found = dict(below)
    for key, value in above.items():
        at, under = (*path, key), found.get(key)
        if isinstance(value, dict) and isinstance(under, dict):
            found[key] = _merged(under, value, at, given)
            continue
        if isinstance(value, dict) and under is not None:
            name = next(name for one, name in given.variables.items() if one[: len(at)] == at)
            given.fault(at, f"is no map, and {name} sets a key in it", "write a map, or unset the variable")
        found[key] = value
    return found


def _read_variables(given: Given) -> Values:
    """The map that the variables make. A longer name, which is nearer to its key, wins over a shorter one."""
    sections = {spelled((name,)): name for name in given.model.model_fields}
    found: Values = {}
    for name in sorted(os.environ, key=lambda name: (_depth(name), name)):
        section = name.split(JOINT)[0]
        if section in sections and name.isupper():
            if os.environ[name]:
                _read_variable(name, os.environ[name], found, given)
        elif section.upper() in sections:
            given.variable_fault(name, "is no setting", f'did you mean "{name.upper()}"?')
        elif name.startswith(PREFIX) and name not in OWN_VARIABLES:
            mend = one_of(section, [*sections, *OWN_VARIABLES])
            if _OF_KUBERNETES.fullmatch(f"{name}={os.environ[name]}"):
                mend = "Kubernetes gives it for a Service: set enableServiceLinks: false, or call the Service otherwise"
            given.variable_fault(name, "is no setting", mend)
    return found


def _read_variable(name: str, text: str, into: Values, given: Given) -> None:
    *around, last = path = _named(name)
    if not _is_text(text):
        given.variable_fault(name, "is no UTF-8", "write it in UTF-8")
        return
    try:
        value = _read(text, kind(given.model, path))
    except ValueError as error:
        given.variable_fault(name, str(error), "mend the JSON in it")
        return
    for end, step in enumerate(around, start=1):
        inner: Any = into.setdefault(step, {})
        if not isinstance(inner, dict):
            what = f"sets a key in what {given.variables[path[:end]]} gives, which is no map"
            given.variable_fault(name, what, "leave one of them out")
            return
        into = inner
    given.variables |= {(*path, *inner): name for inner in _leaves(value)}
    into[last] = _over(into.get(last), value)


def _over(below: Any, above: Any) -> Any:
    """What stands when ``above`` is laid over ``below``: maps key by key, all else as a whole."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: _over(below.get(key), value) for key, value in above.items()}


def _read(text: str, found: Any) -> Any:
    """Lists and maps as JSON, all else as it is. Raises ValueError, which holds nothing of it but a key."""
    if not _holds_others(found) or not (text == "null" or text.lstrip().startswith(("[", "{"))):
        return text
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not _is_text(json.dumps(value, ensure_ascii=False)):
        raise ValueError("holds half a character (\\ud800 to \\udfff)")
    return value


def _once(pairs: list[tuple[str, Any]]) -> Values:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1)
        raise ValueError(f"the key {shown(twice)} stands twice")
    return found


def _leaves(value: Any) -> Iterator[KeyPath]:
    """The path of everything in ``value`` that is no map."""
    if not isinstance(value, dict):
        yield ()
        return
    for key, inner in value.items():
        yield from ((key, *path) for path in _leaves(inner))


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _look_through(value: Any, path: KeyPath, given: Given) -> None:
    """Note what no type would refuse, though it can't have been meant, and take it out."""
    if isinstance(value, dict):
        _check_keys(value, path, given)
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        at = (*path, key)
        if isinstance(inner, dict | list):
            _look_through(inner, at, given)
        elif isinstance(inner, bool) and kind(given.model, at) in (int, float):
            mend = "write a number: YAML reads yes, on, no and off as true or false"
            given.fault(at, f"is {shown(inner)}, and no number", mend)
            del value[key]


def _check_keys(values: dict[Any, Any], path: KeyPath, given: Given) -> None:
    """Note the keys that are no text, as YAML reads no, on, 1 or a date, and take them out."""
    wrong = [key for key in values if not isinstance(key, str)]
    as_written = [one[-1] for one in given.lines if one[:-1] == path and len(one) > len(path) and one[-1] not in values]
    for key, text in zip(wrong, as_written, strict=False):
        given.fault((*path, text), f"the key is {shown(key)} to YAML, and no text", "put the key in quotes")
        del values[key]

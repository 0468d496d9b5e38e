"""Reads a file of routes and finds every fault in it, each with its line, its rule and its key."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from route.conditions import Condition, compile_condition, take, take_all_of
from route.examples import example
from route.fields import FIELDS, Field
from route.operators import ConditionInvalid
from route.rule import Rule, RuleSpec
from route.yamlfile import FileInvalid, KeyPath, Lines, read_yaml
from schemas.faults import Fault, one_of, shown
from schemas.triage import Triage

_TAKES_ALL_MEND = "leave its match out, so that no post falls through"


def read_rules(path: Path, destinations: Collection[str]) -> tuple[list[Rule], list[Fault]]:
    """The rules of the file and its faults in order; the rules are whole if there are none.

    Raises FileInvalid if the file can't be read as YAML at all.
    """
    data, lines = read_yaml(path)
    file = _File(path.name, lines)
    if not isinstance(data, dict) or not isinstance(data.get("rules"), list) or not data["rules"]:
        fault = Fault(path.name, "holds no list of rules", "begin it with rules: and a list of them")
        raise FileInvalid([fault])
    for key in data.keys() - {"rules"}:
        file.fault((str(key),), f'unknown key "{key}"', one_of(str(key), ["rules"]))
    readings = [_Reading(file, index, raw) for index, raw in enumerate(data["rules"])]
    for reading in readings:
        reading.check_spec(destinations)
    _check_names(readings)
    _check_order(readings)
    for reading in readings:
        reading.check_examples(readings[: reading.index])
    return [reading.rule for reading in readings if reading.rule], file.faults()


class _File:
    """Collects faults and knows where each key stands."""

    def __init__(self, name: str, lines: Lines) -> None:
        self._name = name
        self._lines = lines
        self._found: list[tuple[int, Fault]] = []

    def fault(self, path: KeyPath, what: str, mend: str, rule: str = "") -> None:
        """Note what is wrong at ``path``; a key that isn't there has the line of what it is missing in."""
        line = next(self._lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self._lines)
        key = ".".join(map(str, path[2:] if rule else path))
        place = ", ".join(part for part in (f"{self._name}:{line}", rule, key) if part)
        self._found.append((line, Fault(place, what, mend)))

    def faults(self) -> list[Fault]:
        """All that was found, in the order of the file."""
        return [fault for _, fault in sorted(self._found, key=lambda found: found[0])]


class _Reading:
    """One rule as it is read: what the file says and what could be made of it."""

    def __init__(self, file: _File, index: int, raw: Any) -> None:
        self.index = index
        self.is_mapping = isinstance(raw, dict)
        self.raw: dict[Any, Any] = raw if self.is_mapping else {}
        self.conditions: tuple[Condition, ...] | None = None
        self.rule: Rule | None = None
        self._file = file
        name = self.raw.get("name")
        self.name = name if isinstance(name, str) else ""
        self.label = f'rule "{self.name}"' if self.name else f"rule {index + 1}"
        if not self.is_mapping:
            self.fault((), f"is {shown(raw)}", "write a rule: name, why, match, destinations")

    def fault(self, keys: KeyPath, what: str, mend: str) -> None:
        """Note a fault at ``keys`` of this rule."""
        self._file.fault(("rules", self.index, *keys), what, mend, self.label)

    def check_spec(self, destinations: Collection[str]) -> None:
        """Keys, types, conditions and destinations; ``conditions`` and ``rule`` are set where they are sound."""
        if not self.is_mapping:
            return
        self._compile(self.raw.get("match"))
        self._check_destinations(self.raw.get("destinations"), destinations)
        try:
            spec = RuleSpec.model_validate(self.raw)
        except ValidationError as error:
            for found in error.errors(include_url=False):
                self.fault(found["loc"], *_in_words(found))
        else:
            self.rule = Rule.of(spec, self.conditions or ())

    def _compile(self, match: Any) -> None:
        if not isinstance(match, dict):
            self.conditions = () if match is None else None
            return
        conditions = []
        for path, condition in match.items():
            try:
                conditions.append(compile_condition(_field(path), condition))
            except ConditionInvalid as invalid:
                self.fault(("match", str(path)), invalid.what, invalid.mend)
        if len(conditions) == len(match):
            self.conditions = tuple(conditions)

    def _check_destinations(self, named: Any, defined: Collection[str]) -> None:
        seen = set()
        for index, destination in enumerate(named if isinstance(named, list) else ()):
            keys = ("destinations", index)
            if isinstance(destination, str) and destination not in defined:
                what = f'undefined destination "{destination}" used in {self.label}'
                self.fault(keys, what, one_of(destination, sorted(defined)))
            if str(destination) in seen:
                self.fault(
                    keys, f'destination "{destination}" stands twice', "name it once: a post is one ticket there"
                )
            seen.add(str(destination))

    def check_examples(self, earlier: Sequence["_Reading"]) -> None:
        """This rule is the first to take each of its examples, and not the first to take a counter-example."""
        for kind in ("examples", "not_examples"):
            given = self.raw.get(kind)
            for index, fields in enumerate(given if isinstance(given, list) else ()):
                if not isinstance(fields, dict):
                    continue  # said already
                try:
                    wrong = self._wrong(kind, example(fields), earlier)
                except ConditionInvalid as invalid:
                    wrong = (invalid.what, invalid.mend)
                if wrong:
                    self.fault((kind, index), *wrong)

    def _wrong(self, kind: str, triage: Triage, earlier: Sequence["_Reading"]) -> tuple[str, str] | None:
        if self.conditions is None:
            return None
        takes = take(self.conditions, triage)
        first = next(
            (other for other in earlier if other.conditions is not None and take(other.conditions, triage)), None
        )
        if kind == "not_examples":
            return ("the rule takes this counter-example", "narrow the match") if takes and first is None else None
        if not takes:
            unmet = (condition.field for condition in self.conditions if not condition.holds(triage))
            reasons = ", ".join(f"{field.path} is {shown(field.get(triage))}" for field in unmet)
            return f"the rule does not take this example: {reasons}", "mend either"
        if first is not None:
            return f"{first.label} takes this example first", "change the order, or narrow that one"
        return None


def _field(path: Any) -> Field:
    try:
        return FIELDS[path]
    except KeyError:
        raise ConditionInvalid(f'unknown field "{path}"', one_of(str(path), FIELDS)) from None


def _check_names(readings: Sequence[_Reading]) -> None:
    by_name = defaultdict(list)
    for reading in readings:
        if reading.name:
            by_name[reading.name].append(reading)
    for name, (first, *others) in by_name.items():
        for other in others:
            what = f'the name "{name}" stands twice, first as rule {first.index + 1}'
            other.fault(("name",), what, "give each rule a name of its own")


def _check_order(readings: Sequence[_Reading]) -> None:
    """The last rule takes all, no other does, and none stands behind one that takes all of its posts."""
    *others, last = readings
    if last.raw.get("match"):
        last.fault(("match",), "the last rule has a match", _TAKES_ALL_MEND)
    for reading in others:
        if reading.is_mapping and not reading.raw.get("match"):
            behind = len(readings) - reading.index - 1
            what = f"takes every post, so that the {behind} behind it never match"
            reading.fault((), what, "give it a match or put it last")
        first = next((earlier for earlier in readings[: reading.index] if _shadows(earlier, reading)), None)
        if first:
            what = f"never matches: {first.label} takes all of its posts first"
            reading.fault((), what, "put it before that rule, or narrow that one")


def _shadows(earlier: _Reading, later: _Reading) -> bool:
    """Whether ``later`` never gets a post because of ``earlier``; one that takes everything has its own fault."""
    if not earlier.conditions or later.conditions is None:
        return False
    return take_all_of(earlier.conditions, later.conditions)


def _in_words(error: ErrorDetails) -> tuple[str, str]:
    """What is wrong and the mend, for what pydantic found in a rule."""
    key = str(error["loc"][0])
    field = RuleSpec.model_fields.get(key)
    match error["type"]:
        case "extra_forbidden":
            return f'unknown key "{key}"', one_of(key, RuleSpec.model_fields)
        case "missing":
            return "is missing", f"add it: {_about(key)}"
        case "literal_error":
            return f"can't be {shown(error['input'])}", f"write {error['ctx']['expected']}"
        case "string_pattern_mismatch":
            return f"can't be {shown(error['input'])}", "use a-z, 0-9, - and _, at most 63 characters"
        case "string_type" if isinstance(error["input"], bool | int | float):
            return f"takes text, not {shown(error['input'])}", "put it in quotes"
    return error["msg"][0].lower() + error["msg"][1:], _about(key) if field else "mend it"


def _about(key: str) -> str:
    text = RuleSpec.model_fields[key].description or ""
    return text.partition(". ")[0].rstrip(".").lower()

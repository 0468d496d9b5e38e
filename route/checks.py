"""Reads a file of routes and finds every fault in it, each with its line, its rule and its key."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from route.conditions import Condition, compile_match
from route.examples import example
from route.operators import ConditionInvalid
from route.proofs import Hiding, Region
from route.rule import Match, Rule, RuleSpec
from route.schedule import Schedule, read_windows
from route.silences import Silence, SilenceSpec
from route.yamlfile import FileInvalid, KeyPath, Lines, read_bytes, read_yaml_bytes
from schemas.faults import Fault, one_of, shown
from schemas.triage import Triage

MAX_RULES = 1000
MAX_SILENCES = 1000
MAX_FAULTS = 200
"""More are counted, not told."""
_TAKES_ALL_MEND = "leave its match out, so that no post falls through"
_KEYS = ("rules", "silences")


@dataclass(frozen=True)
class Read:
    """What a file holds. The rules and silences are whole if there are no faults.

    ``notes`` are no faults, but a person may want to know them: what has expired, what nobody uses. ``version`` is the
    beginning of the SHA-256 of the file.
    """

    rules: tuple[Rule, ...]
    silences: tuple[Silence, ...]
    faults: tuple[Fault, ...]
    version: str
    notes: tuple[Fault, ...] = ()


def read_routes(
    path: Path, destinations: Collection[str], noting: tuple[datetime, Collection[str]] | None = None
) -> Read:
    """The routes in the file. ``noting``, the time and the destinations that should be used, gives its notes too.

    Raises FileInvalid if it can't be read as YAML at all.
    """
    raw = read_bytes(path)
    data, lines = read_yaml_bytes(raw, path.name)
    file = _File(path.name, lines)
    if not isinstance(data, dict) or not isinstance(data.get("rules"), list) or not data["rules"]:
        fault = Fault(path.name, "holds no list of rules", "begin it with rules: and a list of them")
        raise FileInvalid([fault])
    for key in data.keys() - set(_KEYS):
        file.fault((str(key),), f"unknown key {shown(str(key))}", one_of(str(key), _KEYS))
    readings = _read_rules(file, data["rules"], destinations)
    silences = _read_silences(file, data.get("silences"))
    notes: list[Fault] = []
    if noting is not None:
        now, own = noting
        notes = [*_expired(file, silences, now), *_unused(path.name, readings, own)]
    top = tuple(reading.rule for reading in readings if reading.rule and reading.parent is None)
    return Read(top, tuple(silences), tuple(file.faults()), sha256(raw).hexdigest()[:12], tuple(notes))


class _File:
    """Collects faults and knows where each key stands."""

    def __init__(self, name: str, lines: Lines) -> None:
        self.name = name
        self._lines = lines
        self._found: list[tuple[int, Fault]] = []

    def fault(self, path: KeyPath, what: str, mend: str, label: str = "", own: int = 0) -> None:
        """Note what is wrong at ``path``, whose first ``own`` steps are those of ``label``."""
        key = ".".join(map(str, path[own:]))
        place = ", ".join(part for part in (self.place(path), label, key) if part)
        self._found.append((self.line(path), Fault(place, what, mend)))

    def line(self, path: KeyPath) -> int:
        """Where a key stands; one that isn't there has the line of what it is missing in."""
        return next((self._lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self._lines), 1)

    def place(self, path: KeyPath) -> str:
        """File and line of a key."""
        return f"{self.name}:{self.line(path)}"

    def faults(self) -> list[Fault]:
        """All that was found, in the order of the file."""
        found = [fault for _, fault in sorted(self._found, key=lambda found: found[0])]
        if len(found) > MAX_FAULTS:
            more = len(found) - MAX_FAULTS
            found[MAX_FAULTS:] = [Fault(self.name, f"has {more:,} faults more", f"mend these {MAX_FAULTS} first")]
        return found


class _Reading:
    """One rule as it is read: what the file says and what could be made of it.

    ``around`` are this rule and those around it, the outermost first. ``conditions`` is None where they have faults.
    """

    def __init__(self, file: _File, path: KeyPath, index: int, raw: Any, parent: "_Reading | None") -> None:
        self.index = index
        self.path = path
        self.parent = parent
        self.is_mapping = isinstance(raw, dict)
        self.raw: dict[Any, Any] = raw if self.is_mapping else {}
        self.conditions: tuple[Condition, ...] | None = None
        self.schedule: Schedule | None = None
        self.rule: Rule | None = None
        self.inside: list[_Reading] = []
        self.is_sound = False  # whether its conditions and those around it could be read
        self.file = file
        name = self.raw.get("name")
        self.name = name if isinstance(name, str) else ""
        number = f"{index + 1} in {parent.label}" if parent else f"{index + 1}"
        self.label: str = f"rule {shown(self.name)}" if self.name else f"rule {number}"
        self.around: tuple[_Reading, ...] = (*(parent.around if parent else ()), self)
        self.goes_on = self.raw.get("continue") is True
        self.may_go_on: bool = self.goes_on or (parent is not None and parent.may_go_on)
        if not self.is_mapping:
            self.fault((), f"is {shown(raw)}", "write a rule: name, why, match, destinations")

    def fault(self, keys: KeyPath, what: str, mend: str) -> None:
        """Note a fault at ``keys`` of this rule."""
        self.file.fault((*self.path, *keys), what, mend, self.label, len(self.path))

    @property
    def limits(self) -> bool:
        """Whether it asks for anything: a match or hours."""
        return bool(self.raw.get("match") or self.raw.get("active") or self.raw.get("quiet"))

    def region(self) -> Region:
        """The posts that it takes if no other rule has them first."""
        conditions = [condition for reading in self.around for condition in reading.conditions or ()]
        return Region.of(conditions, [reading.schedule for reading in self.around if reading.schedule])

    def takes(self, triage: Triage, at_any_time: bool = False) -> bool:
        """Whether its conditions and those around it hold, and, unless it is ``at_any_time``, their hours."""
        return all(
            all(condition.holds(triage) for condition in reading.conditions or ())
            and (at_any_time or reading.schedule is None or reading.schedule.holds(triage.triaged_at))
            for reading in self.around
        )

    def keeps_from(self, other: "_Reading") -> bool:
        """Whether a post that this rule takes never comes to ``other``, which stands behind it.

        It does if neither this rule nor one around it, up to the first one that is also around ``other``, goes on.
        """
        return not self.may_go_on or not any(r.goes_on and r not in other.around for r in self.around)

    def check_spec(self, destinations: Collection[str]) -> None:
        """Keys, types, conditions, hours and destinations; ``conditions`` and ``rule`` are set where they are sound."""
        if not self.is_mapping:
            return
        self._compile(self.raw.get("match"))
        self.is_sound = all(reading.conditions is not None for reading in self.around)
        self._check_destinations(self.raw.get("destinations"), destinations)
        if self.parent is None and "destinations" not in self.raw:
            self.fault(("destinations",), "is missing", f"add it: {_about('destinations', RuleSpec)}")
        try:
            spec = RuleSpec.model_validate(self.raw)
        except ValidationError as error:
            for found in error.errors(include_url=False):
                self.fault(found["loc"], *_in_words(found, RuleSpec))
        else:
            self.rule = Rule.of(spec, self.conditions or (), self.schedule, self._inherited())

    def _inherited(self) -> Match | None:
        return self.parent.rule.match if self.parent and self.parent.rule else None

    def _compile(self, match: Any) -> None:
        sound = True
        windows = {}
        for key in ("active", "quiet"):
            try:
                windows[key] = read_windows(self.raw[key]) if self.raw.get(key) is not None else ()
            except ConditionInvalid as invalid:
                sound = False
                self.fault((key,), invalid.what, invalid.mend)
        if sound and any(windows.values()):
            self.schedule = Schedule(**windows)
        if match is None:
            self.conditions = () if sound else None
        elif isinstance(match, dict):
            found = compile_match(match, lambda key, wrong: self.fault(("match", key), wrong.what, wrong.mend))
            self.conditions = found if sound else None

    def _check_destinations(self, named: Any, defined: Collection[str]) -> None:
        seen: set[str] = set()
        for index, destination in enumerate(named if isinstance(named, list) else ()):
            keys = ("destinations", index)
            if isinstance(destination, str) and destination not in defined:
                what = f"undefined destination {shown(destination)} used in {self.label}"
                self.fault(keys, what, one_of(destination, sorted(defined)))
            if str(destination) in seen:
                self.fault(
                    keys,
                    f"destination {shown(str(destination))} stands twice",
                    "name it once: a post is one ticket there",
                )
            seen.add(str(destination))

    def check_examples(self, earlier: Sequence["_Reading"]) -> None:
        """This rule takes each of its examples, itself or a rule inside it, and none of its counter-examples."""
        for kind in ("examples", "not_examples"):
            given = self.raw.get(kind)
            for index, fields in enumerate(given if isinstance(given, list) else ()):
                if not isinstance(fields, dict):
                    continue  # said already
                try:
                    wrong = self._wrong(kind, example(fields), "triaged_at" in fields, earlier)
                except ConditionInvalid as invalid:
                    wrong = (invalid.what, invalid.mend)
                if wrong:
                    self.fault((kind, index), *wrong)

    def _wrong(
        self, kind: str, triage: Triage, is_timed: bool, earlier: Sequence["_Reading"]
    ) -> tuple[str, str] | None:
        """An example that names no time is tried while this rule is in force, and no other one that has hours."""
        if not self.is_sound:
            return None
        takes = self.takes(triage, at_any_time=not is_timed)
        first = next((other for other in earlier if self._loses(triage, is_timed, other)), None)
        if kind == "not_examples":
            return ("the rule takes this counter-example", "narrow the match") if takes and first is None else None
        if not takes:
            return f"the rule does not take this example: {self._why_not(triage, is_timed)}", "mend either"
        if first is not None:
            return f"{first.label} takes this example first", "change the order, or narrow that one"
        return None

    def _loses(self, triage: Triage, is_timed: bool, other: "_Reading") -> bool:
        """Whether ``other`` takes the post away from this rule."""
        has_hours = any(reading.schedule for reading in other.around if reading not in self.around)
        return other.takes(triage, at_any_time=not is_timed) and (is_timed or not has_hours)

    def _why_not(self, triage: Triage, is_timed: bool) -> str:
        unmet = [
            f"{condition.field.path} is {shown(condition.field.get(triage))}"
            for reading in self.around
            for condition in reading.conditions or ()
            if not condition.holds(triage)
        ]
        late = [
            f"at {reading.schedule.clock(triage.triaged_at)} it is not in force"
            for reading in self.around
            if is_timed and reading.schedule and not reading.schedule.holds(triage.triaged_at)
        ]
        return ", ".join([*unmet, *late])


def _read_rules(file: _File, given: list[Any], destinations: Collection[str]) -> list[_Reading]:
    """All rules in the order in which they are tried, those inside before what their parent keeps for itself."""
    readings = list(islice(_readings(file, given, ("rules",), None), MAX_RULES + 1))
    if len(readings) > MAX_RULES:
        what = f"has over {MAX_RULES:,} rules"
        raise FileInvalid(
            [Fault(file.name, what, "put those that send posts the same way into one, with lists of values")]
        )
    for reading in readings:
        reading.check_spec(destinations)
    for reading in reversed(readings):  # the innermost first
        if reading.rule and reading.inside:
            inside = tuple(child.rule for child in reading.inside if child.rule)
            reading.rule = replace(reading.rule, inside=inside)
    _check_names(readings)
    _check_last(readings)
    _check_reach(readings)
    for number, reading in enumerate(readings):
        if reading.raw.get("examples") or reading.raw.get("not_examples"):
            reading.check_examples(_before(readings, number))
    return readings


def _readings(file: _File, given: list[Any], path: KeyPath, parent: _Reading | None) -> Iterator[_Reading]:
    """Each rule, and behind it those inside it."""
    for index, raw in enumerate(given):
        reading = _Reading(file, (*path, index), index, raw, parent)
        if parent is not None:
            parent.inside.append(reading)
        yield reading
        inside = reading.raw.get("rules")
        if inside is not None and not (isinstance(inside, list) and inside):
            reading.fault(("rules",), "holds no rules", "put a list of rules there, or leave it out")
        yield from _readings(file, inside if isinstance(inside, list) else [], (*reading.path, "rules"), reading)


def _before(readings: Sequence[_Reading], number: int) -> list[_Reading]:
    """The sound rules that are tried before this one and keep what they take from it: not the ones around it."""
    this = readings[number]
    around = set(map(id, this.around))
    return [
        other for other in readings[:number] if other.is_sound and id(other) not in around and other.keeps_from(this)
    ]


def _check_names(readings: Sequence[_Reading]) -> None:
    by_name = defaultdict(list)
    for reading in readings:
        if reading.name:
            by_name[reading.name].append(reading)
    for name, (first, *others) in by_name.items():
        for other in others:
            where = f"rule {first.index + 1}" + (f" in {first.parent.label}" if first.parent else "")
            what = f"the name {shown(name)} stands twice, first as {where}"
            other.fault(("name",), what, "give each rule a name of its own")


def _check_last(readings: Sequence[_Reading]) -> None:
    """The last rule takes all, at all times and for good; no other does, but one that goes on."""
    top = [reading for reading in readings if reading.parent is None]
    last = top[-1]
    if last.raw.get("match"):
        last.fault(("match",), "the last rule has a match", _TAKES_ALL_MEND)
    for key in ("active", "quiet", "continue"):
        if last.raw.get(key):
            last.fault((key,), f"the last rule has {key}", f"leave its {key} out, so that no post falls through")
    for reading in readings:
        if reading is last or not reading.is_mapping or reading.limits or reading.goes_on:
            continue
        if reading.parent is not None:
            what = f"takes every post that {reading.parent.label} takes"
            reading.fault((), what, "give it a match, or say in that rule what is to come of them")
        else:
            behind = len(top) - reading.index - 1
            reading.fault(
                (), f"takes every post, so that the {behind} behind it never match", "give it a match or put it last"
            )


def _check_reach(readings: Sequence[_Reading]) -> None:
    """No rule asks for what no post has, and none stands behind others that take all of its posts."""
    hiding = Hiding()
    lost: set[int] = set()
    regions = {id(reading): reading.region() for reading in readings if reading.is_sound}
    for number, reading in enumerate(readings):
        inner = regions.get(id(reading))
        if inner is None:
            continue
        if lost & set(map(id, reading.around)):  # a rule around it has been told of
            continue
        if field := inner.contradiction():
            lost.add(id(reading))
            what = f"never matches: no post meets all that it asks of {field}"
            if reading.parent is not None:
                what += ", the rules around it included"
            reading.fault((), what, "mend the conditions")
            continue
        before = [other for other in _before(readings, number) if any(outer.limits for outer in other.around)]
        found = hiding.hidden_by(inner, [regions[id(other)] for other in before])
        if found:
            lost.add(id(reading))
            _tell_hidden(reading, [before[place] for place in found])


def _tell_hidden(reading: _Reading, by: Sequence[_Reading]) -> None:
    if len(by) == 1:
        what = f"never matches: {by[0].label} takes all of its posts first"
        reading.fault((), what, "put it before that rule, or narrow that one")
    else:
        names = ", ".join(other.label for other in by[:5]) + (" and others" if len(by) > 5 else "")
        what = f"never matches: {names} take all of its posts first, each a part"
        reading.fault((), what, "put it before them, or narrow one of them")


def _read_silences(file: _File, given: Any) -> list[Silence]:
    if given is None:
        return []
    if not isinstance(given, list) or len(given) > MAX_SILENCES:
        count = f"holds {len(given):,} silences" if isinstance(given, list) else "holds no list of silences"
        file.fault(("silences",), count, f"put a list of at most {MAX_SILENCES:,} there, or leave it out")
        return []
    return [silence for index, raw in enumerate(given) if (silence := _read_silence(file, index, raw))]


def _read_silence(file: _File, index: int, raw: Any) -> Silence | None:
    path: KeyPath = ("silences", index)
    label = f"silence {index + 1}"

    def fault(keys: KeyPath, what: str, mend: str) -> None:
        file.fault((*path, *keys), what, mend, label, len(path))

    if not isinstance(raw, dict):
        fault((), f"is {shown(raw)}", "write a silence: match, until, by, why")
        return None
    match = raw.get("match")
    conditions = (
        compile_match(match, lambda key, wrong: fault(("match", key), wrong.what, wrong.mend))
        if isinstance(match, dict)
        else None
    )
    try:
        silence = Silence.of(SilenceSpec.model_validate(raw), conditions or (), file.line(path))
    except ValidationError as error:
        by_key = {found["loc"][:1]: found for found in error.errors(include_url=False)}  # a time may be of two types
        for key, found in by_key.items():
            fault(key, *_in_words(found, SilenceSpec))
        return None
    if silence.since is not None and silence.since >= silence.until:
        fault(("until",), "is not after its from", "mend either")
    if conditions is not None and (field := Region.of(conditions, ()).contradiction()):
        fault((), f"never matches: no post meets all that it asks of {field}", "mend the conditions")
    return silence


def _expired(file: _File, silences: Sequence[Silence], now: datetime) -> Iterator[Fault]:
    for silence in silences:
        if silence.until <= now:
            place = f"{file.name}:{silence.line}, silence by {shown(silence.by)}"
            yield Fault(place, f"expired at {silence.until:%Y-%m-%d %H:%M %Z}", "take it out, or set a later until")


def _unused(name: str, readings: Sequence[_Reading], destinations: Collection[str]) -> Iterator[Fault]:
    named = [reading.raw.get("destinations") for reading in readings]  # also by a rule that has faults
    used = {str(one) for given in named for one in (given if isinstance(given, list) else [given])}
    for destination in destinations:
        if destination not in used:
            what = f"no rule in {name} sends anything there"
            yield Fault(
                f"destinations.{destination}", what, "name it in a rule, or remove it once its tickets are delivered"
            )


def _in_words(error: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    """What is wrong and the mend, for what pydantic found in a rule or a silence."""
    key = str(error["loc"][0])
    fields = _fields(model)
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key {shown(key)}", one_of(key, fields)
        case "missing":
            return "is missing", f"add it: {_about(key, model)}"
        case "literal_error":
            return f"can't be {shown(error['input'])}", f"write {error['ctx']['expected']}"
        case "string_pattern_mismatch":
            return f"can't be {shown(error['input'])}", "use a-z, 0-9, - and _, at most 63 characters"
        case "string_type" if isinstance(error["input"], bool | int | float):
            return f"takes text, not {shown(error['input'])}", "put it in quotes"
        case "datetime_type" | "date_type":
            mend = "write it like 2026-06-01 or 2026-06-01T18:00:00+02:00, without quotes"
            return f"takes a time, not {shown(error['input'])}", mend
    return error["msg"][0].lower() + error["msg"][1:], _about(key, model) if key in fields else "mend it"


def _fields(model: type[BaseModel]) -> dict[str, str]:
    """Each key of the file and what it is."""
    return {field.alias or name: field.description or "" for name, field in model.model_fields.items()}


def _about(key: str, model: type[BaseModel]) -> str:
    text = _fields(model)[key]
    return text.partition(". ")[0].rstrip(".").lower()

"""Reads a file of routes and finds every fault in it, each with its line, its rule and its key."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from route.conditions import compile_match
from route.file_faults import FileFaults, in_words
from route.proofs import Hiding, Region
from route.rule import Rule
from route.rule_reading import RuleReading
from route.silences import Silence, SilenceSpec
from route.yamlfile import FileInvalid, KeyPath, read_bytes, read_yaml_bytes
from schemas.faults import Fault, one_of, shown

MAX_RULES = 1000
MAX_SILENCES = 1000
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
    file = FileFaults(path.name, lines)
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


def _read_rules(file: FileFaults, given: list[Any], destinations: Collection[str]) -> list[RuleReading]:
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


def _readings(file: FileFaults, given: list[Any], path: KeyPath, parent: RuleReading | None) -> Iterator[RuleReading]:
    """Each rule, and behind it those inside it."""
    for index, raw in enumerate(given):
        reading = RuleReading(file, (*path, index), index, raw, parent)
        if parent is not None:
            parent.inside.append(reading)
        yield reading
        inside = reading.raw.get("rules")
        if inside is not None and not (isinstance(inside, list) and inside):
            reading.fault(("rules",), "holds no rules", "put a list of rules there, or leave it out")
        yield from _readings(file, inside if isinstance(inside, list) else [], (*reading.path, "rules"), reading)


def _before(readings: Sequence[RuleReading], number: int) -> list[RuleReading]:
    """The sound rules that are tried before this one and keep what they take from it: not the ones around it."""
    this = readings[number]
    around = set(map(id, this.around))
    return [
        other for other in readings[:number] if other.is_sound and id(other) not in around and other.keeps_from(this)
    ]


def _check_names(readings: Sequence[RuleReading]) -> None:
    by_name = defaultdict(list)
    for reading in readings:
        if reading.name:
            by_name[reading.name].append(reading)
    for name, (first, *others) in by_name.items():
        for other in others:
            where = f"rule {first.index + 1}" + (f" in {first.parent.label}" if first.parent else "")
            what = f"the name {shown(name)} stands twice, first as {where}"
            other.fault(("name",), what, "give each rule a name of its own")


def _check_last(readings: Sequence[RuleReading]) -> None:
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


def _check_reach(readings: Sequence[RuleReading]) -> None:
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


def _tell_hidden(reading: RuleReading, by: Sequence[RuleReading]) -> None:
    if len(by) == 1:
        what = f"never matches: {by[0].label} takes all of its posts first"
        reading.fault((), what, "put it before that rule, or narrow that one")
    else:
        names = ", ".join(other.label for other in by[:5]) + (" and others" if len(by) > 5 else "")
        what = f"never matches: {names} take all of its posts first, each a part"
        reading.fault((), what, "put it before them, or narrow one of them")


def _read_silences(file: FileFaults, given: Any) -> list[Silence]:
    if given is None:
        return []
    if not isinstance(given, list) or len(given) > MAX_SILENCES:
        count = f"holds {len(given):,} silences" if isinstance(given, list) else "holds no list of silences"
        file.fault(("silences",), count, f"put a list of at most {MAX_SILENCES:,} there, or leave it out")
        return []
    return [silence for index, raw in enumerate(given) if (silence := _read_silence(file, index, raw))]


def _read_silence(file: FileFaults, index: int, raw: Any) -> Silence | None:
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
            fault(key, *in_words(found, SilenceSpec))
        return None
    if silence.since is not None and silence.since >= silence.until:
        fault(("until",), "is not after its from", "mend either")
    if conditions is not None and (field := Region.of(conditions, ()).contradiction()):
        fault((), f"never matches: no post meets all that it asks of {field}", "mend the conditions")
    return silence


def _expired(file: FileFaults, silences: Sequence[Silence], now: datetime) -> Iterator[Fault]:
    for silence in silences:
        if silence.until <= now:
            place = f"{file.name}:{silence.line}, silence by {shown(silence.by)}"
            yield Fault(place, f"expired at {silence.until:%Y-%m-%d %H:%M %Z}", "take it out, or set a later until")


def _unused(name: str, readings: Sequence[RuleReading], destinations: Collection[str]) -> Iterator[Fault]:
    named = [reading.raw.get("destinations") for reading in readings]  # also by a rule that has faults
    used = {str(one) for given in named for one in (given if isinstance(given, list) else [given])}
    for destination in destinations:
        if destination not in used:
            what = f"no rule in {name} sends anything there"
            yield Fault(
                f"destinations.{destination}", what, "name it in a rule, or remove it once its tickets are delivered"
            )

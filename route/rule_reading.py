"""One rule of a file of routes while it is read: its own faults, and what has to be known of it to find those between rules."""

from collections.abc import Collection, Sequence
from typing import Any

from pydantic import ValidationError

from route.conditions import Condition, compile_match
from route.examples import example
from route.file_faults import FileFaults, about, in_words
from route.operators import ConditionInvalid
from route.proofs import Region
from route.rule import Match, Rule, RuleSpec
from route.schedule import Schedule, read_windows
from route.yamlfile import KeyPath
from schemas.faults import one_of, shown
from schemas.triage import Triage


class RuleReading:
    """One rule as it is read: what the file says and what could be made of it.

    ``around`` are this rule and those around it, the outermost first. ``conditions`` is None where they have faults.
    """

    def __init__(self, file: FileFaults, path: KeyPath, index: int, raw: Any, parent: "RuleReading | None") -> None:
        self.index = index
        self.path = path
        self.parent = parent
        self.is_mapping = isinstance(raw, dict)
        self.raw: dict[Any, Any] = raw if self.is_mapping else {}
        self.conditions: tuple[Condition, ...] | None = None
        self.schedule: Schedule | None = None
        self.rule: Rule | None = None
        self.inside: list[RuleReading] = []
        self.is_sound = False  # whether its conditions and those around it could be read
        self.file = file
        name = self.raw.get("name")
        self.name = name if isinstance(name, str) else ""
        number = f"{index + 1} in {parent.label}" if parent else f"{index + 1}"
        self.label: str = f"rule {shown(self.name)}" if self.name else f"rule {number}"
        self.around: tuple[RuleReading, ...] = (*(parent.around if parent else ()), self)
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

    def keeps_from(self, other: "RuleReading") -> bool:
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
            self.fault(("destinations",), "is missing", f"add it: {about('destinations', RuleSpec)}")
        try:
            spec = RuleSpec.model_validate(self.raw)
        except ValidationError as error:
            for found in error.errors(include_url=False):
                self.fault(found["loc"], *in_words(found, RuleSpec))
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

    def check_examples(self, earlier: Sequence["RuleReading"]) -> None:
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
        self, kind: str, triage: Triage, is_timed: bool, earlier: Sequence["RuleReading"]
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

    def _loses(self, triage: Triage, is_timed: bool, other: "RuleReading") -> bool:
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

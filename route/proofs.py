"""What can be proved about rules without a post: that one takes none, or that those before it take all of its posts.

Sound, not complete: a rule is accused only if no triage at all can reach it. Fields with few values (intent, urgency,
yes or no) are tried value by value; of the others only what their operators say plainly is used. A rule that is in force
at certain times only hides another one that has the same times.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, floor, prod
from typing import Any

from route.conditions import Condition
from route.fields import FIELDS
from route.operators import contradict
from route.schedule import Schedule, never_in_force

MAX_LOOKS = 300_000
"""Cells looked at in one file for rules that hide another one together; what is beyond is not proved."""


@dataclass(frozen=True)
class Region:
    """The posts that a rule takes: values of fields with few of them, conditions on the others, and times."""

    values: dict[str, frozenset[Any]]
    others: dict[str, tuple[Condition, ...]]
    schedules: frozenset[Schedule]

    @classmethod
    def of(cls, conditions: Iterable[Condition], schedules: Iterable[Schedule]) -> "Region":
        """The posts that meet all ``conditions`` while all ``schedules`` are in force."""
        by_field: defaultdict[str, list[Condition]] = defaultdict(list)
        for condition in conditions:
            by_field[condition.field.path].append(condition)
        values, others = {}, {}
        for path, found in by_field.items():
            domain = FIELDS[path].domain
            if domain is None:
                others[path] = tuple(found)
            else:
                values[path] = frozenset(value for value in domain if all(c.test(value) for c in found))
        return cls(values, others, frozenset(schedules))

    def contradiction(self) -> str:
        """The field on which no value passes, ``triaged_at`` if there is no time at all; "" if there may be a post."""
        for path, values in self.values.items():
            if not values:
                return path
        for path, conditions in self.others.items():
            if _contradict(conditions):
                return path
        return "triaged_at" if never_in_force(self.schedules) else ""

    def surrounds(self, inner: "Region") -> bool:
        """Whether this region surely holds ``inner``, the fields with few values left aside."""
        return (
            self.others.keys() <= inner.others.keys()
            and self.schedules <= inner.schedules
            and all(
                any(mine.covers(theirs) for theirs in inner.others[path])
                for path, conditions in self.others.items()
                for mine in conditions
            )
        )

    def has_values_of(self, inner: "Region") -> bool:
        """Whether every value of ``inner`` is one of this region's, on the fields with few values."""
        return all(inner.range(path) <= values for path, values in self.values.items())

    def range(self, path: str) -> frozenset[Any]:
        """The values that a field with few of them can have in here."""
        found = self.values.get(path)
        return frozenset(FIELDS[path].domain or ()) if found is None else found


class Hiding:
    """Finds the rules that hide another one. Keeps count of what it has looked at in one file."""

    def __init__(self, looks: int = MAX_LOOKS) -> None:
        self._looks = looks

    def hidden_by(self, inner: Region, before: Sequence[Region]) -> list[int]:
        """Numbers of the regions ``before`` that surely hold ``inner`` together, as few as are found; else empty."""
        around = [(number, region) for number, region in enumerate(before) if region.surrounds(inner)]
        for number, region in around:
            if region.has_values_of(inner):
                return [number]
        return self._together(inner, [(number, region) for number, region in around if self._meets(region, inner)])

    @staticmethod
    def _meets(region: Region, inner: Region) -> bool:
        return all(inner.range(path) & values for path, values in region.values.items())

    def _together(self, inner: Region, around: Sequence[tuple[int, Region]]) -> list[int]:
        paths = sorted({path for _, region in around for path in region.values})
        ranges = [inner.range(path) for path in paths]
        looks = prod(map(len, ranges)) * len(around)
        if not around or looks > self._looks:
            return []
        self._looks -= looks
        used = set()
        for cell in product(*ranges):
            at = dict(zip(paths, cell, strict=True))
            holder = next((n for n, region in around if all(at[p] in v for p, v in region.values.items())), None)
            if holder is None:
                return []
            used.add(holder)
        return sorted(used)


def _contradict(conditions: Sequence[Condition]) -> bool:
    """Whether no value of a field with many of them passes all of these."""
    field = conditions[0].field
    allowed = [condition.allowed for condition in conditions if condition.allowed is not None]
    plain = [condition for condition in conditions if condition.is_plain]
    if field.kind == "texts":  # a list may hold several of the values that are asked for
        refused = {value for c in conditions for operator, values in c.others if operator == "not" for value in values}
        return any(values <= refused for values in allowed)
    if allowed:
        return not any(all(c.test(value) for c in plain) for value in frozenset.intersection(*allowed))
    bounds = [bound for condition in conditions for bound in condition.bounds]
    return contradict([_whole(*bound) for bound in bounds] if field.whole else bounds)


def _whole(operator: str, limit: float) -> tuple[str, float]:
    """The same bound on whole numbers, its limit included."""
    if operator[0] == "g":
        return "gte", floor(limit) + 1 if operator == "gt" else ceil(limit)
    return "lte", ceil(limit) - 1 if operator == "lt" else floor(limit)

"""What can be proved about rules without a post: that one takes none, or that those before it take all of its posts.

Sound, not complete: a rule is accused only if no triage at all can reach it. Fields with few values (intent, urgency,
yes or no) are tried value by value; of the others only what their operators say plainly is used. A rule that is in force
at certain times only hides another one that has the same times.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count, product
from math import ceil, floor, prod
from typing import Any

from route.conditions import Condition
from route.fields import FIELDS
from route.operators import contradict
from route.schedule import Schedule, never_in_force

MAX_LOOKS = 300_000
"""Looks at two rules, or at one set of values, for one file; what is beyond is not proved. About 2 s."""


def _places() -> dict[str, dict[Any, int]]:
    """Each value of each field with few of them as a bit of its own."""
    bits = count()
    return {
        path: {value: 1 << next(bits) for value in field.domain}
        for path, field in FIELDS.items()
        if field.domain is not None
    }


_BITS = _places()
_FIELD_BITS = {path: sum(values.values()) for path, values in _BITS.items()}
_ALL = sum(_FIELD_BITS.values())


@dataclass(frozen=True)
class Region:
    """The posts that a rule takes: values of fields with few of them, conditions on the others, and times.

    ``values`` holds a bit for each value that may be.
    """

    values: int
    others: dict[str, tuple[Condition, ...]]
    schedules: frozenset[Schedule]

    @classmethod
    def of(cls, conditions: Iterable[Condition], schedules: Iterable[Schedule]) -> "Region":
        """The posts that meet all ``conditions`` while all ``schedules`` are in force."""
        values = _ALL
        others: defaultdict[str, list[Condition]] = defaultdict(list)
        for condition in conditions:
            path = condition.field.path
            if path in _BITS:
                values &= ~sum(bit for value, bit in _BITS[path].items() if not condition.test(value))
            else:
                others[path].append(condition)
        return cls(values, {path: tuple(found) for path, found in others.items()}, frozenset(schedules))

    def contradiction(self) -> str:
        """The field on which no value passes, ``triaged_at`` if there is no time at all; "" if there may be a post."""
        for path, bits in _FIELD_BITS.items():
            if not self.values & bits:
                return path
        for path, conditions in self.others.items():
            if _contradict(conditions):
                return path
        return "triaged_at" if never_in_force(self.schedules) else ""

    def meets(self, other: "Region") -> bool:
        """Whether the two have values in common, on each field with few of them."""
        common = self.values & other.values
        return all(common & bits for bits in _FIELD_BITS.values())

    def has_values_of(self, inner: "Region") -> bool:
        """Whether every value of ``inner`` is one of this region's, on the fields with few of them."""
        return not inner.values & ~self.values

    def surrounds(self, inner: "Region") -> bool:
        """Whether this region surely holds ``inner``, the fields with few values left aside."""
        if not (self.schedules <= inner.schedules and self.others.keys() <= inner.others.keys()):
            return False
        return all(
            any(mine.covers(theirs) for theirs in inner.others[path])
            for path, conditions in self.others.items()
            for mine in conditions
        )


class Hiding:
    """Finds the rules that hide another one. Keeps count of what it has looked at in one file."""

    def __init__(self, looks: int = MAX_LOOKS) -> None:
        self._looks = looks

    def hidden_by(self, inner: Region, before: Sequence[Region]) -> list[int]:
        """Numbers of the regions ``before`` that surely hold ``inner`` together, as few as are found; else empty."""
        around = []
        for number, region in enumerate(before):
            if not region.meets(inner) or not self._may_look(1 + len(region.others)):
                continue
            if region.surrounds(inner):
                if region.has_values_of(inner):
                    return [number]
                around.append((number, region.values))
        return self._together(inner.values, around)

    def _may_look(self, times: int) -> bool:
        if times > self._looks:
            return False
        self._looks -= times
        return True

    def _together(self, inner: int, around: Sequence[tuple[int, int]]) -> list[int]:
        """The same by values alone: each choice of one value a field must lie in one of the regions."""
        asked = [path for path, bits in _FIELD_BITS.items() if any(bits & ~values for _, values in around)]
        ranges = [[bit for bit in _BITS[path].values() if bit & inner] for path in asked]
        if not around or not self._may_look(prod(map(len, ranges)) * len(around)):
            return []
        used = set()
        for cell in product(*ranges):
            choice = sum(cell)
            holder = next((number for number, values in around if not choice & ~values), None)
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

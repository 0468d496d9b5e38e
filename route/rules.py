"""The routes: an ordered list of rules; the first that takes a post decides, and the last takes all.

A rule may hold rules: they are tried on what it takes, and what none of them keeps is its own. A rule with ``continue``
adds its destinations and lets the rules behind it have the post too, as though it had not taken it.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from route.checks import read_routes
from route.rule import Match, Rule
from route.silences import Silence
from route.tried import Tried, unmet
from route.yamlfile import FileInvalid
from schemas.faults import Fault
from schemas.triage import Triage

SHIPPED = Path(__file__).with_name("routes.yaml")

_Test = Callable[[Triage], bool]


@dataclass(frozen=True, slots=True)
class _Step:
    """One look at a post: a rule, or what a rule with rules inside keeps for itself (then without a test).

    ``hit`` and ``miss`` are the numbers of the next step; -1 ends. ``is_gate``: it only lets the post into the rule.
    """

    rule: Rule
    parents: tuple[str, ...]
    tests: tuple[_Test, ...]
    hit: int
    miss: int
    is_gate: bool


class RouteTable:
    """Rules in their order, and all destinations there are, also those that no rule names.

    ``version`` is that of the file: the beginning of the SHA-256 of its bytes.
    """

    def __init__(
        self,
        rules: Collection[Rule],
        destinations: Collection[str],
        silences: Collection[Silence] = (),
        version: str = "",
    ) -> None:
        self.rules = tuple(rules)
        self.destinations = tuple(destinations)
        self.silences = tuple(silences)
        self.version = version
        self._steps = _steps(self.rules)
        # Rules that only stand in a row are tried in a loop of their own, which costs half of a walk.
        is_row = not any(rule.inside or rule.goes_on for rule in self.rules)
        self._row = [(step.tests, (step.rule.match,)) for step in self._steps] if is_row else []

    @classmethod
    def load(cls, path: Path | None, destinations: Collection[str]) -> "RouteTable":
        """The routes in ``path``, or the shipped ones. Raises FileInvalid with every fault of the file."""
        read = read_routes(path or SHIPPED, destinations)
        if read.faults:
            raise FileInvalid(read.faults)
        return cls(read.rules, destinations, read.silences, read.version)

    def route(self, triage: Triage) -> Sequence[Match]:
        """What each rule says that takes this post, in their order: one, unless rules go on. Never empty.

        Never raises for a table that was loaded. The same triage gets the same answer whenever it is asked for.
        """
        for tests, found in self._row:
            for holds in tests:
                if not holds(triage):
                    break
            else:
                return found
        return self._walk(triage)

    def silence(self, triage: Triage) -> Silence | None:
        """The first silence that keeps this post from getting tickets."""
        for silence in self.silences:
            if silence.silences(triage):
                return silence
        return None

    def trace(self, triage: Triage) -> list[Tried]:
        """Each rule that was tried on this post, in order, up to the one that ended the search.

        What ``route`` does, told: the rules with ``took`` are those of ``route``, and each of the others says in
        ``unmet`` which of its conditions failed first. Rules inside a rule that did not take the post are left out.
        Silences come before all rules and are not in here: ask ``silence``.
        """
        found, at = [], 0
        while at >= 0:
            step = self._steps[at]
            failed = unmet(step.rule, triage) if step.tests else None
            if failed is not None or not step.is_gate:
                found.append(Tried.of(step.rule, step.parents, failed))
            at = step.hit if failed is None else step.miss
        return found

    def _walk(self, triage: Triage) -> list[Match]:
        found, at, steps = [], 0, self._steps
        while at >= 0:
            step = steps[at]
            for holds in step.tests:
                if not holds(triage):
                    at = step.miss
                    break
            else:
                if not step.is_gate:
                    found.append(step.rule.match)
                at = step.hit
        return found


def _steps(rules: Sequence[Rule]) -> list[_Step]:
    """The rules as steps. Where a rule ends, the post goes on to the next one only if it, or one around it, goes on."""
    steps: list[_Step] = []
    _add(rules, (), -1, steps)
    return steps


def _size(rule: Rule) -> int:
    return 2 + sum(map(_size, rule.inside)) if rule.inside else 1


def _add(rules: Sequence[Rule], parents: tuple[str, ...], end: int, steps: list[_Step]) -> None:
    """Append ``rules``; ``end`` is the step for a post that one of them keeps."""
    for rule in rules:
        after = len(steps) + _size(rule)
        kept = after if rule.goes_on else end
        if rule.inside:
            steps.append(_Step(rule, parents, _tests(rule), len(steps) + 1, after, True))
            _add(rule.inside, (*parents, rule.match.rule), kept, steps)
            steps.append(_Step(rule, parents, (), kept, kept, False))
        else:
            steps.append(_Step(rule, parents, _tests(rule), kept, after, False))


def _tests(rule: Rule) -> tuple[_Test, ...]:
    conditions = tuple(condition.holds for condition in rule.conditions)
    if rule.schedule is None:
        return conditions
    in_force = rule.schedule.holds
    return (*conditions, lambda triage: in_force(triage.triaged_at))


def review(
    path: Path | None, destinations: Collection[str], now: datetime, own: Collection[str]
) -> tuple[Sequence[Fault], Sequence[Fault]]:
    """Faults and notes of the routes in ``path``; notes are what a person may want to tidy up ``now``.

    ``own`` are those of the destinations that somebody set up, and so expects to be used.
    """
    try:
        read = read_routes(path or SHIPPED, destinations, (now, own))
    except FileInvalid as invalid:
        return invalid.faults, ()
    return read.faults, read.notes


def check_routes(path: Path | None, destinations: Collection[str]) -> list[Fault]:
    """Every fault of the routes in ``path`` (None: the shipped ones), the examples of the rules included."""
    try:
        return list(read_routes(path or SHIPPED, destinations).faults)
    except FileInvalid as invalid:
        return list(invalid.faults)

"""The routes: an ordered list of rules; the first that takes a post decides, and the last takes all."""

from collections.abc import Collection
from pathlib import Path

from route.checks import read_rules
from route.rule import Match, Rule
from route.yamlfile import FileInvalid
from schemas.faults import Fault
from schemas.triage import Triage

SHIPPED = Path(__file__).with_name("routes.yaml")


class RouteTable:
    """Rules in their order, and all destinations there are, also those that no rule names."""

    def __init__(self, rules: Collection[Rule], destinations: Collection[str]) -> None:
        self.rules = tuple(rules)
        self.destinations = tuple(destinations)
        self._compiled = [(tuple(c.holds for c in rule.conditions), rule.match) for rule in self.rules]

    @classmethod
    def load(cls, path: Path | None, destinations: Collection[str]) -> "RouteTable":
        """The routes in ``path``, or the shipped ones. Raises FileInvalid with every fault of the file."""
        rules, faults = read_rules(path or SHIPPED, destinations)
        if faults:
            raise FileInvalid(faults)
        return cls(rules, destinations)

    def route(self, triage: Triage) -> Match:
        """What the first rule says that takes this post; never raises for a table that was loaded."""
        for conditions, match in self._compiled:
            for holds in conditions:
                if not holds(triage):
                    break
            else:
                return match
        raise AssertionError("the last rule takes all")


def check_routes(path: Path | None, destinations: Collection[str]) -> list[Fault]:
    """Every fault of the routes in ``path`` (None: the shipped ones), the examples of the rules included."""
    try:
        return read_rules(path or SHIPPED, destinations)[1]
    except FileInvalid as invalid:
        return list(invalid.faults)

"""What a table of routes makes of a post, for people: those who try their routes, or a post."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from route.rule import Match
from route.rules import SHIPPED, RouteTable
from route.tickets import priority_of
from route.yamlfile import read_yaml
from schemas.triage import Triage


@dataclass(frozen=True, slots=True)
class Routed:
    """Where a post goes. ``rules`` are those that take it, in order; ``destinations`` of all of them.

    ``rule``, priority, team, labels and reason are those of the ticket: of the first rule that sends it anywhere, else of the
    first.
    ``silenced`` says by whom, until when and why, if it is; then nobody gets it, whatever the rules say.
    """

    rules: tuple[str, ...]
    destinations: tuple[str, ...]
    rule: str
    priority: str
    team: str
    labels: tuple[str, ...]
    why: str
    silenced: str = ""

    @property
    def kind(self) -> str:
        """For counting: ``routed``, ``unrouted`` or ``silenced``."""
        if self.silenced:
            return "silenced"
        return "routed" if self.destinations else "unrouted"


def routed(table: RouteTable, triage: Triage) -> Routed:
    """What becomes of this revision of a post; one that was deleted is withdrawn everywhere, by no rule."""
    if triage.post.event == "delete":
        return Routed((), table.destinations, "", "", "", (), "deleted: withdrawn everywhere")
    matches = table.route(triage)
    first: Match = next((match for match in matches if match.destinations), matches[0])
    silence = table.silence(triage)
    every = dict.fromkeys(destination for match in matches for destination in match.destinations)
    return Routed(
        tuple(match.rule for match in matches),
        () if silence else tuple(every),
        first.rule,
        first.priority or priority_of(triage),
        first.team,
        first.labels,
        first.why,
        silence.words() if silence else "",
    )


def destinations_named(path: Path | None) -> list[str]:
    """Every destination that a file of routes names, defined or not. Raises FileInvalid if it is no YAML."""
    data, _ = read_yaml(path or SHIPPED)
    return list(dict.fromkeys(_named(data.get("rules") if isinstance(data, dict) else None)))


def _named(rules: Any) -> Iterator[str]:
    for rule in rules if isinstance(rules, list) else ():
        if isinstance(rule, dict):
            named = rule.get("destinations")
            yield from (name for name in (named if isinstance(named, list) else ()) if isinstance(name, str))
            yield from _named(rule.get("rules"))

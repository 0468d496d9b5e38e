"""Why a rule took a post, or which of its conditions failed first: what ``plaint explain`` and ``route test`` tell."""

from dataclasses import dataclass

from route.rule import Rule
from schemas.faults import shown
from schemas.triage import Triage


@dataclass(frozen=True, slots=True)
class Unmet:
    """The first condition of a rule that failed.

    ``field`` is its dotted path (``triaged_at`` for the hours of a rule); ``wanted`` is the condition and ``found`` the
    value of this post, both as text, cut to 60 characters. What was found came with the post: escape it for a terminal.
    """

    field: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.field} is {self.found}, wanted {self.wanted}"


@dataclass(frozen=True, slots=True)
class Tried:
    """One rule that was tried on a post.

    ``parents`` are the names of the rules around it, the outermost first. ``took``: it gave the post its
    ``destinations`` (none: nobody gets it); else ``unmet`` says why not.
    """

    rule: str
    why: str
    parents: tuple[str, ...]
    took: bool
    unmet: Unmet | None
    destinations: tuple[str, ...]

    @classmethod
    def of(cls, rule: Rule, parents: tuple[str, ...], failed: Unmet | None) -> "Tried":
        """``rule`` inside ``parents``, with the condition that ``failed``, if one did."""
        match = rule.match
        return cls(match.rule, match.why, parents, failed is None, failed, match.destinations)


def unmet(rule: Rule, triage: Triage) -> Unmet | None:
    """The first condition of ``rule`` itself, in the order of the file and then its hours, that this post fails."""
    for condition in rule.conditions:
        if not condition.holds(triage):
            field = condition.field
            return Unmet(field.path, _wanted(condition.spec), shown(_plain(field.get(triage))))
    if rule.schedule is not None and not rule.schedule.holds(triage.triaged_at):
        return Unmet("triaged_at", shown_bare(rule.schedule.words()), rule.schedule.clock(triage.triaged_at))
    return None


def _wanted(spec: object) -> str:
    """A condition as people would say it: ``"complaint"``, ``one of "a", "b"``, ``gte 3``."""
    if isinstance(spec, list):
        return shown_bare("one of " + ", ".join(map(shown, spec)) if len(spec) > 1 else shown(spec[0]))
    if isinstance(spec, dict):
        return shown_bare(", ".join(f"{operator} {_wanted(operand)}" for operator, operand in spec.items()))
    return shown(spec)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def shown_bare(text: str) -> str:
    """``text`` short enough for a message, without quotes."""
    return text if len(text) <= 60 else f"{text[:57]}..."

"""One rule of the routes: as it stands in the file, and compiled."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from route.conditions import Condition
from schemas.ticket import Priority

Text = Annotated[str, Field(min_length=1, max_length=500)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class RuleSpec(BaseModel):
    """A rule in ``routes.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[Name, Field(description="Names the rule in tickets, metrics and messages.")]
    why: Annotated[Text, Field(description="The reason for the rule; people read it in the ticket.")]
    match: Annotated[
        dict[str, Any] | None,
        Field(
            description="Conditions by dotted field; all must hold. Without it the rule takes all (the last one only)."
        ),
    ] = None
    destinations: Annotated[
        list[str],
        Field(description="Ids of the destinations that get a ticket. Empty: the post is counted as unrouted."),
    ]
    priority: Annotated[
        Priority | None, Field(description="Of the ticket. None: it follows the urgency (tickets.priority_of).")
    ] = None
    team: Annotated[str, Field(max_length=100, description="The team that the ticket is for.")] = ""
    labels: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=100)]],
        Field(max_length=20, description="Labels of the ticket."),
    ] = []
    examples: Annotated[
        list[dict[str, Any]],
        Field(description="Posts by their fields that this rule must take; `plaint check-config` tries them."),
    ] = []
    not_examples: Annotated[list[dict[str, Any]], Field(description="Posts that this rule must not take.")] = []


@dataclass(frozen=True, slots=True)
class Match:
    """Where a post goes and which rule says so. ``priority`` None: it follows the urgency."""

    rule: str
    why: str
    destinations: tuple[str, ...]
    priority: Priority | None
    team: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled rule: the conditions, which must all hold (none: it takes all), and what comes of it."""

    conditions: tuple[Condition, ...]
    match: Match

    @classmethod
    def of(cls, spec: RuleSpec, conditions: tuple[Condition, ...]) -> "Rule":
        """``spec`` with its ``match`` compiled."""
        match = Match(spec.name, spec.why, tuple(spec.destinations), spec.priority, spec.team, tuple(spec.labels))
        return cls(conditions, match)

"""One rule of the routes: as it stands in the file, and compiled."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from route.conditions import Condition
from route.schedule import Schedule
from schemas.ticket import Priority

Text = Annotated[str, Field(min_length=1, max_length=500)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class RuleSpec(BaseModel):
    """A rule in ``routes.yaml``. What a rule inside another one leaves out of the last four it has from that one."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[Name, Field(description="Names the rule in tickets, metrics and messages.")]
    why: Annotated[Text, Field(description="The reason for the rule; people read it in the ticket.")]
    match: Annotated[
        dict[str, Any] | None,
        Field(description="Conditions by dotted field; all must hold. Without it the rule takes all."),
    ] = None
    active: Annotated[
        Any, Field(description="Times in which alone the rule is in force: hours, days, dates, zone.")
    ] = None
    quiet: Annotated[Any, Field(description="Times in which the rule is not in force: hours, days, dates, zone.")] = (
        None
    )
    rules: Annotated[
        list[Any] | None,
        Field(description="Rules inside: tried in order on what this one takes; what none of them keeps is its own."),
    ] = None
    goes_on: Annotated[
        bool, Field(alias="continue", description="Go on to the rules behind as well, and add their destinations.")
    ] = False
    destinations: Annotated[
        list[str] | None,
        Field(description="Ids of the destinations that get a ticket. Empty: the post is counted as unrouted."),
    ] = None
    priority: Annotated[
        Priority | None, Field(description="Of the ticket. None: it follows the urgency (tickets.priority_of).")
    ] = None
    team: Annotated[str | None, Field(max_length=100, description="The team that the ticket is for.")] = None
    labels: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=100)]] | None,
        Field(max_length=20, description="Labels of the ticket."),
    ] = None
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
    """A compiled rule: the conditions, which must all hold (none: it takes all), and what comes of it.

    ``inside`` are the rules tried on what it takes; ``match`` is what it says of the posts that none of those keeps.
    ``goes_on``: the rules behind it are tried too.
    """

    conditions: tuple[Condition, ...]
    match: Match
    schedule: Schedule | None = None
    goes_on: bool = False
    inside: tuple["Rule", ...] = ()

    @classmethod
    def of(
        cls,
        spec: RuleSpec,
        conditions: tuple[Condition, ...],
        schedule: Schedule | None = None,
        parent: Match | None = None,
    ) -> "Rule":
        """``spec`` compiled, with what it leaves out from its ``parent``; the rules inside are for the caller to add."""
        outer = parent or Match("", "", (), None, "", ())
        match = Match(
            spec.name,
            spec.why,
            outer.destinations if spec.destinations is None else tuple(spec.destinations),
            spec.priority or outer.priority,
            outer.team if spec.team is None else spec.team,
            outer.labels if spec.labels is None else tuple(spec.labels),
        )
        return cls(conditions, match, schedule, spec.goes_on)

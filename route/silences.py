"""Silences: posts that get no ticket for a while, said by whom, why and until when.

    silences:
      - match: {post.text: {contains: outage}}
        until: 2026-06-01T18:00:00Z
        by: mara
        why: The outage is known, and the status page tells of it.

Whether a silence is in force is asked of the record's own time, ``triaged_at``: a record that is read again after the
silence has expired is silenced as it was. A deleted post is withdrawn all the same.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from route.conditions import Condition
from schemas.triage import Triage


class SilenceSpec(BaseModel):
    """A silence in ``routes.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    match: Annotated[dict[str, Any], Field(min_length=1, description="Conditions by dotted field; all must hold.")]
    until: Annotated[
        datetime | date, Field(description="When it expires, such as 2026-06-01T18:00:00Z; UTC if no zone is named.")
    ]
    since: Annotated[
        datetime | date | None, Field(alias="from", description="When it begins; without it, it is in force already.")
    ] = None
    by: Annotated[str, Field(min_length=1, max_length=100, description="Who silences.")]
    why: Annotated[str, Field(min_length=1, max_length=500, description="The reason; `plaint explain` tells it.")]


@dataclass(frozen=True, slots=True)
class Silence:
    """A compiled silence, in force from ``since`` to before ``until``."""

    conditions: tuple[Condition, ...]
    until: datetime
    since: datetime | None
    by: str
    why: str
    line: int = 0

    @classmethod
    def of(cls, spec: SilenceSpec, conditions: tuple[Condition, ...], line: int) -> "Silence":
        """``spec`` with its ``match`` compiled."""
        since = None if spec.since is None else moment(spec.since)
        return cls(conditions, moment(spec.until), since, spec.by, spec.why, line)

    def silences(self, triage: Triage) -> bool:
        """Whether it is in force at the record's time and takes the post."""
        at = triage.triaged_at
        in_force = at < self.until and (self.since is None or at >= self.since)
        return in_force and all(condition.holds(triage) for condition in self.conditions)

    def words(self) -> str:
        """Who silences, until when, and why."""
        return f"by {self.by} until {self.until:%Y-%m-%d %H:%M %Z}: {self.why}"


def moment(given: datetime | date) -> datetime:
    """A time as it stands in the file, in UTC if it names no zone; a date is its beginning."""
    if not isinstance(given, datetime):
        given = datetime(given.year, given.month, given.day)
    return given if given.tzinfo else given.replace(tzinfo=UTC)

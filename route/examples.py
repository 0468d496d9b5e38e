"""The posts that a rule shows as its examples: a few fields each, the rest as in any post."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from route.fields import FIELDS
from route.operators import ConditionInvalid
from schemas.faults import one_of
from schemas.record import faults
from schemas.triage import Triage

_REST: dict[str, Any] = {
    "post.id": "example",
    "post.text": "An example.",
    "intent": "other",
    "confidence": 1.0,
    "sentiment": "neutral",
    "triaged_at": datetime(2026, 1, 1, tzinfo=UTC),
}


def example(fields: dict[str, Any]) -> Triage:
    """The triage of an example: ``intent: complaint``, ``post.text: …`` or ``post: {text: …}``.

    Raises ConditionInvalid for a field that doesn't exist or a value that it can't have.
    """
    given = dict(_flat(fields, ""))
    for path in given:
        if path not in FIELDS:
            raise ConditionInvalid(f'unknown field "{path}"', one_of(path, FIELDS))
    nested: dict[str, Any] = {}
    for path, value in {**_REST, **given}.items():
        *groups, name = path.split(".")
        inside = nested
        for group in groups:
            inside = inside.setdefault(group, {})
        inside[name] = (
            [{"name": part, "points": 0} if isinstance(part, str) else part for part in value]
            if path == "urgency_parts" and isinstance(value, list)
            else value
        )
    try:
        return Triage.model_validate(nested)
    except ValidationError as error:
        raise ConditionInvalid(f"is no post: {faults(error)}", "mend the value") from None


def _flat(fields: dict[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _flat(value, f"{path}.")
        else:
            yield path, value

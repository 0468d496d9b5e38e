"""Records that were written by an older version are still read."""

from typing import Any

import pytest

from schemas.compat import breaks
from schemas.export import EXPORTED, current, faults

OLD: dict[str, Any] = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string", "maxLength": 10},
        "event": {"enum": ["create", "delete"], "type": "string"},
        "author": {"$ref": "#/$defs/Author"},
        "at": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "brands": {"type": "array", "items": {"type": "string"}},
    },
    "$defs": {"Author": {"type": "object", "properties": {"followers": {"type": "integer", "minimum": 0}}}},
}


def changed(*path: str, to: Any) -> dict[str, Any]:
    """OLD with one place set to another value, or taken out when ``to`` is ...."""
    import copy

    new = copy.deepcopy(OLD)
    at: Any = new
    for step in path[:-1]:
        at = at[step]
    if to is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return new


@pytest.mark.parametrize(
    ("new", "says"),
    [
        (changed("properties", "event", to=...), "record.event: is gone"),
        (changed("required", to=["id", "event"]), "record.event: is now required"),
        (changed("properties", "id", "type", to="integer"), "record.id: was string, is integer"),
        (changed("properties", "id", "maxLength", to=5), "record.id: maxLength is now 5"),
        (changed("properties", "id", "pattern", to="^a"), "record.id: pattern is now ^a"),
        (changed("properties", "event", "enum", to=["create"]), "record.event: no longer takes 'delete'"),
        (
            changed("$defs", "Author", "properties", "followers", "minimum", to=1),
            "record.author.followers: minimum is now 1",
        ),
        (
            changed("$defs", "Author", "properties", "followers", "exclusiveMinimum", to=0),
            "record.author.followers: exclusiveMinimum is now 0",
        ),
        (
            changed("$defs", "Author", "properties", "followers", "exclusiveMaximum", to=9),
            "record.author.followers: exclusiveMaximum is now 9",
        ),
        (
            changed("$defs", "Author", "properties", "followers", "multipleOf", to=10),
            "record.author.followers: multipleOf is now 10",
        ),
        (changed("$defs", "Author", "minProperties", to=1), "record.author: minProperties is now 1"),
        (changed("additionalProperties", to=False), "record: no longer takes fields that it doesn't know"),
        (changed("properties", "at", to={"type": "string"}), "record.at: was null, is string"),
        (changed("properties", "brands", "items", "type", to="integer"), "record.brands[]: was string, is integer"),
    ],
)
def test_a_change_that_old_records_would_not_survive_is_named(new: dict[str, Any], says: str) -> None:
    assert breaks(OLD, new) == [says]


@pytest.mark.parametrize(
    "new",
    [
        OLD,
        changed("properties", "language", to={"type": "string", "default": ""}),
        changed("properties", "id", "maxLength", to=20),
        changed("properties", "event", "enum", to=["create", "delete", "edit"]),
        changed("required", to=[]),
    ],
)
def test_an_addition_breaks_nothing(new: dict[str, Any]) -> None:
    assert breaks(OLD, new) == []


def test_the_exported_schemas_are_those_of_the_code() -> None:
    assert faults() == []


@pytest.mark.parametrize("name", EXPORTED)
def test_a_field_taken_out_of_any_record_is_noticed(name: str) -> None:
    schema = current(name)
    victim = next(iter(schema["properties"]))
    without = {**schema, "properties": {k: v for k, v in schema["properties"].items() if k != victim}}
    assert f"record.{victim}: is gone" in breaks(schema, without)


@pytest.mark.parametrize("name", ["post.v1", "triage.v1", "ticket.v1"])
def test_who_reads_what_travels_is_told_what_each_field_means(name: str) -> None:
    schema = current(name)
    models = {name: schema, **schema["$defs"]}
    fields = [
        (model, field, said) for model, found in models.items() for field, said in found.get("properties", {}).items()
    ]
    assert len(fields) > 20
    assert not [f"{model}.{field}" for model, field, said in fields if not said.get("description", "").endswith(".")]

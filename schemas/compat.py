"""Says whether a reader of one version of a JSON Schema can take what a writer of another writes."""

from collections.abc import Iterator
from typing import Any

JsonSchema = dict[str, Any]

_LOWER_IS_NARROWER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_HIGHER_IS_NARROWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_OTHER_IS_NARROWER = ("pattern", "multipleOf")


def breaks(old: JsonSchema, new: JsonSchema) -> list[str]:
    """What of records valid under ``old`` is no longer valid under ``new``, or no longer there; a line each, with the path.

    Covers what pydantic writes: properties, required, types, enums, constants, bounds, patterns, unions, ``$defs``, and
    whether unknown fields are taken.
    """
    return list(_breaks(old, new, old.get("$defs", {}), new.get("$defs", {}), "record"))


def _breaks(old: JsonSchema, new: JsonSchema, old_defs: JsonSchema, new_defs: JsonSchema, at: str) -> Iterator[str]:
    old, new = _resolved(old, old_defs), _resolved(new, new_defs)
    if "anyOf" in old or "anyOf" in new:
        for choice in old.get("anyOf", [old]):
            found = [list(_breaks(choice, other, old_defs, new_defs, at)) for other in new.get("anyOf", [new])]
            if all(found):
                yield min(found, key=len)[0]
        return
    if "type" in new and old.get("type") != new["type"] and (old.get("type"), new["type"]) != ("integer", "number"):
        yield f"{at}: was {old.get('type', 'anything')}, is {new['type']}"
        return
    yield from _narrowed(old, new, at)
    for name in sorted(set(new.get("required", [])) - set(old.get("required", []))):
        yield f"{at}.{name}: is now required"
    for name, schema in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            yield f"{at}.{name}: is gone"
        else:
            yield from _breaks(schema, new["properties"][name], old_defs, new_defs, f"{at}.{name}")
    for inner in ("items", "additionalProperties"):
        if isinstance(old.get(inner), dict) and isinstance(new.get(inner), dict):
            yield from _breaks(old[inner], new[inner], old_defs, new_defs, f"{at}[]")


def _narrowed(old: JsonSchema, new: JsonSchema, at: str) -> Iterator[str]:
    allowed = new.get("enum", [new["const"]] if "const" in new else None)
    if allowed is not None:
        for value in old.get("enum", [old.get("const")]):
            if value not in allowed:
                yield f"{at}: no longer takes {value!r}"
    if new.get("additionalProperties") is False and old.get("additionalProperties") is not False:
        yield f"{at}: no longer takes fields that it doesn't know"
    for name, bound in new.items():
        if (
            (name in _LOWER_IS_NARROWER and bound < old.get(name, float("inf")))
            or (name in _HIGHER_IS_NARROWER and bound > old.get(name, float("-inf")))
            or (name in _OTHER_IS_NARROWER and bound != old.get(name))
        ):
            yield f"{at}: {name} is now {bound}"


def _resolved(schema: JsonSchema, defs: JsonSchema) -> JsonSchema:
    while "$ref" in schema:
        schema = defs[schema["$ref"].rpartition("/")[2]]
    return schema

"""The operators of a condition: what each takes in the file, checked, and the test of a field's value it becomes."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import re2

from route.fields import Field
from schemas.faults import one_of, shown

MAX_PATTERN_CHARS = 1000
MAX_MATCHED_CHARS = 10_000
"""A regular expression sees this much of a text: longer than any post that a person writes."""

Test = Callable[[Any], bool]
BOUNDS = ("gte", "lte", "gt", "lt")
_ESCAPED_CHARACTER = re.compile(r"\\[xpP]")
"""By number or class: such a pattern may name a curly quote without writing it."""
_QUOTES = (("’", "'"), ("‘", "'"), ("“", '"'), ("”", '"'))
_NO_WIDTH = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
_SPACES = re.compile(r"\s{2,}|[^\S ]")
"""All white space that isn't a single space."""


class ConditionInvalid(ValueError):
    """``what`` is wrong with a condition and its ``mend``."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


def straight(text: str) -> str:
    """The text with straight quotes: telephones make of ``can't`` a ``can’t`` by themselves, and keyboards don't."""
    if not text.isascii():
        for curly, plain in _QUOTES:
            text = text.replace(curly, plain)
    return text


def folded(text: str) -> str:
    """What is compared of a text: neither its case, nor the form of its quotes and its white space, nor what has no width."""
    if "  " in text or not text.isprintable():  # of what is mended here a space alone is printable
        text = _SPACES.sub(" ", _NO_WIDTH.sub("", text))
    return straight(text).casefold()


def equals(field: Field, allowed: frozenset[Any]) -> Test:
    """A test for one of these values; of a field that holds several texts, one of them will do."""
    if field.kind == "texts":
        return lambda found: any(folded(value) in allowed for value in found)
    if field.kind == "text" and not field.choices:
        return lambda found: folded(found) in allowed
    return allowed.__contains__


def values(field: Field, spec: Any) -> tuple[Any, ...]:
    """One value or a list of them, each of the field's kind, text as ``folded`` has it."""
    items = spec if isinstance(spec, list) else [spec]
    if not items:
        raise ConditionInvalid("an empty list, which nothing matches", "name at least one value, or leave the key out")
    return tuple(_value(field, item) for item in items)


def _value(field: Field, value: Any) -> Any:
    if field.kind in ("text", "texts"):
        return _text(field, value)
    if field.kind == "time":
        raise ConditionInvalid("a time is never equal to another", "use gte, lte, gt or lt")
    if field.kind == "yes or no":
        if not isinstance(value, bool):
            raise ConditionInvalid(f"takes true or false, not {shown(value)}", "write true or false, without quotes")
        return value
    return _number(field, value)


def _text(field: Field, value: Any) -> str:
    if isinstance(value, bool):
        raise ConditionInvalid(
            f"takes text, not {shown(value)}",
            "quote it: YAML reads no, yes, on and off as true or false",
        )
    if not isinstance(value, str) or not value:
        raise ConditionInvalid(f"takes text, not {shown(value)}", "put the text in quotes")
    if not folded(value).strip():
        raise ConditionInvalid("takes text, not white space alone", "look for that with matches")
    if field.choices and value.casefold() not in field.choices:
        raise ConditionInvalid(f"is never {shown(value)}", one_of(value, field.choices))
    return folded(value)


def _number(field: Field, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConditionInvalid(f"takes a number, not {shown(value)}", "write a number, without quotes")
    if not field.low <= value <= field.high:
        raise ConditionInvalid(f"is never {value}", f"it lies between {field.low:g} and {field.high:g}")
    return value


def limit_of(field: Field, operator: str, operand: Any) -> Any:
    """The limit that ``gte``, ``lte``, ``gt`` or ``lt`` sets: a number, or a time in UTC."""
    if field.kind == "number":
        limit = _number(field, operand)
        if (operator, limit) in (("gt", field.high), ("lt", field.low)):
            raise ConditionInvalid(
                f"is never {operator} {limit:g}", f"it lies between {field.low:g} and {field.high:g}"
            )
        return limit
    if field.kind != "time":
        raise ConditionInvalid(
            f"{operator} compares numbers and times; this is {field.kind}", "name the values instead"
        )
    if not isinstance(operand, date):
        raise ConditionInvalid(
            f"takes a time, not {shown(operand)}", "write it like 2026-05-01 or 2026-05-01T12:00:00Z"
        )
    if not isinstance(operand, datetime):
        operand = datetime(operand.year, operand.month, operand.day, tzinfo=UTC)
    return operand if operand.tzinfo else operand.replace(tzinfo=UTC)


def bound(operator: str, limit: Any) -> Test:
    """A test against a limit; an unknown value (None) never passes."""
    match operator:
        case "gte":
            return lambda value: value is not None and value >= limit
        case "lte":
            return lambda value: value is not None and value <= limit
        case "gt":
            return lambda value: value is not None and value > limit
        case _:
            return lambda value: value is not None and value < limit


def contradict(bounds: Sequence[tuple[str, Any]]) -> bool:
    """Whether no value can pass all of these."""
    return any(
        low > high or (low == high and (low_operator, high_operator) != ("gte", "lte"))
        for low_operator, low in bounds
        for high_operator, high in bounds
        if low_operator[0] == "g" and high_operator[0] == "l"
    )


def tighter(inner: tuple[str, Any], outer: tuple[str, Any]) -> bool:
    """Whether all that passes ``inner`` passes ``outer``."""
    (inner_operator, inner_limit), (operator, limit) = inner, outer
    if inner_operator[0] != operator[0]:
        return False
    if inner_limit == limit:
        return operator.endswith("e") or inner_operator == operator
    return bool(inner_limit > limit if operator[0] == "g" else inner_limit < limit)


def _contains(field: Field, operand: Any) -> tuple[tuple[Any, ...], Test]:
    parts = values(_of_text(field, "contains"), operand)
    if field.kind == "texts":
        return parts, equals(field, frozenset(parts))
    if len(parts) == 1:
        (part,) = parts
        return parts, lambda found: part in folded(found)
    return parts, lambda found: any(part in text for text in (folded(found),) for part in parts)


def _matches(field: Field, operand: Any) -> tuple[tuple[Any, ...], Test]:
    _of_text(field, "matches")
    if not isinstance(operand, str) or not operand:
        raise ConditionInvalid(f"matches takes a regular expression, not {shown(operand)}", "put it in quotes")
    if len(operand) > MAX_PATTERN_CHARS:
        raise ConditionInvalid(
            f"the regular expression has {len(operand):,} characters", f"keep it under {MAX_PATTERN_CHARS:,}"
        )
    try:
        as_given = _search(operand)
    except re2.error as error:
        what = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise ConditionInvalid(f"not a regular expression that RE2 knows: {what}", "mend the pattern") from None
    try:
        straightened = _search(straight(operand))
    except re2.error:  # [A-’] is a range, [A-'] none
        straightened = as_given
    may_name_quotes = straightened is as_given or _ESCAPED_CHARACTER.search(operand) is not None

    def is_found(text: str) -> bool:
        return straightened(straight(text)) or (may_name_quotes and as_given(text))

    def test(found: Any) -> bool:
        texts: Sequence[str] = (found,) if isinstance(found, str) else found
        return any(is_found(text[:MAX_MATCHED_CHARS]) for text in texts)

    return (operand,), test


def _search(pattern: str) -> Callable[[str], bool]:
    """Whether the pattern is found anywhere in a text. Raises re2.error."""
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    search = re2.compile(pattern.encode(), options).search
    return lambda text: search(text.encode("utf-8", "replace")) is not None


def _not(field: Field, operand: Any) -> tuple[tuple[Any, ...], Test]:
    refused = values(field, operand)
    is_one = equals(field, frozenset(refused))
    return refused, lambda found: not is_one(found)


def _of_text(field: Field, operator: str) -> Field:
    if field.kind not in ("text", "texts"):
        raise ConditionInvalid(f"{operator} looks into text; this is {field.kind}", "name the value, or use gte or lte")
    if field.choices:
        raise ConditionInvalid(f"{operator} looks into free text", f"name the values: {', '.join(field.choices)}")
    return field


OPERATORS: dict[str, Callable[[Field, Any], tuple[tuple[Any, ...], Test]]] = {
    "contains": _contains,
    "matches": _matches,
    "not": _not,
}

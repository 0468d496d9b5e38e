"""One condition of a rule: a field, and what its value must be.

    intent: complaint                 equal; for a list field: one of its values is equal
    intent: [complaint, question]     any of these
    urgency: {gte: 3}                 also lte, gt, lt; several in one condition must all hold
    post.text: {contains: refund}     anywhere in the text; a list: any of these; for a list field: one of its values
    post.text: {matches: "lost (my )?bag"}   a regular expression (RE2), searched anywhere
    language: {not: [en, de]}         none of these

Text is compared without regard to case, curly quotes count as straight ones, white space of any kind as one space, and what
has no width as nothing; of these ``matches`` knows case and quotes alone. A value that isn't known (an author's followers)
meets no condition on it but ``not``. Regular expressions run on RE2, whose time is linear in the text whatever the pattern:
no post can hang a router.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from route.fields import FIELDS, Field
from route.operators import (
    BOUNDS,
    OPERATORS,
    ConditionInvalid,
    Test,
    bound,
    contradict,
    equals,
    limit_of,
    tighter,
    values,
)
from schemas.faults import one_of, shown
from schemas.triage import Triage

_KNOWN = (*BOUNDS, *OPERATORS)


@dataclass(frozen=True)
class Condition:
    """A compiled condition. What it accepts is kept as data too, so that two of them can be compared.

    ``allowed``: the value is one of these; ``bounds``: (operator, limit) pairs; ``others``: other operators with their
    operands. ``test`` is what ``holds`` asks of the field's value; ``spec`` is what stands in the file.
    """

    field: Field
    holds: Callable[[Triage], bool] = dataclass_field(compare=False)
    test: Test = dataclass_field(compare=False)
    spec: Any = dataclass_field(compare=False)
    allowed: frozenset[Any] | None = None
    bounds: tuple[tuple[str, Any], ...] = ()
    others: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether ``test`` says the same of a ``folded`` text as of the text itself."""
        return all(operator != "matches" for operator, _ in self.others)

    def covers(self, narrower: "Condition") -> bool:
        """Whether every value that ``narrower`` accepts is surely accepted here; False where that isn't plain."""
        if self.field.path != narrower.field.path:
            return False
        if narrower.allowed is not None and self.field.kind != "texts":
            return self.is_plain and all(map(self.test, narrower.allowed))
        if self.allowed is not None:
            return narrower.allowed is not None and narrower.allowed <= self.allowed
        within = all(any(tighter(inner, bound) for inner in narrower.bounds) for bound in self.bounds)
        return within and all(
            any(_covers(self.field, mine, theirs) for theirs in narrower.others) for mine in self.others
        )


_Other = tuple[str, tuple[Any, ...]]


def _covers(field: Field, wider: _Other, narrower: _Other) -> bool:
    """Whether what meets ``narrower`` surely meets ``wider``, both an operator with its operands."""
    (operator, operands), (inner_operator, inner_operands) = wider, narrower
    if operator != inner_operator:
        return False
    match operator:
        case "not":
            return set(operands) <= set(inner_operands)
        case "contains" if field.kind == "text":
            return all(any(part in inner for part in operands) for inner in inner_operands)
        case "contains":
            return set(inner_operands) <= set(operands)
    return operands == inner_operands


def compile_condition(field: Field, spec: Any) -> Condition:
    """The condition that ``spec``, as it stands in the file, puts on ``field``. Raises ConditionInvalid."""
    if not isinstance(spec, dict):
        allowed = frozenset(values(field, spec))
        test = equals(field, allowed)
        return Condition(field, _on(field, test), test, spec, allowed=allowed)
    if not spec:
        raise ConditionInvalid("has no operator", f"known are {', '.join(_KNOWN)}")
    tests: list[Test] = []
    bounds: list[tuple[str, Any]] = []
    others: list[tuple[str, tuple[Any, ...]]] = []
    for operator, operand in spec.items():
        if operator in BOUNDS:
            limit = limit_of(field, operator, operand)
            bounds.append((operator, limit))
            tests.append(bound(operator, limit))
        elif operator in OPERATORS:
            operands, test = OPERATORS[operator](field, operand)
            others.append((operator, operands))
            tests.append(test)
        else:
            raise ConditionInvalid(f"unknown operator {shown(operator)}", one_of(str(operator), _KNOWN))
    if contradict(bounds):
        raise ConditionInvalid("no value meets all of these bounds", "mend the bounds")
    test = tests[0] if len(tests) == 1 else _all_of(tests)
    return Condition(field, _on(field, test), test, spec, bounds=tuple(bounds), others=tuple(others))


def compile_match(
    match: dict[Any, Any], refused: Callable[[str, ConditionInvalid], None]
) -> tuple[Condition, ...] | None:
    """The conditions of a ``match`` in the file, or None; ``refused`` is told each that can't be compiled."""
    conditions = []
    for path, spec in match.items():
        try:
            conditions.append(compile_condition(_field(path), spec))
        except ConditionInvalid as invalid:
            refused(str(path), invalid)
    return tuple(conditions) if len(conditions) == len(match) else None


def _field(path: Any) -> Field:
    if path in FIELDS:
        return FIELDS[path]
    raise ConditionInvalid(f"unknown field {shown(str(path))}", one_of(str(path), FIELDS))


def _on(field: Field, test: Test) -> Callable[[Triage], bool]:
    get = field.get
    return lambda triage: test(get(triage))


def _all_of(tests: Sequence[Test]) -> Test:
    return lambda value: all(test(value) for test in tests)

"""One condition of a rule: a field, and what its value must be.

    intent: complaint                 equal; for a list field: one of its values is equal
    intent: [complaint, question]     any of these
    urgency: {gte: 3}                 also lte, gt, lt; several in one condition must all hold
    post.text: {contains: refund}     anywhere in the text; a list: any of these; for a list field: one of its values
    post.text: {matches: "lost (my )?bag"}   a regular expression (RE2), searched anywhere
    language: {not: [en, de]}         none of these

Text is compared without regard to case. A value that isn't known (an author's followers) meets no condition on it but
``not``. Regular expressions run on RE2, whose time is linear in the text whatever the pattern: no post can hang a router.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from route.fields import Field
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

    ``allowed``: the value is one of these; ``bounds``: (operator, limit) pairs; ``others``: operators and operands that
    are only compared for being the same.
    """

    field: Field
    holds: Callable[[Triage], bool] = dataclass_field(compare=False)
    allowed: frozenset[Any] | None = None
    bounds: tuple[tuple[str, Any], ...] = ()
    others: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    def covers(self, narrower: "Condition") -> bool:
        """Whether every value that ``narrower`` accepts is surely accepted here; False where that isn't plain."""
        if self.field.path != narrower.field.path:
            return False
        if narrower.allowed is not None and not self.others:
            return all(self._accepts(value) for value in narrower.allowed)
        within = all(any(tighter(inner, bound) for inner in narrower.bounds) for bound in self.bounds)
        return self.allowed is None and within and set(self.others) <= set(narrower.others)

    def _accepts(self, value: Any) -> bool:
        return (self.allowed is None or value in self.allowed) and all(
            bound(operator, limit)(value) for operator, limit in self.bounds
        )


def take(conditions: Sequence[Condition], triage: Triage) -> bool:
    """Whether all of them hold."""
    return all(condition.holds(triage) for condition in conditions)


def take_all_of(wider: Sequence[Condition], narrower: Sequence[Condition]) -> bool:
    """Whether a post that meets all of ``narrower`` surely meets all of ``wider``; False where that isn't plain."""
    return all(any(mine.covers(theirs) for theirs in narrower) for mine in wider)


def compile_condition(field: Field, spec: Any) -> Condition:
    """The condition that ``spec``, as it stands in the file, puts on ``field``. Raises ConditionInvalid."""
    if not isinstance(spec, dict):
        allowed = frozenset(values(field, spec))
        return Condition(field, _on(field, equals(field, allowed)), allowed=allowed)
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
    return Condition(field, _on(field, *tests), bounds=tuple(bounds), others=tuple(others))


def _on(field: Field, *tests: Test) -> Callable[[Triage], bool]:
    get = field.get
    if len(tests) == 1:
        (test,) = tests
        return lambda triage: test(get(triage))
    return lambda triage: all(test(get(triage)) for test in tests)

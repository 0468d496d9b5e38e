"""Rules inside rules and rules that go on: who takes a post, what is inherited, and what the search tells of itself."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from route.conditions import compile_condition
from route.fields import FIELDS
from route.rule import Match, Rule
from route.rules import RouteTable
from route.schedule import Schedule, Window
from route.tickets import tickets_for
from schemas.reasons import DropReason
from schemas.triage import Triage
from tests.route.routing import DESTINATIONS, faults, load, post, takers

NESTED = """\
  - name: complaints
    why: A complaint.
    match: {intent: complaint}
    destinations: [service]
    priority: low
    team: care
    labels: [angry]
    rules:
      - name: broken
        why: Something is broken.
        match: {post.text: {contains: broken}}
        priority: high
        rules:
          - name: broken-again
            why: Not for the first time.
            match: {post.text: {contains: again}}
            destinations: [helpdesk]
            labels: []
      - name: late
        why: Something is late.
        match: {post.text: {contains: late}}
        team: parcels
"""
GOES_ON = """\
  - name: archive
    why: The archive keeps all of Norvik.
    match: {post.brands: norvik}
    continue: true
    destinations: [archive]
    priority: low
  - name: complaints
    why: A complaint.
    match: {intent: complaint}
    destinations: [service, archive]
    priority: high
"""


@pytest.fixture
def nested(tmp_path: Path) -> RouteTable:
    return load(tmp_path, NESTED)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("it is broken", "broken"),
        ("it is broken again", "broken-again"),
        ("broken and late", "broken"),  # the first of the rules inside
        ("it is late", "late"),
        ("nobody answers", "complaints"),  # what none of them keeps
    ],
)
def test_the_rules_inside_are_tried_in_order_and_the_rest_is_the_rules_own(
    nested: RouteTable, text: str, rule: str
) -> None:
    assert takers(nested, post(intent="complaint", post__text=text)) == [rule]


def test_a_rule_inside_sees_no_post_that_the_rule_around_it_does_not_take(nested: RouteTable) -> None:
    assert takers(nested, post(intent="praise", post__text="broken, late, lovely")) == ["rest"]


def test_what_a_rule_inside_leaves_out_it_has_from_the_rule_around_it(nested: RouteTable) -> None:
    def said(text: str) -> tuple[object, ...]:
        (match,) = nested.route(post(intent="complaint", post__text=text))
        return match.destinations, match.priority, match.team, match.labels

    assert said("nobody answers") == (("service",), "low", "care", ("angry",))
    assert said("broken") == (("service",), "high", "care", ("angry",))
    assert said("broken again") == (("helpdesk",), "high", "care", ())
    assert said("late") == (("service",), "low", "parcels", ("angry",))


def test_a_rule_that_goes_on_adds_its_destinations_and_the_first_one_says_what_stands_in_the_ticket(
    tmp_path: Path,
) -> None:
    table = load(tmp_path, GOES_ON)
    tickets, drop = tickets_for(post(intent="complaint", post__brands=["Norvik"]), table)
    assert [(ticket.destination, ticket.rule, ticket.priority) for ticket in tickets] == [
        ("archive", "archive", "low"),
        ("service", "complaints", "high"),
    ]
    assert drop is None
    tickets, _ = tickets_for(post(intent="complaint"), table)
    assert [(ticket.destination, ticket.rule) for ticket in tickets] == [
        ("service", "complaints"),
        ("archive", "complaints"),
    ]


def test_a_rule_that_goes_on_keeps_its_ticket_where_nobody_behind_it_wants_the_post(tmp_path: Path) -> None:
    table = load(tmp_path, GOES_ON)
    assert takers(table, post(intent="other", post__brands=["Norvik"])) == ["archive", "rest"]
    tickets, drop = tickets_for(post(intent="other", post__brands=["Norvik"]), table)
    assert [ticket.destination for ticket in tickets] == ["archive"]
    assert drop is None
    assert tickets_for(post(intent="other"), table) == ([], DropReason.UNROUTED)


def test_an_edit_is_withdrawn_where_no_rule_sends_it_any_more(tmp_path: Path) -> None:
    edited = post(intent="praise", post__event="edit", post__revision=2, post__brands=["Norvik"])
    tickets, _ = tickets_for(edited, load(tmp_path, GOES_ON))
    assert {(ticket.destination, ticket.op) for ticket in tickets} == {
        ("archive", "update"),
        ("helpdesk", "withdraw"),
        ("service", "withdraw"),
        ("marketing", "withdraw"),
    }


def test_a_rule_around_that_goes_on_lets_on_what_a_rule_inside_took(tmp_path: Path) -> None:
    table = load(
        tmp_path, NESTED.replace("    priority: low\n", "    continue: true\n") + GOES_ON.split("  - name: c")[0]
    )
    broken = post(intent="complaint", post__text="broken", post__brands=["norvik"])
    assert takers(table, broken) == ["broken", "archive", "rest"]


def test_a_rule_inside_that_goes_on_leaves_the_post_to_those_behind_it_and_to_the_rule_around_it(
    tmp_path: Path,
) -> None:
    rules = NESTED.replace("        priority: high\n", "        continue: true\n")
    table = load(tmp_path, rules)
    assert takers(table, post(intent="complaint", post__text="broken, late")) == ["broken", "late"]
    assert takers(table, post(intent="complaint", post__text="broken")) == ["broken", "complaints"]
    assert takers(table, post(intent="complaint", post__text="broken again")) == ["broken-again", "complaints"]


def test_the_trace_tells_each_rule_that_was_tried_and_its_first_condition_that_failed(nested: RouteTable) -> None:
    def told(**fields: object) -> list[tuple[str, tuple[str, ...], str]]:
        return [(one.rule, one.parents, str(one.unmet or "took it")) for one in nested.trace(post(**fields))]

    assert told(intent="complaint", post__text="it is late") == [
        ("broken", ("complaints",), 'post.text is "it is late", wanted contains "broken"'),
        ("late", ("complaints",), "took it"),
    ]
    assert told(intent="complaint", post__text="broken") == [
        ("broken-again", ("complaints", "broken"), 'post.text is "broken", wanted contains "again"'),
        ("broken", ("complaints",), "took it"),
    ]
    assert told(intent="praise") == [
        ("complaints", (), 'intent is "praise", wanted "complaint"'),
        ("rest", (), "took it"),
    ]


def test_the_trace_says_at_what_hour_a_rule_was_not_in_force_and_cuts_what_is_long(tmp_path: Path) -> None:
    table = load(
        tmp_path,
        '  - {name: night, why: At night., active: {hours: "22:00-06:00", zone: Europe/Berlin}, destinations: [helpdesk]}\n'
        "  - {name: words, why: Words., match: {post.text: {contains: [a, b]}}, destinations: [helpdesk]}\n",
    )
    night, words, rest = table.trace(post(triaged_at="2026-07-01T10:00:00Z", post__text="x" * 200))
    assert night.unmet is not None
    assert str(night.unmet) == (
        "triaged_at is Wed 2026-07-01 12:00 Europe/Berlin, wanted active 22:00-06:00 Europe/Berlin"
    )
    assert words.unmet is not None
    assert words.unmet.wanted == 'contains one of "a", "b"'
    assert len(words.unmet.found) <= 60
    assert rest.took
    assert (rest.unmet, rest.destinations) == (None, ())


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        (
            "  - {name: a, why: w, match: {intent: complaint}, destinations: [], rules: []}\n",
            '2, rule "a", rules: holds no rules; put a list of rules there, or leave it out',
        ),
        (
            "  - {name: a, why: w, match: {intent: complaint}, destinations: [], rules: [{name: b, why: w}]}\n",
            '2, rule "b": takes every post that rule "a" takes; '
            "give it a match, or say in that rule what is to come of them",
        ),
        (
            "  - name: a\n    why: w\n    match: {intent: complaint}\n    destinations: []\n    rules:\n"
            "      - {name: b, why: w, match: {intent: praise}}\n",
            '7, rule "b": never matches: no post meets all that it asks of intent, the rules around it included; '
            "mend the conditions",
        ),
        (
            "  - name: a\n    why: w\n    match: {urgency: {gte: 3}}\n    destinations: []\n    rules:\n"
            "      - {name: b, why: w, match: {urgency: {lt: 3}, urgent: true}}\n",
            '7, rule "b": never matches: no post meets all that it asks of urgency, the rules around it included; '
            "mend the conditions",
        ),
        (
            "  - {name: a, why: w, match: {intent: complaint}, destinations: [helpdesk], rules: "
            "[{name: b, why: w, match: {urgent: true}, destinations: [helpdsk]}]}\n",
            '2, rule "b", destinations.0: undefined destination "helpdsk" used in rule "b"; did you mean "helpdesk"?',
        ),
        (
            "  - {name: a, why: w, match: {intent: complaint}, rules: [{why: w, match: {urgent: true}}]}\n",
            '2, rule "a", destinations: is missing; add it: ids of the destinations that get a ticket',
        ),
        (
            "  - {name: a, why: w, match: {intent: complaint}, destinations: [], rules: [{why: w, match: {urgent: true}}]}\n",
            '2, rule 1 in rule "a", name: is missing; add it: names the rule in tickets, metrics and messages',
        ),
        (
            "  - {name: a, why: w, match: {intent: complaint}, destinations: [], rules: "
            "[{name: a, why: w, match: {urgent: true}}]}\n",
            '2, rule "a", name: the name "a" stands twice, first as rule 1; give each rule a name of its own',
        ),
        (
            "  - {name: a, why: w, match: {intent: complaint}, destinations: [], continue: maybe}\n",
            '2, rule "a", continue: input should be a valid boolean; '
            "go on to the rules behind as well, and add their destinations",
        ),
        (
            "  - {name: a, why: w, destinations: []}\n",
            '2, rule "a": takes every post, so that the 1 behind it never match; give it a match or put it last',
        ),
    ],
)
def test_a_fault_inside_a_rule_is_told_with_its_place(tmp_path: Path, rules: str, fault: str) -> None:
    assert fault in faults(tmp_path, rules)


def test_rules_that_go_on_hide_nobody_and_may_take_every_post(tmp_path: Path) -> None:
    rules = (
        "  - {name: all, why: w, continue: true, destinations: [archive]}\n"
        "  - {name: wide, why: w, match: {intent: complaint}, continue: true, destinations: [helpdesk]}\n"
        "  - {name: narrow, why: w, match: {intent: complaint, urgent: true}, destinations: [service]}\n"
    )
    assert faults(tmp_path, rules) == []


def test_the_last_rule_neither_goes_on_nor_has_hours(tmp_path: Path) -> None:
    last = (
        "rules:\n  - {name: z, why: w, destinations: [], continue: true, "
        'quiet: {days: sun, zone: UTC}, active: {hours: "01:00-02:00", zone: UTC}}\n'
    )
    path = tmp_path / "routes.yaml"
    path.write_text(last)
    with pytest.raises(Exception, match="the last rule has continue") as raised:
        RouteTable.load(path, DESTINATIONS)
    assert "the last rule has active" in str(raised.value)
    assert "the last rule has quiet" in str(raised.value)


def test_an_example_of_a_rule_with_rules_inside_may_be_taken_by_one_of_them(tmp_path: Path) -> None:
    rules = NESTED + "    examples:\n      - {intent: complaint, post.text: it is late}\n      - {intent: praise}\n"
    assert faults(tmp_path, rules) == [
        '26, rule "complaints", examples.1: the rule does not take this example: intent is "praise"; mend either'
    ]


# What the walk over steps does, said once more as plainly as can be: a rule keeps a post or lets it on.

CONDITIONS = [
    compile_condition(FIELDS["intent"], "complaint"),
    compile_condition(FIELDS["intent"], {"not": "praise"}),
    compile_condition(FIELDS["urgency"], {"gte": 2}),
    compile_condition(FIELDS["urgent"], spec=True),
]
NOON = Schedule(active=(Window("UTC", hours=((600, 840),)),))


def _rules(depth: int) -> st.SearchStrategy[Rule]:
    inside = st.lists(_rules(depth - 1), max_size=3) if depth else st.just([])
    return st.builds(
        lambda conditions, goes_on, schedule, rules: Rule(
            tuple(conditions), Match("", "", (), None, "", ()), schedule, goes_on, tuple(rules)
        ),
        st.lists(st.sampled_from(CONDITIONS), max_size=2),
        st.booleans(),
        st.sampled_from([None, None, NOON]),
        inside,
    )


def _named(rules: Sequence[Rule], prefix: str = "") -> tuple[Rule, ...]:
    return tuple(
        Rule(
            rule.conditions,
            Match(f"{prefix}{number}", "", (), None, "", ()),
            rule.schedule,
            rule.goes_on,
            _named(rule.inside, f"{prefix}{number}."),
        )
        for number, rule in enumerate(rules)
    )


def _plainly(rules: Sequence[Rule], triage: Triage) -> Iterator[tuple[str, bool]]:
    """Names of the takers with whether the post is kept from what stands behind."""
    for rule in rules:
        if not all(condition.holds(triage) for condition in rule.conditions):
            continue
        if rule.schedule and not rule.schedule.holds(triage.triaged_at):
            continue
        inside = list(_plainly(rule.inside, triage))
        for name, _ in inside:
            yield name, False
        if not any(kept for _, kept in inside):
            yield rule.match.rule, False
        if not rule.goes_on:
            yield "", True
            return


WORLD = [
    post(intent=intent, urgency=urgency, urgent=urgent, triaged_at=datetime(2026, 5, 1, hour, tzinfo=UTC).isoformat())
    for intent in ("complaint", "praise", "other")
    for urgency in (1, 2)
    for urgent in (True, False)
    for hour in (9, 12)
]


@given(st.lists(_rules(3), max_size=5))
@settings(max_examples=100, deadline=None)
def test_the_walk_the_trace_and_the_plain_reading_agree_on_any_tree(rules: list[Rule]) -> None:
    named = _named([*rules, Rule((), Match("", "", (), None, "", ()))])
    table = RouteTable(named, DESTINATIONS)
    for triage in WORLD:
        plainly = [name for name, _ in _plainly(named, triage) if name]
        assert takers(table, triage) == plainly
        assert [one.rule for one in table.trace(triage) if one.took] == plainly
        assert all(one.unmet for one in table.trace(triage) if not one.took)

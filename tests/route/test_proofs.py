"""Rules that can never match: each accusation is true, and the plain cases are found."""

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from route.conditions import compile_condition
from route.fields import FIELDS
from route.proofs import Hiding, Region
from route.rules import RouteTable, check_routes
from tests.route.routing import DESTINATIONS, faults, post, takers, write


def region(*matches: dict[str, Any]) -> Region:
    """Of a rule with the last of these, inside rules with those before it."""
    return Region.of([compile_condition(FIELDS[path], spec) for match in matches for path, spec in match.items()], ())


@pytest.mark.parametrize(
    ("matches", "field"),
    [
        ([{"intent": "complaint"}, {"intent": "praise"}], "intent"),
        ([{"intent": ["complaint", "praise"]}, {"intent": ["praise", "other"]}], ""),
        ([{"intent": "complaint"}, {"intent": {"not": ["complaint", "other"]}}], "intent"),
        # A post without an intent is none of these.
        ([{"intent": {"not": ["complaint", "question", "praise", "marketing", "other"]}}], ""),
        ([{"urgency": {"gt": 2}}, {"urgency": {"lt": 3}}], "urgency"),
        ([{"urgency": {"gte": 2}}, {"urgency": {"not": [2, 3, 4]}}], "urgency"),
        ([{"urgency": [0, 1]}, {"urgency": {"gte": 1}}], ""),
        ([{"urgent": True}, {"urgent": False}], "urgent"),
        ([{"confidence": {"gte": 0.5}}, {"confidence": {"lt": 0.5}}], "confidence"),
        ([{"confidence": {"gte": 0.5}}, {"confidence": {"lte": 0.5}}], ""),
        ([{"post.author.followers": {"gt": 10}}, {"post.author.followers": {"lt": 11}}], "post.author.followers"),
        ([{"post.author.followers": {"gt": 10}}, {"post.author.followers": {"lt": 12}}], ""),
        ([{"post.author.followers": [5, 7]}, {"post.author.followers": {"gt": 7}}], "post.author.followers"),
        ([{"post.author.followers": {"not": 5}}, {"post.author.followers": {"gt": 7}}], ""),
        ([{"language": "en"}, {"language": ["de", "fr"]}], "language"),
        ([{"language": "EN"}, {"language": {"not": "en"}}], "language"),
        ([{"post.text": "refund"}, {"post.text": {"contains": "fund"}}], ""),
        ([{"post.text": "refund"}, {"post.text": {"contains": "bag"}}], "post.text"),
        ([{"post.text": "refund"}, {"post.text": {"matches": "bag"}}], ""),  # true, but not plain
        ([{"post.text": {"contains": "bag"}}, {"post.text": {"not": "bag"}}], ""),  # "bags" is one
        ([{"post.brands": "halden"}, {"post.brands": "norvik"}], ""),  # a post may name both
        ([{"post.brands": "halden"}, {"post.brands": {"not": ["halden", "norvik"]}}], "post.brands"),
        ([{"post.brands": ["halden", "norvik"]}, {"post.brands": {"not": "halden"}}], ""),
    ],
)
def test_conditions_that_no_post_meets_are_known_where_it_is_plain(matches: list[dict[str, Any]], field: str) -> None:
    assert region(*matches).contradiction() == field


def test_rules_that_hide_another_one_together_are_named(tmp_path: Path) -> None:
    rules = (
        "  - {name: mild, why: w, match: {intent: complaint, urgency: {lt: 2}}, destinations: []}\n"
        "  - {name: praise, why: w, match: {intent: praise}, destinations: []}\n"
        "  - {name: bad, why: w, match: {intent: complaint, urgency: {gte: 2}}, destinations: []}\n"
        "  - {name: late, why: w, match: {intent: complaint, post.text: {contains: late}}, destinations: []}\n"
    )
    assert faults(tmp_path, rules) == [
        '5, rule "late": never matches: rule "mild", rule "bad" take all of its posts first, each a part; '
        "put it before them, or narrow one of them"
    ]
    assert faults(tmp_path, rules.replace("{lt: 2}", "{lt: 1}")) == []


def test_a_rule_that_is_not_always_in_force_hides_only_one_with_the_same_hours(tmp_path: Path) -> None:
    night = 'active: {hours: "22:00-06:00", zone: UTC}'
    first = f"  - {{name: a, why: w, match: {{intent: complaint}}, destinations: [], {night}}}\n"
    second = "  - {name: b, why: w, match: {intent: complaint, urgent: true}, destinations: []}\n"
    assert faults(tmp_path, first + second) == []
    assert faults(tmp_path, first + second.replace("[]}", f"[], {night}}}")) == [
        '3, rule "b": never matches: rule "a" takes all of its posts first; put it before that rule, or narrow that one'
    ]
    assert faults(tmp_path, second + first) == []


def test_a_rule_inside_is_hidden_by_one_before_the_rule_around_it(tmp_path: Path) -> None:
    rules = (
        "  - {name: a, why: w, match: {urgent: true}, destinations: []}\n"
        "  - name: b\n    why: w\n    match: {intent: complaint}\n    destinations: []\n    rules:\n"
        "      - {name: c, why: w, match: {urgent: true, post.network: x}}\n"
        "      - {name: d, why: w, match: {post.network: x}}\n"
    )
    assert faults(tmp_path, rules) == [
        '8, rule "c": never matches: rule "a" takes all of its posts first; put it before that rule, or narrow that one'
    ]


def test_only_the_outermost_rule_that_is_out_of_reach_is_told_of(tmp_path: Path) -> None:
    rules = (
        "  - {name: a, why: w, match: {intent: complaint}, destinations: []}\n"
        "  - name: b\n    why: w\n    match: {intent: complaint, urgent: true}\n    destinations: []\n    rules:\n"
        "      - {name: c, why: w, match: {post.network: x}}\n"
    )
    assert [fault.split(":")[0] for fault in faults(tmp_path, rules)] == ['3, rule "b"']


def test_looking_has_an_end_and_what_is_beyond_is_not_proved() -> None:
    parts = [region({"intent": "complaint", "urgency": number}) for number in range(5)]
    inner = region({"intent": "complaint"})
    assert Hiding().hidden_by(inner, parts) == [0, 1, 2, 3, 4]
    assert Hiding(looks=10).hidden_by(inner, parts) == []


# Whatever is accused of never matching takes no post: rules and posts are drawn from a small world, so that they meet.

WORDS = ["bag", "bags", "lost bag", "Straße", "BAG"]
SPECS: dict[str, st.SearchStrategy[Any]] = {
    "intent": st.sampled_from(["complaint", "praise", ["complaint", "praise"], {"not": "other"}, {"not": ["praise"]}]),
    "urgency": st.sampled_from([2, [0, 1], {"gte": 2}, {"lt": 3}, {"gt": 0, "lte": 3}, {"not": [0, 4]}]),
    "urgent": st.booleans(),
    "confidence": st.sampled_from([{"gte": 0.5}, {"lt": 0.5}, {"gt": 0.2, "lt": 0.9}]),
    "post.author.followers": st.sampled_from([5, {"gt": 4}, {"lt": 6}, {"gte": 5, "lt": 7}, {"not": 5}]),
    "post.text": st.sampled_from(WORDS).flatmap(
        lambda word: st.sampled_from(
            [word, {"contains": word}, {"contains": [word, "x"]}, {"not": word}, {"matches": word}]
        )
    ),
    "post.brands": st.sampled_from(["halden", ["halden", "norvik"], {"not": "halden"}, {"contains": "norvik"}]),
    "language": st.sampled_from(["en", ["en", "de"], {"not": "en"}, {"not": ["en", "de"]}]),
}
matches = st.lists(st.sampled_from(sorted(SPECS)), max_size=3, unique=True).flatmap(
    lambda paths: st.fixed_dictionaries({path: SPECS[path] for path in paths})
)
DICE = random.Random(7)
WORLD = [
    post(
        intent=DICE.choice(["complaint", "praise", "other", "question"]),
        urgency=DICE.randint(0, 4),
        urgent=DICE.random() < 0.5,
        confidence=DICE.choice([0.1, 0.2, 0.5, 0.9]),
        post__author__followers=DICE.choice([None, 4, 5, 6]),
        post__text=DICE.choice([*WORDS, "x", "a bag, bags", "strasse"]),
        post__brands=DICE.choices(["Halden", "Norvik", "x"], k=DICE.randint(0, 2)),
        language=DICE.choice(["", "en", "EN", "de"]),
    )
    for _ in range(400)
]
GOES_ON = {"continue": True}


@given(st.lists(st.tuples(matches, st.booleans(), st.lists(matches, max_size=2)), min_size=2, max_size=6))
@settings(max_examples=120, deadline=None)
def test_a_rule_that_is_accused_takes_no_post(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[dict[str, Any], bool, list[dict[str, Any]]]]
) -> None:
    rules: list[dict[str, Any]] = []
    for number, (match, goes_on, inside) in enumerate(drawn):
        children = [
            {"name": f"r{number}-{place}", "why": "w", "match": inner, **(GOES_ON if not inner else {})}
            for place, inner in enumerate(inside)
        ]
        rule = {"name": f"r{number}", "why": "w", "match": match, "destinations": [], "rules": children}
        rules.append({key: value for key, value in rule.items() if value != []} | {"destinations": []})
        rules[-1] |= GOES_ON if goes_on or not match else {}
    rules.append({"name": "rest", "why": "w", "destinations": []})
    path = write(tmp_path_factory.getbasetemp(), yaml.safe_dump({"rules": rules}))
    accused = [fault for fault in check_routes(path, DESTINATIONS) if "never matches" in fault.what]
    names = {fault.place.split('"')[1] for fault in accused}
    table = _without_checks(rules)
    for triage in WORLD:
        taken = set(takers(table, triage))
        around = {name.split("-")[0] for name in taken}
        assert not names & (taken | around), accused


def _without_checks(rules: list[dict[str, Any]]) -> RouteTable:
    """The table of rules that ``load`` would refuse."""
    from route.rule import Rule, RuleSpec

    def made(raw: dict[str, Any]) -> Rule:
        spec = RuleSpec.model_validate(raw)
        conditions = tuple(compile_condition(FIELDS[path], what) for path, what in raw.get("match", {}).items())
        rule = Rule.of(spec, conditions)
        return Rule(
            rule.conditions, rule.match, None, rule.goes_on, tuple(made(inner) for inner in raw.get("rules", []))
        )

    return RouteTable([made(raw) for raw in rules], DESTINATIONS)

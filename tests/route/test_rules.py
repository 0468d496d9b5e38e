"""Rules: which one takes a post, whatever the post."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from route.examples import example
from route.fields import FIELDS
from route.rules import RouteTable, check_routes
from schemas.labels import INTENTS, SENTIMENTS
from schemas.post import Author, Engagement, Post
from schemas.triage import Triage, UrgencyPart

DESTINATIONS = ("helpdesk", "service", "marketing")
SHIPPED = RouteTable.load(None, DESTINATIONS)


def table(tmp_path: Path, match: str) -> RouteTable:
    """Routes of two rules: posts that meet ``match`` go to service, the rest nowhere."""
    path = tmp_path / "routes.yaml"
    path.write_text(
        "rules:\n"
        f"  - {{name: hit, why: It meets the condition., match: {match}, destinations: [service]}}\n"
        "  - {name: rest, why: It does not., destinations: []}\n"
    )
    return RouteTable.load(path, DESTINATIONS)


def taker(routes: RouteTable, triage: Triage) -> str:
    """The one rule that takes it."""
    (match,) = routes.route(triage)
    return match.rule


@pytest.mark.parametrize(
    ("match", "post", "hit"),
    [
        ("{intent: complaint}", {"intent": "complaint"}, True),
        ("{intent: Complaint}", {"intent": "complaint"}, True),
        ("{intent: complaint}", {"intent": "question"}, False),
        ("{intent: [complaint, question]}", {"intent": "question"}, True),
        ("{intent: complaint, urgent: true}", {"intent": "complaint"}, False),
        ("{intent: complaint, urgent: true}", {"intent": "complaint", "urgent": True}, True),
        ("{urgent: false}", {}, True),
        ("{urgency: 3}", {"urgency": 3}, True),
        ("{urgency: [0, 1]}", {"urgency": 2}, False),
        ("{urgency: {gte: 3}}", {"urgency": 3}, True),
        ("{urgency: {gt: 3}}", {"urgency": 3}, False),
        ("{urgency: {lte: 1}}", {"urgency": 1}, True),
        ("{urgency: {lt: 1}}", {"urgency": 1}, False),
        ("{urgency: {gte: 1, lte: 2}}", {"urgency": 3}, False),
        ("{confidence: {lt: 0.5}}", {"confidence": 0.4}, True),
        ("{intents.complaint: {gte: 0.3}}", {"intent": "other", "intents.complaint": 0.35}, True),
        ("{intents.complaint: {gte: 0.3}}", {"intents.other": 0.9}, False),
        ("{urgencies.4: {gte: 0.5}}", {"urgencies": {4: 0.6}}, True),
        ("{sentiment: {not: positive}}", {"sentiment": "negative"}, True),
        ("{language: {not: [en, de]}}", {"language": "de"}, False),
        ("{language: 'no'}", {"language": "no"}, True),
        ("{unsure: true}", {"unsure": True}, True),
        ("{post.network: bluesky}", {"post.network": "Bluesky"}, True),
        ("{post.author.followers: {gte: 1000}}", {"post.author.followers": 1000}, True),
        ("{post.author.followers: {gte: 1000}}", {}, False),
        ("{post.author.followers: {lte: 1000}}", {}, False),
        ("{post.author.verified: true}", {"post": {"author": {"verified": True}}}, True),
        ("{post.engagement.reposts: {gte: 10}}", {"post.engagement.reposts": 12}, True),
        ("{post.brands: halden}", {"post.brands": ["Norvik", "Halden"]}, True),
        ("{post.brands: {contains: halden}}", {"post.brands": ["Norvik", "Halden"]}, True),
        ("{post.brands: halden}", {"post.brands": ["Haldenry"]}, False),
        ("{post.brands: {not: halden}}", {"post.brands": ["Halden", "Norvik"]}, False),
        ("{urgency_parts: safety}", {"urgency_parts": ["model", "safety"]}, True),
        ("{post.text: {contains: refund}}", {"post.text": "REFUND me"}, True),
        ("{post.text: {contains: [refund, money back]}}", {"post.text": "I want my money back"}, True),
        ("{post.text: {contains: straße}}", {"post.text": "die STRASSE runter"}, True),
        ("{post.text: {contains: can't log in}}", {"post.text": "I can’t log in since Monday"}, True),
        ("{post.text: {contains: [won’t start, ‘dead’]}}", {"post.text": "My kettle won't start"}, True),
        ("{post.text: {matches: \"\\\\b(can't|won't) start\\\\b\"}}", {"post.text": "It won’t start"}, True),
        ("{post.text: {matches: “refund”}}", {"post.text": 'They call it a "refund"'}, True),
        (r"{post.text: {matches: 'can\x{2019}t'}}", {"post.text": "I can’t log in"}, True),
        ('{post.text: {matches: "can([^\']|$)"}}', {"post.text": "I can’t log in"}, False),
        (r"{post.text: {matches: 'can\p{Pf}t'}}", {"post.text": "I can’t log in"}, True),
        ("{post.text: {matches: 'can[A-’]t'}}", {"post.text": "I can’t log in"}, True),
        ("{post.text: {contains: money back}}", {"post.text": "I want my money\r\n back"}, True),
        ("{post.text: {contains: [refund, money back]}}", {"post.text": "I want my money\u00a0back"}, True),
        ("{post.text: {contains: money back}}", {"post.text": "I want my mo\u00adney ba\u200bck"}, True),
        ('{post.text: {contains: "money  \\n back"}}', {"post.text": "I want my money back"}, True),
        ("{post.text: {contains: money back}}", {"post.text": "I want my moneyback"}, False),
        ('{post.text: {contains: " card "}}', {"post.text": "you lost my card\nagain"}, True),
        ('{post.text: {contains: " card "}}', {"post.text": "your cardboard box"}, False),
        ("{post.text: {contains: bag, not: lost bag}}", {"post.text": "lost\nbag"}, False),
        ("{post.text: {matches: money back}}", {"post.text": "I want my money\nback"}, False),
        ("{post.brands: Odell's}", {"post.brands": ["Norvik", "Odell’s"]}, True),
        ("{post.author.handle: {not: odell's}}", {"post.author.handle": "Odell’s"}, False),
        (r"{post.text: {matches: '\blost (my )?bag\b'}}", {"post.text": "You LOST my bag"}, True),
        (r"{post.text: {matches: '\blost (my )?bag\b'}}", {"post.text": "lost my bags"}, False),
        ("{post.brands: {matches: '^hal'}}", {"post.brands": ["Norvik", "Halden"]}, True),
        ("{post.text: {contains: bag, not: lost bag}}", {"post.text": "lost bag"}, False),
        ("{post.created_at: {gte: 2026-05-01}}", {"post.created_at": "2026-05-01T00:00:00Z"}, True),
        ("{post.created_at: {lt: 2026-05-01T12:00:00+02:00}}", {"post.created_at": "2026-05-01T10:00:00Z"}, False),
        ("{post.created_at: {gte: 2026-05-01}}", {}, False),
    ],
)
def test_a_condition_holds_or_not(tmp_path: Path, match: str, post: dict[str, Any], hit: bool) -> None:
    assert (taker(table(tmp_path, match), example(post)) == "hit") is hit


@pytest.mark.parametrize(
    ("post", "rule", "destinations"),
    [
        ({"intent": "complaint", "urgent": True, "urgency": 3}, "urgent-complaints", ("helpdesk",)),
        ({"intent": "complaint", "urgency": 3}, "complaints", ("service",)),
        ({"intent": "question", "urgent": True, "urgency": 3}, "urgent-questions", ("service",)),
        ({"intent": "question", "urgency": 1}, "questions", ("service",)),
        ({"intent": "praise"}, "praise", ("marketing",)),
        ({"intent": "marketing"}, "marketing", ("marketing",)),
        ({"intent": "marketing", "post.author.own_account": True}, "own-posts", ()),
        ({"intent": "other"}, "rest", ()),
    ],
)
def test_the_shipped_routes_send_each_kind_where_it_belongs(
    post: dict[str, Any], rule: str, destinations: tuple[str, ...]
) -> None:
    (match,) = SHIPPED.route(example(post))
    assert (match.rule, match.destinations) == (rule, destinations)


def test_the_shipped_routes_have_no_fault_and_every_rule_of_them_has_examples() -> None:
    assert check_routes(None, DESTINATIONS) == []
    text = (Path(__file__).parents[2] / "route" / "routes.yaml").read_text()
    assert text.count("    examples:") == len(SHIPPED.rules)


def test_a_catastrophic_pattern_and_a_megabyte_of_text_cost_milliseconds(tmp_path: Path) -> None:
    routes = table(tmp_path, "{post.text: {matches: '(a+)+.*(a+)+$'}}")
    triage = example({"post.text": "a" * 1_000_000 + "!"})
    started = datetime.now(UTC)
    assert taker(routes, triage) == "hit"  # the first 10,000 characters are seen
    assert (datetime.now(UTC) - started).total_seconds() < 1


def test_a_lone_surrogate_in_the_text_does_not_stop_a_pattern(tmp_path: Path) -> None:
    assert taker(table(tmp_path, "{post.text: {matches: 'bag'}}"), example({"post.text": "\ud800 bag"})) == "hit"


words = st.text(max_size=40)
counts = st.integers(0, 10**7)
posts = st.builds(
    Post,
    id=st.text(min_size=1, max_size=40),
    text=words,
    event=st.sampled_from(["create", "edit", "delete"]),
    revision=counts,
    network=words,
    author=st.builds(
        Author,
        id=words,
        handle=words,
        followers=st.none() | counts,
        verified=st.booleans(),
        own_account=st.booleans(),
    ),
    brands=st.lists(words, max_size=3).map(tuple),
    engagement=st.builds(Engagement, likes=counts, replies=counts, reposts=counts),
    url=words,
    created_at=st.none() | st.datetimes(datetime(1970, 1, 2), datetime(2999, 1, 1)),
)
triages = st.builds(
    Triage,
    post=posts,
    intent=st.none() | st.sampled_from(INTENTS),
    confidence=st.floats(0, 1),
    intents=st.dictionaries(st.sampled_from(INTENTS), st.floats(0, 1)),
    sentiment=st.none() | st.sampled_from(SENTIMENTS),
    urgency=st.integers(0, 4),
    urgencies=st.dictionaries(st.integers(0, 4), st.floats(0, 1)),
    urgent=st.booleans(),
    urgency_parts=st.lists(st.builds(UrgencyPart, name=words, points=st.floats(0, 4)), max_size=3).map(tuple),
    triaged_at=st.just(datetime(2026, 5, 1, tzinfo=UTC)),
)

EVERY_FIELD = """
rules:
{rules}
  - {{name: rest, why: The rest., destinations: []}}
"""
OPERAND = {"text": "{contains: a}", "texts": "a", "number": "{gte: 1}", "yes or no": "true", "time": "{lt: 2026-01-01}"}


@pytest.fixture(scope="module")
def every_field(tmp_path_factory: pytest.TempPathFactory) -> RouteTable:
    """A rule on each field there is."""
    lines = []
    for number, field in enumerate(FIELDS.values()):
        condition = field.choices[0] if field.choices else OPERAND[field.kind]
        match = f"{{{field.path}: {condition}}}"
        lines.append(f"  - {{name: rule-{number}, why: One a field., match: {match}, destinations: [service]}}")
    path = tmp_path_factory.mktemp("routes") / "routes.yaml"
    path.write_text(EVERY_FIELD.format(rules="\n".join(lines)))
    return RouteTable.load(path, DESTINATIONS)


@given(triages)
@settings(max_examples=150, deadline=None)
def test_every_triage_is_taken_by_one_rule_the_first_whose_conditions_hold(
    every_field: RouteTable, triage: Triage
) -> None:
    for routes in (SHIPPED, every_field):
        (match,) = routes.route(triage)
        taking = [rule.match for rule in routes.rules if all(c.holds(triage) for c in rule.conditions)]
        assert match == taking[0]
        assert match in [rule.match for rule in routes.rules]

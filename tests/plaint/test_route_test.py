"""``plaint route test``: posts in, where they go out; a team's expectations; what another file would change."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from plaint.cli import cli
from tests.system.test_up import SMALL

Run = Callable[..., Result]
LABELLED: list[dict[str, Any]] = [
    {"id": "1", "intent": "complaint", "urgent": True, "urgency": 4, "text": "It smokes", "rule": "urgent-complaints"},
    {"id": 2, "intent": "question", "text": "How long?", "rule": ["service"]},
    {"id": "3", "intent": "other", "text": "A ferry", "rule": []},
    {"id": "4", "intent": "praise", "text": "Lovely", "rule": {"rule": "praise", "priority": "low"}},
    {"id": "5", "intent": "praise", "text": "No expectation"},
]
NIGHT = """\
rules:
  - name: night
    why: At night.
    match: {intent: complaint}
    active: {hours: "22:00-06:00", zone: Europe/Berlin}
    destinations: [helpdesk]
  - {name: rest, why: The rest., destinations: []}
silences:
  - {match: {post.text: {contains: outage}}, until: 2026-06-01, by: mara, why: Known.}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs it on these lines, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for name, value in SMALL.items():
        monkeypatch.setenv(name, value)

    def go(lines: list[Any], *options: str) -> Result:
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        (tmp_path / "posts.jsonl").write_text(text)
        found = CliRunner().invoke(cli, ["route", "test", "posts.jsonl", *options])
        assert found.exception is None or isinstance(found.exception, SystemExit), found.output
        return found

    return go


def objects(found: Result) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The posts and the summary of ``--json``."""
    *posts, last = (json.loads(line) for line in found.stdout.splitlines())
    return posts, last["summary"]


def test_each_post_is_told_with_rule_destinations_priority_and_reason(run: Run) -> None:
    found = run(LABELLED)
    assert found.exit_code == 0
    assert "1: urgent-complaints → helpdesk (urgent). An urgent complaint; somebody is harmed" in found.stdout
    assert "    complaint, urgency 4, urgent: It smokes" in found.stdout
    assert "3: rest → nobody. Nothing is asked of anybody" in found.stdout
    assert "5 posts\n       2 praise\n" in found.stdout
    assert "tickets: helpdesk 1, marketing 2, service 1\nunrouted: other 1\n" in found.stdout


def test_as_json_there_is_a_line_a_post_and_one_for_all(run: Run) -> None:
    posts, total = objects(run(LABELLED, "--json"))
    assert [post["id"] for post in posts] == ["1", "2", "3", "4", "5"]
    assert posts[0]["rules"] == ["urgent-complaints"]
    assert (posts[0]["destinations"], posts[0]["priority"], posts[0]["team"]) == (
        ["helpdesk"],
        "urgent",
        "first-response",
    )
    assert total["rules"] == {"urgent-complaints": 1, "questions": 1, "rest": 1, "praise": 2}
    assert (total["posts"], total["unrouted"], total["unread"]) == (5, {"other": 1}, 0)


def test_posts_without_labels_are_labelled_by_the_model(run: Run) -> None:
    posts, total = objects(run([{"id": "a", "text": "My router is dead, third time"}], "--json"))
    assert posts[0]["intent"] is not None
    assert posts[0]["rules"]
    assert total["posts"] == 1


def test_expectations_that_hold_end_well(run: Run) -> None:
    found = run(LABELLED, "--expect", "rule")
    assert found.exit_code == 0
    assert found.stdout.endswith("as expected: 4 of 4\n")


@pytest.mark.parametrize(
    ("expected", "wrong"),
    [
        ("complaints", "expected rule complaints, got urgent-complaints"),
        (["service"], "expected service, got helpdesk"),
        ([], "expected nobody, got helpdesk"),
        ({"priority": "low"}, "expected priority low, got urgent"),
        ({"rule": "urgent-complaints", "destinations": ["service"]}, "expected service, got helpdesk"),
        (7, "what is expected is no rule's name"),
        ({}, "what is expected is no rule's name"),
        ({"team": "x"}, "what is expected is no rule's name"),
    ],
)
def test_an_expectation_that_does_not_hold_is_told_and_ends_with_1(run: Run, expected: Any, wrong: str) -> None:
    found = run([{**LABELLED[0], "rule": expected}, LABELLED[1]], "--expect", "rule")
    assert found.exit_code == 1
    assert f"    WRONG: {wrong}" in found.stdout
    assert found.stdout.endswith("as expected: 1 of 2\n")


def test_a_column_that_no_line_has_is_wrong_usage(run: Run) -> None:
    found = run(LABELLED, "--expect", "rool")
    assert found.exit_code == 2
    assert 'no line has a field "rool"' in found.stderr


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"id": "1"', "line 1: is no JSON: unexpected end of data"),
        ("[1]", "line 1: is no JSON object"),
        ('{"id": "1"}', "line 1: record: Value error, text is missing"),
        ('{"intent": "praises"}', "line 1: is no post: intent: Input should be"),
        ('{"intent": "praise", "urgnet": true}', 'line 1: unknown field "urgnet"; did you mean "urgent"?'),
        ('{"intent": "praise", "urgency": "much"}', "line 1: is no post: urgency: Input should be a valid integer"),
        ('{"intent": "praise", "post": 5}', 'line 1: unknown field "post"'),
        ('{"intent": "praise", "text": "' + "x" * 600_000 + '"}', "line 1: has 600,"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_and_the_rest_goes_on(run: Run, line: str, why: str) -> None:
    found = run([line, LABELLED[0]])
    assert found.exit_code == 1
    assert found.stderr.startswith(why)
    assert "1 posts, 1 lines can't be read" in found.stdout


def test_a_byte_order_mark_in_front_is_no_part_of_the_first_post(run: Run) -> None:
    found = run([f"\ufeff{json.dumps(LABELLED[0])}", LABELLED[1]])
    assert (found.exit_code, found.stderr) == (0, "")


def test_what_classify_and_tail_write_and_columns_of_a_teams_own_are_taken(run: Run) -> None:
    triage = {
        "v": 1,
        "post": {"v": 1, "id": "p", "text": "hello", "author": {"own_account": True}},
        "intent": "marketing",
        "intents": {"marketing": 0.9},
        "urgency_parts": [{"name": "model", "points": 1.0, "why": "so"}],
        "triaged_at": "2026-05-01T00:00:00Z",
    }
    classified = {"id": 7, "intent": "praise", "confidence": 0.9, "intents": {"praise": 0.9}, "model": "minilm-5"}
    own = {"id": "o", "intent": "praise", "owner": "team b", "network": "bluesky", "brands": ["Norvik"]}
    found = run([triage, classified, own], "--json")
    posts, _ = objects(found)
    assert [post["rules"] for post in posts] == [["own-posts"], ["praise"], ["praise"]], found.stderr


def test_hours_and_silences_are_asked_at_the_time_that_the_post_or_the_option_names(run: Run, tmp_path: Path) -> None:
    (tmp_path / "night.yaml").write_text(NIGHT)
    line: dict[str, Any] = {"id": "1", "intent": "complaint", "text": "late"}

    def rule(at: str, **fields: Any) -> tuple[list[str], str]:
        (post,), _ = objects(run([{**line, **fields}], "--routes", "night.yaml", "--json", "--at", at))
        return post["rules"], post["silenced"]

    assert rule("2026-07-01T20:30") == (["night"], "")
    assert rule("2026-07-01T12:00:00+0200") == (["rest"], "")
    assert rule("2026-07-01", triaged_at="2026-07-01T12:00:00Z") == (["rest"], "")
    assert rule("2026-05-31", text="the outage")[1] == "by mara until 2026-06-01 00:00 UTC: Known."
    assert rule("2026-06-01", text="the outage")[1] == ""
    found = run([{**line, "text": "the outage"}], "--routes", "night.yaml", "--at", "2026-05-01")
    assert "night → silenced by mara until 2026-06-01 00:00 UTC: Known." in found.stdout
    assert "silenced: 1" in found.stdout


def test_against_another_file_only_what_would_change_is_shown(run: Run, tmp_path: Path) -> None:
    (tmp_path / "night.yaml").write_text(NIGHT)
    found = run(LABELLED[:3], "--against", "night.yaml", "--at", "2026-07-01T22:30")
    assert found.exit_code == 0
    assert "now   urgent-complaints → helpdesk (urgent)" in found.stdout
    assert "then  night → helpdesk (urgent)" in found.stdout
    assert "How long?" in found.stdout
    assert "A ferry" in found.stdout  # another reason, though nobody gets it either way
    assert found.stdout.endswith("changed by night.yaml: 3 of 3\n")
    (tmp_path / "night.yaml").write_text(NIGHT.replace("At night.", "In the dark."))
    (tmp_path / "same.yaml").write_text(NIGHT)
    found = run(LABELLED[:3], "--routes", "night.yaml", "--against", "same.yaml", "--at", "2026-07-01T22:30")
    assert "How long?" not in found.stdout
    assert found.stdout.endswith("changed by same.yaml: 1 of 3\n")


def test_each_rule_that_was_tried_can_be_told(run: Run) -> None:
    found = run(LABELLED[1:2], "--tried")
    assert "    - own-posts: post.author.own_account is false, wanted true\n" in found.stdout
    assert "    + questions\n" in found.stdout
    (post,), _ = objects(run(LABELLED[1:2], "--tried", "--json"))
    assert post["tried"][1] == {
        "rule": "urgent-complaints",
        "parents": [],
        "took": False,
        "unmet": 'intent is "question", wanted "complaint"',
    }


def test_a_deleted_post_is_withdrawn_everywhere(run: Run) -> None:
    found = run([{"id": "1", "intent": "other", "event": "delete"}], "--tried")
    assert "1: no rule → helpdesk, service, marketing (). deleted: withdrawn everywhere" in found.stdout


def test_nothing_in_a_post_steers_the_terminal(run: Run) -> None:
    evil = "\x1b[2J\x07\u009b31m\r\n{{ 7*7 }}"
    for form in ((), ("--json",)):
        found = run([{"id": evil, "intent": "other", "text": evil, "x": evil}], "--tried", "--expect", "x", *form)
        assert not {"\x1b", "\x07", "\u009b", "\r"} & set(found.output)
    assert json.loads(found.stdout.splitlines()[0])["id"] == evil


def test_routes_with_faults_are_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("rules:\n  - {name: a, why: b, destinations: [], match: {intnt: praise}}\n")
    with pytest.raises(Exception, match='unknown field "intnt"'):
        run(LABELLED, "--routes", "bad.yaml")


def test_without_destinations_in_the_settings_any_name_will_do(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "rules:\n  - {name: a, why: b, destinations: [desk], match: {intent: praise}, "
        "rules: [{name: c, why: d, match: {urgent: true}, destinations: [annex]}]}\n"
        "  - {name: rest, why: r, destinations: []}\n"
    )
    posts, _ = objects(run([LABELLED[3]], "--routes", "own.yaml", "--json"))
    assert posts[0]["destinations"] == ["desk"]

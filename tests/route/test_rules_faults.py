"""Every fault of a routes file is found at once, with its line, its rule, its key, what is wrong and the mend."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from route import yamlfile
from route.conditions import compile_condition
from route.fields import FIELDS
from route.proofs import Hiding, Region
from route.rules import RouteTable, check_routes
from route.yamlfile import FileInvalid
from schemas.faults import Fault

DESTINATIONS = ("helpdesk", "service")

BAD = """\
rulez: []
rules:
  - name: Urgent Ones
    why: The name has spaces and capitals.
    match:
      urgenci: {gte: 3}
      urgency: {gte: 7}
      intent: complaimt
      language: no
      post.text: {contians: refund}
    destinations: [helpdsk]
    priority: soon
  - name: night
    why: A wrong type, a wrong pattern, an unknown key.
    match:
      urgent: "yes"
      post.author.handle: {matches: "(abc"}
      confidence: {gte: 0.9, lte: 0.1}
      post.brands: []
    destination: [service]
    team: 7
  - name: all-complaints
    why: Takes more than the next one.
    match: {intent: complaint}
    destinations: [service, service]
    examples:
      - {intent: question}
      - {intents: complaint}
      - {urgency: 9}
    not_examples:
      - {intent: complaint, urgency: 1}
  - name: some-complaints
    why: Behind a rule that takes all of it.
    match: {intent: complaint, urgency: {gte: 3}}
    destinations: [service]
    examples:
      - {intent: complaint, urgency: 3}
  - name: everything
    why: No match, but not the last.
    destinations: [service]
  - just text
  - name: all-complaints
    why: The last with a match.
    match: {intent: praise}
    destinations: []
"""

FAULTS = [
    '1, rulez: unknown key "rulez"; did you mean "rules"?',
    '3, rule "Urgent Ones", name: can\'t be "Urgent Ones"; use a-z, 0-9, - and _, at most 63 characters',
    '6, rule "Urgent Ones", match.urgenci: unknown field "urgenci"; did you mean "urgency"?',
    '7, rule "Urgent Ones", match.urgency: is never 7; it lies between 0 and 4',
    '8, rule "Urgent Ones", match.intent: is never "complaimt"; did you mean "complaint"?',
    '9, rule "Urgent Ones", match.language: takes text, not false; '
    "quote it: YAML reads no, yes, on and off as true or false",
    '10, rule "Urgent Ones", match.post.text: unknown operator "contians"; did you mean "contains"?',
    '11, rule "Urgent Ones", destinations.0: undefined destination "helpdsk" used in rule "Urgent Ones"; '
    'did you mean "helpdesk"?',
    "12, rule \"Urgent Ones\", priority: can't be \"soon\"; write 'urgent', 'high', 'normal' or 'low'",
    '13, rule "night", destinations: is missing; add it: ids of the destinations that get a ticket',
    '16, rule "night", match.urgent: takes true or false, not "yes"; write true or false, without quotes',
    '17, rule "night", match.post.author.handle: not a regular expression that RE2 knows: missing ): (abc; '
    "mend the pattern",
    '18, rule "night", match.confidence: no value meets all of these bounds; mend the bounds',
    '19, rule "night", match.post.brands: an empty list, which nothing matches; '
    "name at least one value, or leave the key out",
    '20, rule "night", destination: unknown key "destination"; did you mean "destinations"?',
    '21, rule "night", team: takes text, not 7; put it in quotes',
    '25, rule "all-complaints", destinations.1: destination "service" stands twice; '
    "name it once: a post is one ticket there",
    '27, rule "all-complaints", examples.0: the rule does not take this example: intent is "question"; mend either',
    '28, rule "all-complaints", examples.1: unknown field "intents"; did you mean "intent"?',
    '29, rule "all-complaints", examples.2: is no post: urgency: Input should be less than or equal to 4; '
    "mend the value",
    '31, rule "all-complaints", not_examples.0: the rule takes this counter-example; narrow the match',
    '32, rule "some-complaints": never matches: rule "all-complaints" takes all of its posts first; '
    "put it before that rule, or narrow that one",
    '37, rule "some-complaints", examples.0: rule "all-complaints" takes this example first; '
    "change the order, or narrow that one",
    '38, rule "everything": takes every post, so that the 2 behind it never match; give it a match or put it last',
    '41, rule 6: is "just text"; write a rule: name, why, match, destinations',
    '42, rule "all-complaints", name: the name "all-complaints" stands twice, first as rule 3; '
    "give each rule a name of its own",
    '44, rule "all-complaints", match: the last rule has a match; leave its match out, so that no post falls through',
]

LAST = "  - {name: rest, why: The rest., destinations: []}\n"


def write(tmp_path: Path, text: str | bytes) -> Path:
    """A routes file with this text."""
    path = tmp_path / "bad.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def faults(tmp_path: Path, text: str | bytes) -> list[str]:
    """The faults of a routes file, as people read them."""
    return [str(fault) for fault in check_routes(write(tmp_path, text), DESTINATIONS)]


def test_every_fault_of_a_bad_file_is_listed_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    assert faults(tmp_path, BAD) == [f"bad.yaml:{fault}" for fault in FAULTS]


def test_loading_a_bad_file_raises_all_of_its_faults(tmp_path: Path) -> None:
    with pytest.raises(FileInvalid) as raised:
        RouteTable.load(write(tmp_path, BAD), DESTINATIONS)
    assert len(raised.value.faults) == len(FAULTS)
    assert raised.value.faults[7] == Fault(
        place='bad.yaml:11, rule "Urgent Ones", destinations.0',
        what='undefined destination "helpdsk" used in rule "Urgent Ones"',
        mend='did you mean "helpdesk"?',
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("rules: [", "bad.yaml:1:9: expected the node content, but found '<stream end>'; mend the YAML there"),
        (
            "rules:\n  - name: a\n   why: b\n",
            "bad.yaml:3:4: expected <block end>, but found '<block mapping start>'; mend the YAML there",
        ),
        ("rules: []\nrules: []\n", 'bad.yaml:2:1: the key "rules" stands twice; mend the YAML there'),
        ("rules:\n  - {name: a, why: b, name: c}\n", 'bad.yaml:2:23: the key "name" stands twice; mend the YAML there'),
        (
            "rules:\n  - name: {{ name }}\n",
            "bad.yaml:2:12: a key is a map or a list: put it in quotes, or fill in the template; mend the YAML there",
        ),
        ("rules: &a [*a]\n", "bad.yaml:1:8: anchors and aliases are not supported; mend the YAML there"),
        ("rules: !!python/object/apply:os.getcwd []\n", "bad.yaml:1:8: tags are not supported; mend the YAML there"),
        ("[" * 40 + "]" * 40, "bad.yaml:1:31: nested too deeply; mend the YAML there"),
        ("rules: []\n---\nrules: []\n", "bad.yaml:2:1: but found another document; mend the YAML there"),
        (
            "rules: 2026-99-99\n",
            "bad.yaml:1:8: holds a value that is none: month must be in 1..12; mend the YAML there",
        ),
        (
            "rules: \x00\n",
            "bad.yaml:1: the character U+0000 is not allowed in YAML; remove it or write it as an escape",
        ),
        ('rules: "\\ud800"\n', "bad.yaml:1:8: holds half a character (U+D800 to U+DFFF); mend the YAML there"),
        (b"rules: \xff\n", "bad.yaml: is not UTF-8 at byte 7; save it as UTF-8"),
        (b"#" * 1_048_577, "bad.yaml: has 1,048,577 bytes; keep it under 1,048,576"),
        ("", "bad.yaml: holds no list of rules; begin it with rules: and a list of them"),
        ("rules: []\n", "bad.yaml: holds no list of rules; begin it with rules: and a list of them"),
        ("- name: a\n", "bad.yaml: holds no list of rules; begin it with rules: and a list of them"),
    ],
)
def test_a_file_that_is_no_list_of_rules_in_yaml_is_refused_with_the_place(
    tmp_path: Path, text: str | bytes, fault: str
) -> None:
    assert faults(tmp_path, text) == [fault]


def test_a_missing_file_is_a_fault_and_no_traceback(tmp_path: Path) -> None:
    (fault,) = check_routes(tmp_path / "none.yaml", DESTINATIONS)
    where = tmp_path / "none.yaml"
    assert str(fault) == f"{where}: can't be read: No such file or directory; give the path of a readable file"


def test_a_pipe_to_which_nobody_writes_is_a_fault_and_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yamlfile, "PIPE_S", 0.05)
    os.mkfifo(tmp_path / "routes.yaml")
    [fault] = check_routes(tmp_path / "routes.yaml", DESTINATIONS)
    assert "can't be read: it is a pipe to which nobody has written" in str(fault)


def test_a_pipe_is_read_to_its_end_however_slowly_it_comes(tmp_path: Path) -> None:
    pipe = tmp_path / "routes.yaml"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("w") as file:
            for line in ("rules:\n", "  - {name: all, why: All., ", "destinations: [service]}\n"):
                file.write(line)
                file.flush()

    with ThreadPoolExecutor() as beside:
        writing = beside.submit(write)
        assert check_routes(pipe, DESTINATIONS) == []
        writing.result()


@pytest.mark.parametrize(
    ("place", "what"), [(".", "Is a directory"), ("/dev/null", "no list of rules"), ("/dev/zero", "keep it under")]
)
def test_a_folder_or_a_device_is_a_fault(place: str, what: str) -> None:
    [fault] = check_routes(Path(place), DESTINATIONS)
    assert what in str(fault)


@pytest.mark.parametrize(
    ("match", "fault"),
    [
        ("{urgency: '3'}", 'takes a number, not "3"; write a number, without quotes'),
        ("{urgency: true}", "takes a number, not true; write a number, without quotes"),
        ("{urgency: {gt: 4}}", "is never gt 4; it lies between 0 and 4"),
        ("{urgency: {}}", "has no operator; known are gte, lte, gt, lt, contains, matches, not"),
        ("{urgency: {contains: 3}}", "contains looks into text; this is number; name the value, or use gte or lte"),
        ("{urgent: }", "takes true or false, not nothing; write true or false, without quotes"),
        (
            "{intent: {contains: compl}}",
            "contains looks into free text; name the values: complaint, question, praise, marketing, other",
        ),
        ("{language: 5}", "takes text, not 5; put the text in quotes"),
        ("{language: {gte: a}}", "gte compares numbers and times; this is text; name the values instead"),
        ('{post.text: {contains: "\\n "}}', "takes text, not white space alone; look for that with matches"),
        ('{post.text: "\\u200b"}', "takes text, not white space alone; look for that with matches"),
        ("{post.text: {matches: 5}}", "matches takes a regular expression, not 5; put it in quotes"),
        (
            "{post.text: {matches: " + "x" * 1001 + "}}",
            "the regular expression has 1,001 characters; keep it under 1,000",
        ),
        ("{post.created_at: 2026-05-01}", "a time is never equal to another; use gte, lte, gt or lt"),
        ("{post.created_at: {gte: may}}", 'takes a time, not "may"; write it like 2026-05-01 or 2026-05-01T12:00:00Z'),
    ],
)
def test_a_condition_that_its_field_cannot_meet_is_refused(tmp_path: Path, match: str, fault: str) -> None:
    text = f"rules:\n  - {{name: a, why: b, destinations: [], match: {match}}}\n{LAST}"
    (path,) = match[1:].split(":", 1)[:1]
    assert faults(tmp_path, text) == [f'bad.yaml:2, rule "a", match.{path}: {fault}']


@pytest.mark.parametrize(
    ("wider", "narrower", "covers"),
    [
        ({"intent": "complaint"}, {"intent": "complaint", "urgent": True}, True),
        ({"intent": "complaint", "urgent": True}, {"intent": "complaint"}, False),
        ({"intent": ["complaint", "question"]}, {"intent": "question"}, True),
        ({"intent": "question"}, {"intent": ["complaint", "question"]}, False),
        ({"urgency": {"gte": 2}}, {"urgency": {"gte": 3}}, True),
        ({"urgency": {"gte": 2}}, {"urgency": {"gt": 2}}, True),
        ({"urgency": {"gt": 2}}, {"urgency": {"gte": 2}}, False),
        ({"urgency": {"gte": 2, "lte": 3}}, {"urgency": {"gte": 2}}, False),
        ({"urgency": {"gte": 2}}, {"urgency": [2, 3]}, True),
        ({"urgency": {"gte": 2}}, {"urgency": [1, 3]}, False),
        ({"urgency": {"lte": 2}}, {"urgency": {"gte": 2}}, False),
        ({"language": {"not": "en"}}, {"language": {"not": "en"}}, True),
        ({"language": {"not": "en"}}, {"language": "de"}, True),
        ({"language": {"not": "en"}}, {"language": ["de", "EN"]}, False),
        ({"language": {"not": "en"}}, {"language": {"not": ["en", "de"]}}, True),
        ({"language": {"not": ["en", "de"]}}, {"language": {"not": "en"}}, False),
        ({"urgency": {"gte": 0}}, {"intent": "complaint"}, True),
        ({"urgent": [True, False]}, {"intent": "complaint"}, True),
        ({"confidence": {"gte": 0}}, {"intent": "complaint"}, False),  # true, but not plain
        ({"intent": {"not": "praise"}}, {"intent": ["complaint", "other"]}, True),
        ({"intent": {"not": "praise"}}, {"intent": {"not": ["praise", "other"]}}, True),
        ({"post.brands": "halden"}, {"post.brands": "halden"}, True),
        ({"post.brands": {"not": "norvik"}}, {"post.brands": "halden"}, False),  # it may name both
        ({"post.brands": {"contains": "halden"}}, {"post.brands": {"contains": ["halden", "norvik"]}}, False),
        ({"post.text": {"matches": "bag"}}, {"post.text": {"matches": "bag"}}, True),
        ({"post.text": {"matches": "ba"}}, {"post.text": {"matches": "bag"}}, False),
        ({"post.text": {"matches": "."}}, {"post.text": "bag"}, False),  # true, but not plain
        ({"post.text": {"contains": "bag"}}, {"post.text": {"contains": "bag", "not": "bag"}}, True),
        ({"post.text": {"contains": "bag"}}, {"post.text": {"contains": "bags"}}, True),
        ({"post.text": {"contains": "bag"}}, {"post.text": {"contains": ["bags", "box"]}}, False),
        ({"post.text": {"contains": ["bag", "box"]}}, {"post.text": {"contains": ["bags", "boxes"]}}, True),
    ],
)
def test_a_rule_that_stands_behind_a_wider_one_is_known(
    wider: dict[str, object], narrower: dict[str, object], covers: bool
) -> None:
    first, second = (
        Region.of([compile_condition(FIELDS[path], spec) for path, spec in match.items()], ())
        for match in (wider, narrower)
    )
    assert Hiding().hidden_by(second, [first]) == ([0] if covers else [])


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "why", "match", "destinations", "intent", "gte", "examples"]), inner)
    ),
    max_leaves=12,
)


@given(st.lists(trees, min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_any_tree_in_place_of_the_rules_is_faults_and_no_traceback(
    tmp_path_factory: pytest.TempPathFactory, rules: list[object]
) -> None:
    text = yaml.safe_dump({"rules": rules}, allow_unicode=True)
    assert faults(tmp_path_factory.getbasetemp(), text)


@given(st.text(max_size=60) | st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_file_at_all_is_faults_and_no_traceback(
    tmp_path_factory: pytest.TempPathFactory, text: str | bytes
) -> None:
    assert faults(tmp_path_factory.getbasetemp(), text)

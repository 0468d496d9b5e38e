"""Labelled posts are read from whatever is on the lines, and each line that can't be used is named."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.labelled import Complaints, Form, LabelledPost, read_labelled
from schemas.faults import Fault
from schemas.labels import Intent, Sentiment


def read(*lines: bytes | dict[str, object], form: Form | None = None) -> list[LabelledPost | Fault]:
    encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return list(read_labelled(encoded, form or Form()))


def test_everything_that_is_known_of_a_post_is_kept_and_other_fields_are_passed_over() -> None:
    labels = {"intent": "praise", "sentiment": "positive", "urgency": 0, "sure": False}
    row = {"id": "1", "text": "love it", "source": "x", "language": "en", "origin": "labelled", "mood": [1], **labels}
    assert read(row) == [
        LabelledPost("love it", Intent.PRAISE, None, Sentiment.POSITIVE, 0, "x", "en", "labelled", False)
    ]
    assert read({"text": "hola", "sentiment": "neutral", "lang": "es", "intent": None}) == [
        LabelledPost("hola", sentiment=Sentiment.NEUTRAL, language="es")
    ]


@pytest.mark.parametrize(
    ("line", "what", "mend"),
    [
        (b"not json", "no JSON at column 1", "one object a line"),
        (b"\xff\xfe", "no JSON", "one object a line"),
        (b"[" * 100_000, "no JSON", "one object a line"),
        (b"[1]", "no object", "one object a line"),
        ({"intent": "other"}, 'no "text"', "leave the line out"),
        ({"text": " ", "intent": "other"}, '"text" holds no text', "leave the line out"),
        ({"text": 5, "intent": "other"}, '"text" holds no text', "leave the line out"),
        ({"text": "x"}, "no label", '"sentiment"'),
        ({"text": "x", "intent": "complant"}, '"complant" is none', '"complaint"'),
        ({"text": "x", "intent": ["complaint"]}, "is none", "known are complaint"),
        ({"text": "x", "sentiment": "bad"}, '"bad" is none', "negative"),
        ({"text": "x", "urgency": 5}, "urgency 5 is none", "0 (none) to 4"),
        ({"text": "x", "urgency": True}, "urgency true is none", "0 (none) to 4"),
        ({"text": "x", "urgency": "3"}, 'urgency "3" is none', "0 (none) to 4"),
        ({"text": "x", "urgency": 3, "sure": "yes"}, 'sure "yes" is none', "true or false"),
        ({"text": "x", "urgency": 3, "source": {}}, "source is neither", "short name"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_with_fault_and_mend_and_the_next_is_read(
    line: bytes | dict[str, object], what: str, mend: str
) -> None:
    first, found, last = read({"text": "a", "urgency": 1}, b"  \n", line, {"text": "b", "urgency": 1})
    assert first == LabelledPost("a", urgency=1)
    assert isinstance(found, Fault)
    assert found.place == "line 3"
    assert what in found.what
    assert mend in found.mend
    assert last == LabelledPost("b", urgency=1)


def test_a_mark_at_the_beginning_of_the_file_is_no_fault() -> None:
    assert read(b"\xef\xbb\xbf" + b'{"text": "x", "urgency": 1}') == [LabelledPost("x", urgency=1)]


@pytest.mark.parametrize(
    ("value", "complaint"), [(1, True), ("1", True), (1.0, True), (True, True), ("Yes", True), (0, False)]
)
def test_a_set_of_two_classes_says_which_values_are_complaints(value: object, complaint: bool) -> None:
    form = Form("tweet", Complaints.parse("label=1,yes"))
    assert read({"tweet": "x", "label": value}, form=form) == [LabelledPost("x", complaint=complaint)]


def test_a_post_without_the_field_of_a_set_of_two_classes_has_no_label() -> None:
    [fault] = read({"text": "x", "intent": "complaint"}, form=Form(complaints=Complaints.parse("label=1")))
    assert isinstance(fault, Fault)
    assert '"label"' in fault.mend


@pytest.mark.parametrize("text", ["", "label", "=1", "label=", "label= "])
def test_a_field_without_a_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="label=1"):
        Complaints.parse(text)


def test_the_name_of_a_source_is_one_line_that_a_file_can_hold() -> None:
    [post] = read(b'{"text": "x", "urgency": 1, "source": "a\\n b\\ud800"}')
    assert isinstance(post, LabelledPost)
    assert post.source == "a b\ufffd"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
FIELDS = ("text", "intent", "sentiment", "urgency", "source", "language", "origin", "sure")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON, st.booleans())
def test_any_json_is_a_post_or_a_fault(row: object, two: bool) -> None:
    form = Form(complaints=Complaints.parse("intent=1")) if two else Form()
    assert len(list(read_labelled([json.dumps(row).encode()], form))) == 1


@given(st.binary())
def test_any_bytes_are_a_post_or_a_fault(line: bytes) -> None:
    assert len(list(read_labelled([line], Form()))) <= 1

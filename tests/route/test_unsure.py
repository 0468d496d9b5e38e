"""The rule for unsure posts that the shipped routes hold as a comment."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from route.examples import example
from route.rules import SHIPPED, RouteTable, review

NAMES = ("helpdesk", "service", "marketing")


@pytest.fixture
def uncommented(tmp_path: Path) -> Path:
    """The shipped routes with that rule taken into use."""
    shipped = SHIPPED.read_text(encoding="utf-8")
    block = re.search(r"^  # - name: unsure\n(?:  # .*\n)+", shipped, re.MULTILINE)
    assert block is not None
    rule = re.sub(r"^  # ", "  ", block[0], flags=re.MULTILINE)
    file = tmp_path / "routes.yaml"
    file.write_text(shipped.replace(block[0], rule), encoding="utf-8")
    return file


def test_it_can_be_used_as_it_stands(uncommented: Path) -> None:
    assert review(uncommented, NAMES, datetime(2026, 5, 1, tzinfo=UTC), own=NAMES) == ((), ())


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"intent": "complaint", "urgent": True, "urgency": 4}, "urgent-complaints"),
        ({"intent": "question", "urgent": True, "urgency": 3}, "urgent-questions"),
        ({"intent": "complaint", "urgency": 2}, "complaints"),
        ({"intent": "praise"}, "unsure"),
        ({"intent": "other"}, "unsure"),
        ({"intent": "marketing", "post.author.own_account": True}, "own-posts"),
    ],
)
def test_what_is_urgent_goes_its_way_and_the_rest_to_a_person(
    uncommented: Path, fields: dict[str, object], rule: str
) -> None:
    table = RouteTable.load(uncommented, NAMES)
    unsure = {"unsure": True, "unsure_why": ["confidence"]}
    assert [match.rule for match in table.route(example({**fields, **unsure}))] == [rule]

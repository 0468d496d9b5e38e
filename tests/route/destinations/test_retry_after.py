"""``Retry-After`` in every form that servers write it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from route.destinations.retry_after import retry_after_s

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def seconds(value: str | None, max_s: float = 900.0) -> float:
    return retry_after_s(value, NOW.timestamp(), max_s)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, 0),
        ("", 0),
        ("0", 0),
        ("120", 120),
        ("  120 ", 120),
        ("00007", 7),
        ("99999", 900),
        ("9" * 5000, 900),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("१२", 0),
        ("1e9", 0),
        ("Mon, 99 Foo 2026", 0),
        ("120, 240", 0),
    ],
)
def test_numbers_and_what_is_none(value: str | None, expected: float) -> None:
    assert seconds(value) == expected


def test_a_date() -> None:
    assert seconds(format_datetime(NOW + timedelta(seconds=90), usegmt=True)) == 90


def test_a_date_in_the_past_is_now() -> None:
    assert seconds(format_datetime(NOW - timedelta(days=1), usegmt=True)) == 0


def test_a_date_far_away_is_clamped() -> None:
    assert seconds("Fri, 31 Dec 9999 23:59:59 GMT") == 900


def test_the_obsolete_forms_of_dates() -> None:
    assert seconds("Sunday, 01-Mar-26 12:01:30 GMT") == 90
    assert seconds("Sun Mar  1 12:01:30 2026") == 90


def test_a_date_with_another_zone() -> None:
    assert seconds("Sun, 01 Mar 2026 13:01:00 +0100") == 60

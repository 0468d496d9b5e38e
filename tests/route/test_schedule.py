"""Hours of rules: on the wall clock of their zone, at the time of the record, whenever that is read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from route.operators import ConditionInvalid
from route.schedule import Schedule, Window, never_in_force, read_windows
from tests.route.routing import faults, load, post, takers

BERLIN = "Europe/Berlin"


def window(**given: Any) -> Window:
    (found,) = read_windows({"zone": BERLIN, **given})
    return found


def berlin(text: str, fold: int = 0) -> datetime:
    """A time on the clock of Berlin; ``fold`` 1 is the second time that an hour comes."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN), fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("given", "time", "holds"),
    [
        ({"hours": "09:00-17:30"}, "2026-05-04T09:00", True),
        ({"hours": "09:00-17:30"}, "2026-05-04T08:59:59", False),
        ({"hours": "09:00-17:30"}, "2026-05-04T17:29:59", True),
        ({"hours": "09:00-17:30"}, "2026-05-04T17:30", False),
        ({"hours": ["09:00-12:00", "13:00-17:00"]}, "2026-05-04T12:30", False),
        ({"hours": ["09:00-12:00", "13:00-17:00"]}, "2026-05-04T13:00", True),
        ({"hours": "9:00 - 24:00"}, "2026-05-04T23:59", True),
        ({"hours": "00:00-24:00"}, "2026-05-04T00:00", True),
        ({"hours": "22:00-06:00"}, "2026-05-04T23:00", True),
        ({"hours": "22:00-06:00"}, "2026-05-05T05:59", True),
        ({"hours": "22:00-06:00"}, "2026-05-05T06:00", False),
        ({"hours": "22:00-06:00", "days": "fri"}, "2026-05-08T23:00", True),
        ({"hours": "22:00-06:00", "days": "fri"}, "2026-05-09T03:00", True),  # the night that began on Friday
        ({"hours": "22:00-06:00", "days": "fri"}, "2026-05-08T03:00", False),
        ({"hours": "22:00-06:00", "dates": "2026-12-31"}, "2027-01-01T03:00", True),
        ({"days": "mon-fri"}, "2026-05-08T12:00", True),
        ({"days": "mon-fri"}, "2026-05-09T12:00", False),
        ({"days": "Sat - Mon"}, "2026-05-11T12:00", True),
        ({"days": ["tue", "thu"]}, "2026-05-06T12:00", False),
        ({"dates": ["2026-12-24 to 2027-01-01", "2026-05-01"]}, "2027-01-01T23:59", True),
        ({"dates": ["2026-12-24 to 2027-01-01", "2026-05-01"]}, "2027-01-02T00:00", False),
        # Clocks go from 02:00 to 03:00 on 2026-03-29, and from 03:00 back to 02:00 on 2026-10-25.
        ({"hours": "02:00-03:00"}, "2026-03-29T01:59:59", False),
        ({"hours": "02:00-03:00"}, "2026-03-29T03:00", False),
        ({"hours": "22:00-02:30"}, "2026-03-29T03:00", False),
        ({"hours": "09:00-17:00"}, "2026-03-29T09:00", True),
        ({"hours": "09:00-17:00"}, "2026-10-25T09:00", True),
        ({"hours": "02:00-03:00"}, "2026-10-25T02:30", True),
    ],
)
def test_a_time_lies_in_a_window_or_not(given: dict[str, Any], time: str, holds: bool) -> None:
    assert window(**given).holds(berlin(time)) is holds


def test_an_hour_that_comes_twice_is_in_the_window_twice_and_one_that_is_skipped_never_comes() -> None:
    night = window(hours="02:00-03:00")
    twice = [berlin("2026-10-25T02:30", fold) for fold in (0, 1)]
    assert twice[1] - twice[0] == timedelta(hours=1)
    assert all(map(night.holds, twice))
    minutes = (datetime(2026, 3, 29, tzinfo=UTC) + timedelta(minutes=number) for number in range(300))
    assert not any(map(night.holds, minutes))


def test_the_clock_is_that_of_the_zone_and_not_of_the_record() -> None:
    office = window(hours="09:00-17:00")
    assert office.holds(datetime(2026, 1, 5, 8, tzinfo=UTC))  # 09:00 in winter
    assert not office.holds(datetime(2026, 1, 5, 16, tzinfo=UTC))
    assert office.holds(datetime(2026, 7, 6, 7, tzinfo=UTC))  # 09:00 in summer
    assert not office.holds(datetime(2026, 7, 6, 15, tzinfo=UTC))


def test_quiet_hours_are_left_out_of_the_active_ones() -> None:
    schedule = Schedule((window(days="mon-fri"),), (window(dates="2026-12-25"), window(hours="12:00-13:00")))
    assert schedule.holds(berlin("2026-12-24T10:00"))
    assert not schedule.holds(berlin("2026-12-24T12:30"))
    assert not schedule.holds(berlin("2026-12-25T10:00"))  # a Friday
    assert not schedule.holds(berlin("2026-12-26T10:00"))
    assert schedule.words() == (
        "active mon, tue, wed, thu, fri Europe/Berlin, quiet 2026-12-25 Europe/Berlin, quiet 12:00-13:00 Europe/Berlin"
    )


@pytest.mark.parametrize("moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Niue", "UTC"])
def test_the_ends_of_the_calendar_are_times_like_any_other(moment: datetime, zone: str) -> None:
    for times in ({"hours": "22:00-06:00"}, {"days": "mon"}, {"dates": "2026-01-01"}, {"hours": "23:59-00:01"}):
        (found,) = read_windows({"zone": zone, **times})
        assert found.holds(moment) in (True, False)


RULES = """\
  - name: night
    why: At night the watch is on duty.
    match: {intent: complaint}
    active: {hours: "22:00-06:00", zone: Europe/Berlin}
    destinations: [helpdesk]
  - name: day
    why: By day the desk is.
    match: {intent: complaint}
    destinations: [service]
"""


def test_a_rule_outside_its_hours_leaves_the_post_to_the_next_one(tmp_path: Path) -> None:
    table = load(tmp_path, RULES)
    assert takers(table, post(intent="complaint", triaged_at="2026-07-01T20:00:00Z")) == ["night"]
    assert takers(table, post(intent="complaint", triaged_at="2026-07-01T19:59:59Z")) == ["day"]


def test_the_hours_are_asked_of_the_record_so_that_it_gives_the_same_tickets_whenever_it_is_read(
    tmp_path: Path,
) -> None:
    table = load(tmp_path, RULES)
    old = post(intent="complaint", triaged_at="2001-01-01T03:00:00Z", post__received_at="2001-01-01T12:00:00Z")
    assert takers(table, old) == ["night"]


def test_an_example_without_a_time_is_tried_in_the_hours_of_its_rule_and_outside_of_those_of_others(
    tmp_path: Path,
) -> None:
    rules = RULES.replace("    destinations: [", "    examples: [{intent: complaint}]\n    destinations: [")
    assert faults(tmp_path, rules) == []


def test_an_example_with_a_time_is_tried_at_that_time(tmp_path: Path) -> None:
    at_noon = "examples: [{intent: complaint, triaged_at: 2026-07-01T12:00:00Z}]"
    at_midnight = "examples: [{intent: complaint, triaged_at: 2026-07-01T22:00:00Z}]"
    rules = RULES.replace("    destinations: [h", f"    {at_noon}\n    destinations: [h")
    rules = rules.replace("    destinations: [s", f"    {at_midnight}\n    destinations: [s")
    assert faults(tmp_path, rules) == [
        '6, rule "night", examples.0: the rule does not take this example: '
        "at Wed 2026-07-01 14:00 Europe/Berlin it is not in force; mend either",
        '11, rule "day", examples.0: rule "night" takes this example first; change the order, or narrow that one',
    ]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (
            '"22:00-06:00"',
            'takes hours, days, dates and a zone, not "22:00-06:00"; write it like {hours: "09:00-17:30"',
        ),
        ("{}", "names no hours, days or dates; write it like"),
        ("[]", "holds no time; name one to 400, or leave it out"),
        ("{zone: UTC}", "names no hours, days or dates; write it like"),
        ('{hours: "22:00-06:00"}', "has no zone; add it, such as zone: Europe/Berlin, or zone: UTC"),
        ('{hours: "22:00-06:00", zone: Europe/Berlyn}', 'no time zone "Europe/Berlyn"; did you mean "Europe/Berlin"?'),
        ('{hours: "22:00-06:00", zone: ../../etc/passwd}', 'there is no time zone "../../etc/passwd"; '),
        ('{hours: "22:00-06:00", zone: 3}', "there is no time zone 3; "),
        ("{hours: 22:00, zone: UTC}", 'hours can\'t be 1320; write them like "09:00-17:30"'),
        ('{hours: "9-17", zone: UTC}', 'hours can\'t be "9-17"; write them like'),
        ('{hours: "09:00-25:00", zone: UTC}', 'hours can\'t be "09:00-25:00"; write them like'),
        (
            '{hours: "09:00-09:00", zone: UTC}',
            'hours "09:00-09:00" begin where they end; leave hours out for whole days',
        ),
        ("{hours: [], zone: UTC}", "hours has 0 items; name one to 400, or leave it out"),
        ("{days: monday, zone: UTC}", 'there is no day "monday"; did you mean "mon"?'),
        ("{days: 1, zone: UTC}", "days can't be 1; write them like mon, mon-fri or [sat, sun]"),
        ("{days: mon-wed-fri, zone: UTC}", 'days can\'t be "mon-wed-fri"; write them like'),
        ("{dates: 2026-13-01, zone: UTC}", 'dates can\'t be "2026-13-01"; write them like 2026-12-25'),
        ("{dates: 2026-05-02 to 2026-05-01, zone: UTC}", "end before they begin; mend the order"),
        ("{dates: 2026-05-02T10:00:00Z, zone: UTC}", "dates can't be 2026-05-02 10:00:00+00:00; write them like"),
        ('{ours: "22:00-06:00", zone: UTC}', 'unknown key "ours"; did you mean "hours"?'),
    ],
)
@pytest.mark.parametrize("key", ["active", "quiet"])
def test_a_time_that_is_none_is_refused_with_its_place(tmp_path: Path, key: str, given: str, fault: str) -> None:
    rules = f"  - {{name: a, why: w, match: {{intent: complaint}}, destinations: [], {key}: {given}}}\n"
    (found,) = faults(tmp_path, rules) or [""]
    if "2026-13-01" in given:  # YAML takes it for a date before anybody can
        assert "holds a value that is none: month must be in 1..12" in found
    else:
        assert found.startswith(f'2, rule "a", {key}: ')
        assert fault in found


@pytest.mark.parametrize(
    ("active", "quiet", "never"),
    [
        ({"hours": "09:00-17:00"}, {"hours": "08:00-18:00"}, True),
        ({"hours": "09:00-17:00"}, {"hours": "10:00-18:00"}, False),
        ({"hours": "22:00-06:00"}, {"hours": ["22:00-24:00", "00:00-06:00"]}, True),
        ({"hours": "22:00-06:00", "days": "fri"}, {"days": "fri"}, False),  # it goes on into Saturday
        ({"hours": "22:00-06:00", "days": "fri"}, {"days": ["fri", "sat"]}, True),
        ({"hours": "22:00-06:00", "days": "fri"}, {"days": "sat"}, False),
        ({"days": "mon-fri"}, {"days": ["mon", "tue-fri"]}, True),
        ({"days": "mon-fri"}, {"days": "mon-fri", "zone": "UTC"}, False),  # surely on the edges of a day
        ({"days": "mon"}, {"dates": "2026-05-04"}, False),
    ],
)
def test_hours_that_never_come_are_known_where_it_is_plain(
    active: dict[str, Any], quiet: dict[str, Any], never: bool
) -> None:
    assert never_in_force([Schedule((window(**active),), (window(**quiet),))]) is never


def test_a_rule_whose_hours_never_come_is_a_fault(tmp_path: Path) -> None:
    rules = (
        "  - {name: a, why: w, match: {intent: complaint}, destinations: [], "
        "active: {days: sat, zone: UTC}, quiet: {days: sat-sun, zone: UTC}}\n"
    )
    assert faults(tmp_path, rules) == [
        '2, rule "a": never matches: no post meets all that it asks of triaged_at; mend the conditions'
    ]


spans = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda span: span[0] != span[1])
windows = st.builds(
    Window,
    st.just(BERLIN),
    st.lists(spans, max_size=2).map(tuple),
    st.frozensets(st.integers(0, 6), max_size=3),
)
schedules = st.builds(Schedule, st.lists(windows, max_size=2).map(tuple), st.lists(windows, max_size=2).map(tuple))


@given(st.lists(schedules, min_size=1, max_size=2), st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)))
def test_hours_that_are_said_to_never_come_never_do(found: list[Schedule], moment: datetime) -> None:
    if never_in_force(found):
        assert not all(schedule.holds(moment.replace(tzinfo=UTC)) for schedule in found)


def test_read_windows_refuses_a_flood() -> None:
    with pytest.raises(ConditionInvalid, match="too many"):
        read_windows([{"days": "mon", "zone": "UTC"}] * 401)

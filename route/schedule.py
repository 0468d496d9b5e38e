"""When a rule is in force: hours, days and dates on the clock of a time zone.

    active: {hours: "09:00-17:30", days: mon-fri, zone: Europe/Berlin}    only then
    quiet: {dates: [2026-12-25, 2026-12-26], zone: Europe/Berlin}         not then; a list of either: any of them

A record that is read again must give the same tickets. So the clock is the record's own, ``triaged_at``, never that of
the machine that routes. It is read on the wall of the zone: an hour that a change of clocks skips never comes, one that
it repeats comes twice.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from route.operators import ConditionInvalid
from schemas.faults import one_of, shown

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_KEYS = ("hours", "days", "dates", "zone")
_HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*(?:([01]?\d|2[0-3]):([0-5]\d)|24:00)", re.ASCII)
_DAY_MINUTES = 24 * 60
_MAX_ITEMS = 400


@dataclass(frozen=True, slots=True)
class Window:
    """Times of a week or a calendar on the wall clock of ``zone``; what is empty says nothing.

    ``hours``: (first minute of the day, minute after the last); a span that ends before it begins goes past midnight and
    belongs to the day on which it began. ``days``: 0 is Monday. ``dates``: first and last day of each span.
    """

    zone: str
    hours: tuple[tuple[int, int], ...] = ()
    days: frozenset[int] = frozenset()
    dates: tuple[tuple[date, date], ...] = ()

    def holds(self, moment: datetime) -> bool:
        """Whether ``moment``, which knows its zone, lies in it."""
        local = _local(moment, self.zone)
        today = local.date()
        yesterday = today - timedelta(1) if today > date.min else today
        begun = self._begun(local.hour * 60 + local.minute)
        return any(self._has_day(today if days == 0 else yesterday) for days in begun)

    def at(self, weekday: int, minute: int) -> bool:
        """The same for a time of the week, of a window without dates."""
        return any(not self.days or (weekday + days) % 7 in self.days for days in self._begun(minute))

    def _begun(self, minute: int) -> list[int]:
        """Days from today, 0 or -1, on which the spans began that hold this minute of the day."""
        if not self.hours:
            return [0]
        found = []
        for first, end in self.hours:
            if first < end and first <= minute < end:
                found.append(0)
            elif first > end and (minute >= first or minute < end):
                found.append(0 if minute >= first else -1)
        return found

    def _has_day(self, day: date) -> bool:
        in_week = not self.days or day.weekday() in self.days
        return in_week and (not self.dates or any(first <= day <= last for first, last in self.dates))

    def words(self) -> str:
        """For people: ``22:00-06:00 mon, tue Europe/Berlin``."""
        hours = ", ".join(f"{_clock(first)}-{_clock(end)}" for first, end in self.hours)
        days = ", ".join(DAYS[day] for day in sorted(self.days))
        dates = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in self.dates)
        return " ".join(part for part in (hours, days, dates, self.zone) if part)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a rule is in force: in one of ``active`` if there are any, and in none of ``quiet``."""

    active: tuple[Window, ...] = ()
    quiet: tuple[Window, ...] = ()

    def holds(self, moment: datetime) -> bool:
        """Whether the rule is in force at ``moment``."""
        if self.active and not any(window.holds(moment) for window in self.active):
            return False
        return not any(window.holds(moment) for window in self.quiet)

    def words(self) -> str:
        """For people: ``active 09:00-17:30 Europe/Berlin, quiet sun Europe/Berlin``."""
        kinds = (("active", self.active), ("quiet", self.quiet))
        return ", ".join(f"{kind} {window.words()}" for kind, windows in kinds for window in windows)

    def clock(self, moment: datetime) -> str:
        """``moment`` on the clock of its first zone, for people."""
        (window, *_) = (*self.active, *self.quiet)
        return f"{_local(moment, window.zone):%a %Y-%m-%d %H:%M} {window.zone}"


def never_in_force(schedules: Iterable[Schedule]) -> bool:
    """Whether there is surely no time at which all of these are in force; False where that isn't plain."""
    found = list(schedules)
    windows = [window for schedule in found for window in (*schedule.active, *schedule.quiet)]
    if len(windows) < 2 or len({window.zone for window in windows}) > 1 or any(window.dates for window in windows):
        return False
    return not any(
        all(_in_force(schedule, weekday, minute) for schedule in found)
        for weekday in range(7)
        for minute in _turns(windows)
    )


def _in_force(schedule: Schedule, weekday: int, minute: int) -> bool:
    active = not schedule.active or any(window.at(weekday, minute) for window in schedule.active)
    return active and not any(window.at(weekday, minute) for window in schedule.quiet)


def _turns(windows: Sequence[Window]) -> set[int]:
    """The minutes of a day at which anything can change."""
    return {0} | {minute % _DAY_MINUTES for window in windows for span in window.hours for minute in span}


def read_windows(given: Any) -> tuple[Window, ...]:
    """``active`` or ``quiet`` as it stands in the file: a window or a list of them. Raises ConditionInvalid."""
    items = given if isinstance(given, list) else [given]
    if not items or len(items) > _MAX_ITEMS:
        raise ConditionInvalid(
            "holds no time" if not items else "holds too many times", "name one to 400, or leave it out"
        )
    return tuple(_window(item) for item in items)


def _window(given: Any) -> Window:
    if not isinstance(given, dict):
        raise ConditionInvalid(f"takes hours, days, dates and a zone, not {shown(given)}", _example())
    for key in given:
        if key not in _KEYS:
            raise ConditionInvalid(f"unknown key {shown(key)}", one_of(str(key), _KEYS))
    if not given.keys() & {"hours", "days", "dates"}:
        raise ConditionInvalid("names no hours, days or dates", _example())
    return Window(
        zone=_zone(given.get("zone")),
        hours=tuple(_hours(item) for item in _items(given, "hours")),
        days=frozenset(day for item in _items(given, "days") for day in _days(item)),
        dates=tuple(_dates(item) for item in _items(given, "dates")),
    )


def _example() -> str:
    return 'write it like {hours: "09:00-17:30", days: mon-fri, zone: Europe/Berlin}'


def _items(given: dict[str, Any], key: str) -> list[Any]:
    if key not in given:
        return []
    items = given[key] if isinstance(given[key], list) else [given[key]]
    if not items or len(items) > _MAX_ITEMS:
        raise ConditionInvalid(f"{key} has {len(items)} items", f"name one to {_MAX_ITEMS}, or leave it out")
    return items


def _zone(given: Any) -> str:
    if given is None:
        raise ConditionInvalid("has no zone", "add it, such as zone: Europe/Berlin, or zone: UTC")
    if not isinstance(given, str) or given not in _zones():
        raise ConditionInvalid(f"there is no time zone {shown(given)}", one_of(str(given)[:60], sorted(_likely())))
    return given


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _likely() -> set[str]:
    """What a person may have meant: few enough to be listed if nothing is near."""
    return {name for name in _zones() if name.startswith("Europe/")} | {"UTC", "America/New_York", "Asia/Tokyo"}


@cache
def _at(zone: str) -> ZoneInfo:
    return ZoneInfo(zone)


def _local(moment: datetime, zone: str) -> datetime:
    try:
        return moment.astimezone(_at(zone))
    except OverflowError:  # within a day of the calendar's end, where no zone can be applied
        return moment


def _hours(given: Any) -> tuple[int, int]:
    found = _HOURS.fullmatch(given.strip()) if isinstance(given, str) else None
    if found is None:
        raise ConditionInvalid(
            f"hours can't be {shown(given)}", 'write them like "09:00-17:30" or "22:00-06:00", in quotes'
        )
    first = int(found[1]) * 60 + int(found[2])
    end = _DAY_MINUTES if found[3] is None else int(found[3]) * 60 + int(found[4])
    if first == end:
        raise ConditionInvalid(f"hours {shown(given)} begin where they end", "leave hours out for whole days")
    return first, end


def _days(given: Any) -> list[int]:
    names = str(given).casefold().replace(" ", "").split("-") if isinstance(given, str) else []
    for name in names:
        if name not in DAYS:
            raise ConditionInvalid(f"there is no day {shown(name)}", one_of(name, DAYS))
    if not names or len(names) > 2:
        raise ConditionInvalid(f"days can't be {shown(given)}", "write them like mon, mon-fri or [sat, sun]")
    first, last = DAYS.index(names[0]), DAYS.index(names[-1])
    return [day % 7 for day in range(first, last + 1 + (7 if last < first else 0))]


def _dates(given: Any) -> tuple[date, date]:
    parts = [given] if isinstance(given, date) else str(given).split(" to ")
    try:
        days = [part if isinstance(part, date) else date.fromisoformat(part.strip()) for part in parts]
    except ValueError:
        days = []
    if len(days) not in (1, 2) or any(isinstance(day, datetime) for day in days):
        raise ConditionInvalid(
            f"dates can't be {shown(given)}", "write them like 2026-12-25 or 2026-12-24 to 2027-01-01"
        )
    if days[-1] < days[0]:
        raise ConditionInvalid(f"dates {shown(given)} end before they begin", "mend the order")
    return days[0], days[-1]


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"

"""Files of routes as accidents leave them: each is used, or refused with faults that name their lines; never a traceback."""

import copy
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from route.fields import FIELDS
from route.rules import SHIPPED, RouteTable, check_routes
from route.tickets import tickets_for
from tests.route.routing import DESTINATIONS, post, write

FULL = """\
rules:
  - name: archive
    why: The archive keeps all of Norvik.
    match: {post.brands: norvik}
    continue: true
    destinations: [archive]
  - name: complaints
    why: A complaint.
    match: {intent: complaint, confidence: {gte: 0.2}, post.created_at: {gte: 2020-01-01}}
    active: [{hours: "09:00-17:30", days: mon-fri, zone: Europe/Berlin}]
    quiet: {dates: 2026-12-24 to 2027-01-01, zone: Europe/Berlin}
    destinations: [service]
    priority: low
    team: care
    labels: [angry]
    examples:
      - {intent: complaint, post.created_at: 2026-01-01}
    not_examples:
      - {intent: praise}
    rules:
      - name: broken
        why: Something is broken.
        match: {post.text: {contains: [broken, dead], not: dead, matches: "brok(en)?"}}
        destinations: [helpdesk]
  - name: rest
    why: The rest.
    destinations: []
silences:
  - match: {post.text: {contains: outage}}
    from: 2026-05-01T10:00:00+02:00
    until: 2026-05-01T18:00:00+02:00
    by: mara
    why: The outage is known.
"""
TEXTS = [SHIPPED.read_text(), FULL]
SLIPS = ["", "\n", " ", "\t", ":", "- ", "{", "}", "[", '"', "'", "#", "&a ", "*a", "!!int ", "0"]
WORLD = [
    post(intent=intent, urgency=2, post__text="the outage left it dead and broken", triaged_at="2026-05-01T12:00:00Z")
    for intent in ("complaint", "question", "praise", "other")
]
PLACE = re.compile(r"routes\.yaml(:\d+(:\d+)?)?(, .*)?", re.DOTALL)
WHOLE_FILE = ("holds no list of rules", "can't be read", "is not UTF-8", "has ")


def survives(folder: Path, text: str | bytes) -> bool:
    """Check the file, and use it if it has no fault; whether it was used."""
    path = write(folder, "")
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    found = check_routes(path, DESTINATIONS)
    lines = path.read_bytes().count(b"\n") + 1
    for fault in found:
        assert fault.what
        assert fault.mend
        at = PLACE.fullmatch(fault.place)
        assert at, fault
        assert at[1] or fault.what.startswith(WHOLE_FILE), fault
        assert at[1] is None or 1 <= int(at[1].split(":")[1]) <= lines, fault
    if found:
        return False
    table = RouteTable.load(path, DESTINATIONS)
    for triage in WORLD:
        tickets_for(triage, table)
        assert table.trace(triage)[-1].took
    return True


def test_the_files_that_are_mutated_are_sound(tmp_path: Path) -> None:
    assert all(survives(tmp_path, text) for text in TEXTS)


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_a_file_with_a_slip_of_the_hand_is_used_or_refused_with_lines(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = data.draw(st.sampled_from(TEXTS))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        upto = data.draw(st.integers(at, min(len(text), at + 12)))
        typed = data.draw(st.sampled_from(SLIPS) | st.text(max_size=5))
        text = text[:at] + typed + text[upto:]
    survives(tmp_path_factory.getbasetemp(), text)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_file_with_lines_moved_doubled_or_lost_is_used_or_refused_with_lines(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lines = data.draw(st.sampled_from(TEXTS)).splitlines(keepends=True)
    for _ in range(data.draw(st.integers(1, 4))):
        taken = lines.pop(data.draw(st.integers(0, len(lines) - 1)))
        for _ in range(data.draw(st.integers(0, 2))):
            lines.insert(data.draw(st.integers(0, len(lines))), taken)
    survives(tmp_path_factory.getbasetemp(), "".join(lines))


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.datetimes()
    | st.binary(max_size=4)
    | st.sampled_from(["complaint", "9" * 400, -1, 1e400, "mon-fri", "22:00-06:00", "UTC", "(a+)+$", "(" * 60])
)
keys = st.sampled_from([*FIELDS, "gte", "lt", "not", "matches", "contains", "hours", "days", "dates", "zone", "rules"])
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)


def _paths(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        found += _paths(value, (*path, key))
    return found


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_file_with_anything_in_any_place_is_used_or_refused_with_lines(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    routes = copy.deepcopy(data.draw(st.sampled_from([yaml.safe_load(text) for text in TEXTS])))
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(_paths(routes)[1:]))
        place = routes
        for step in way:
            place = place[step]
        place[last] = data.draw(trees)
        if not isinstance(routes, dict) or not _paths(routes)[1:]:
            break
    survives(tmp_path_factory.getbasetemp(), yaml.safe_dump(routes, allow_unicode=True))


def _laughs() -> str:
    levels = "\n".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]" for n in range(1, 12))
    return f"b0: &b0 [lol]\n{levels}\nrules: *b11\n"


BOMBS = {
    "aliases that stand for a billion": _laughs(),
    "an alias to itself": "rules: &a\n  - *a\n",
    "a merge key": "rules:\n  - &r {name: a, why: b, destinations: []}\n  - <<: *r\n",
    "brackets without end": "rules: " + "[" * 300_000,
    "maps without end": "rules: " + "{a: " * 100_000,
    "rules in rules": "rules:\n" + "".join(f"{'    ' * n}  - name: r{n}\n{'    ' * n}    rules:\n" for n in range(200)),
    "a key of a megabyte": "rules: {" + "a" * 1_000_000 + ": 1}",
    "a value of a megabyte": "rules: '" + "a" * 1_000_000 + "'",
    "a number of a megabyte": "rules: " + "9" * 1_000_000,
    "more values than anybody writes": "rules: [" + "1," * 51_000 + "1]",
    "more rules than anybody reads": "rules:\n" + "- a\n" * 5_000,
    "more bytes than anybody types": "#" * 3_000_000,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_file_that_is_out_to_hurt_is_refused_in_bounded_time(tmp_path: Path, bomb: str) -> None:
    started = time.process_time()
    assert not survives(tmp_path, BOMBS[bomb])
    assert time.process_time() - started < 20


def test_hundreds_of_rules_are_checked_in_bounded_time(tmp_path: Path) -> None:
    rules = "".join(
        f"  - {{name: r{n}, why: w, match: {{intent: complaint, urgency: {n % 5}, post.text: {{contains: w{n}w}}}}, "
        "destinations: []}\n"
        for n in range(299)
    )
    started = time.process_time()
    assert survives(tmp_path, f"rules:\n{rules}  - {{name: rest, why: w, destinations: []}}\n")
    assert time.process_time() - started < 30


def test_of_many_faults_two_hundred_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, "rules:\n" + "  - {}\n" * 500)
    found = check_routes(path, DESTINATIONS)
    assert len(found) == 201
    assert str(found[-1]).startswith("routes.yaml: has 1,")
    assert str(found[-1]).endswith(" faults more; mend these 200 first")

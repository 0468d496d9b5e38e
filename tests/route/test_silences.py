"""Silences: who silences, why and until when; what a silenced post still gets."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from route.rules import RouteTable, review
from route.tickets import tickets_for
from route.trial import routed
from schemas.reasons import DropReason
from schemas.ticket import Ticket
from schemas.triage import Triage
from tests.route.routing import DESTINATIONS, post, write

RULES = """\
rules:
  - {name: complaints, why: A complaint., match: {intent: complaint}, destinations: [helpdesk]}
  - {name: rest, why: The rest., destinations: []}
"""
SILENCES = """\
silences:
  - match: {post.text: {contains: outage}}
    from: 2026-05-01T10:00:00+02:00
    until: 2026-05-01T18:00:00+02:00
    by: mara
    why: The outage is known.
"""


@pytest.fixture
def table(tmp_path: Path) -> RouteTable:
    return RouteTable.load(write(tmp_path, RULES + SILENCES), DESTINATIONS)


def complaint(at: str, **fields: object) -> Triage:
    return post(intent="complaint", triaged_at=at, **{"post__text": "an outage again", **fields})


@pytest.mark.parametrize(
    ("at", "silenced"),
    [
        ("2026-05-01T07:59:59Z", False),
        ("2026-05-01T08:00:00Z", True),
        ("2026-05-01T15:59:59Z", True),
        ("2026-05-01T16:00:00Z", False),
    ],
)
def test_a_post_that_is_triaged_while_a_silence_holds_gets_no_ticket(
    table: RouteTable, at: str, silenced: bool
) -> None:
    found, drop = tickets_for(complaint(at), table)
    assert (drop == DropReason.SILENCED) is silenced
    assert len(found) == (0 if silenced else 1)


def test_a_silence_that_has_expired_since_silences_a_record_that_is_read_again(table: RouteTable) -> None:
    again = [tickets_for(complaint("2026-05-01T12:00:00Z"), table) for _ in range(2)]
    assert again == [([], DropReason.SILENCED)] * 2


def test_other_posts_are_not_silenced(table: RouteTable) -> None:
    (ticket,), drop = tickets_for(complaint("2026-05-01T12:00:00Z", post__text="late again"), table)
    assert (ticket.destination, drop) == ("helpdesk", None)


def test_a_silenced_edit_leaves_the_ticket_as_it_is_and_a_delete_is_withdrawn_all_the_same(table: RouteTable) -> None:
    edit = complaint("2026-05-01T12:00:00Z", post__event="edit", post__revision=1)
    assert tickets_for(edit, table) == ([], DropReason.SILENCED)
    delete = complaint("2026-05-01T12:00:00Z", post__event="delete", post__revision=2)
    found, drop = tickets_for(delete, table)
    assert [ticket.op for ticket in found] == ["withdraw"] * len(DESTINATIONS)
    assert drop is None


def test_of_a_silenced_post_it_is_said_who_silences_it_until_when_and_why(table: RouteTable) -> None:
    found = routed(table, complaint("2026-05-01T12:00:00Z"))
    assert (found.kind, found.destinations) == ("silenced", ())
    assert found.silenced == "by mara until 2026-05-01 18:00 UTC+02:00: The outage is known."
    assert routed(table, complaint("2026-06-01T12:00:00Z")).destinations == ("helpdesk",)


def test_a_ticket_knows_nothing_of_silences() -> None:
    assert not {name for name in Ticket.model_fields if "silence" in name}


@pytest.mark.parametrize(
    ("silence", "fault"),
    [
        ("{}", "match: is missing; add it: conditions by dotted field; all must hold"),
        ("{match: {}, until: 2026-05-01, by: m, why: w}", "match: dictionary should have at least 1 item"),
        ("{match: {intent: complaint}, by: m, why: w}", "until: is missing; add it: when it expires"),
        ("{match: {intent: complaint}, until: soon, by: m, why: w}", "until: "),
        (
            "{match: {intent: complaint}, until: 5, by: m, why: w}",
            "until: takes a time, not 5; write it like 2026-06-01",
        ),
        ("{match: {intent: complaint}, until: 2026-05-01, why: w}", "by: is missing; add it: who silences"),
        ("{match: {intent: complaint}, until: 2026-05-01, by: m}", "why: is missing; add it: the reason"),
        (
            "{match: {intent: complaimt}, until: 2026-05-01, by: m, why: w}",
            'match.intent: is never "complaimt"; did you',
        ),
        ("{match: {intnt: praise}, until: 2026-05-01, by: m, why: w}", 'match.intnt: unknown field "intnt"; did you'),
        (
            "{match: {intent: praise}, util: 2026-05-01, by: m, why: w}",
            'util: unknown key "util"; did you mean "until"?',
        ),
        (
            "{match: {intent: praise}, from: 2026-05-02, until: 2026-05-01, by: m, why: w}",
            "until: is not after its from; mend either",
        ),
        (
            "{match: {intent: {not: [complaint, praise], gte: 3}}, until: 2026-05-01, by: m, why: w}",
            "match.intent: gte compares numbers and times; this is text; name the values instead",
        ),
        ("just text", 'is "just text"; write a silence: match, until, by, why'),
    ],
)
def test_a_silence_with_a_fault_is_refused_with_its_place(tmp_path: Path, silence: str, fault: str) -> None:
    path = write(tmp_path, f"{RULES}silences:\n  - {silence}\n")
    found, _ = review(path, DESTINATIONS, datetime(2020, 1, 1, tzinfo=UTC), own=())
    assert all(str(one).startswith("routes.yaml:5, silence 1") for one in found)
    assert any(f"silence 1, {fault}" in str(one) or f"silence 1: {fault}" in str(one) for one in found), found


@pytest.mark.parametrize("until", ["soon", "5", '"2026-05-01"', "12:30", "2026-05-01 18:00", ""])
def test_a_time_that_is_none_is_one_fault(tmp_path: Path, until: str) -> None:
    path = write(tmp_path, f"{RULES}silences:\n  - {{match: {{intent: praise}}, by: m, why: w, until: {until}}}\n")
    ((fault,), _) = review(path, DESTINATIONS, datetime(2020, 1, 1, tzinfo=UTC), own=())
    assert str(fault).startswith("routes.yaml:5, silence 1, until: takes a time, not ")
    assert fault.mend == "write it like 2026-06-01 or 2026-06-01T18:00:00+02:00, without quotes"


def test_a_destination_that_a_rule_with_a_fault_names_is_used(tmp_path: Path) -> None:
    rules = "rules:\n  - {name: a, why: w, destinations: [helpdesk], priority: soon}\n"
    (_, notes) = review(write(tmp_path, rules), DESTINATIONS, datetime(2020, 1, 1, tzinfo=UTC), own=["helpdesk"])
    assert list(notes) == []


def test_silences_are_a_list(tmp_path: Path) -> None:
    path = write(tmp_path, f"{RULES}silences: all\n")
    found, _ = review(path, DESTINATIONS, datetime(2020, 1, 1, tzinfo=UTC), own=())
    assert [str(fault) for fault in found] == [
        "routes.yaml:4, silences: holds no list of silences; put a list of at most 1,000 there, or leave it out"
    ]


def test_an_expired_silence_and_a_destination_that_nobody_uses_are_noted_and_no_fault(tmp_path: Path) -> None:
    path = write(tmp_path, RULES + SILENCES)
    before, after = (datetime(2026, 5, day, tzinfo=UTC) for day in (1, 2))
    assert review(path, DESTINATIONS, before, own=["helpdesk"]) == ((), ())
    faults, notes = review(path, DESTINATIONS, after, own=["helpdesk", "service"])
    assert faults == ()
    assert [str(note) for note in notes] == [
        'routes.yaml:5, silence by "mara": expired at 2026-05-01 18:00 UTC+02:00; take it out, or set a later until',
        "destinations.service: no rule in routes.yaml sends anything there; "
        "name it in a rule, or remove it once its tickets are delivered",
    ]

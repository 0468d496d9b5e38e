"""What a status means: each thing that is wrong is named with its place and its mend, and nothing else is."""

from datetime import UTC, datetime, timedelta

import pytest

from plaint.commands.status import lines
from plaint.diagnosis.answers import mend_of, status_of
from plaint.diagnosis.judgement import judged
from plaint.diagnosis.processes import stage_of
from plaint.diagnosis.status import StageStatus, Status, kept
from plaint.diagnosis.topics_view import DeadTally
from plaint.monitoring.state import LastError, StageState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def stage(name: str = "classify", **fields: object) -> StageStatus:
    destination = name.removeprefix("deliver-") if name.startswith("deliver-") else ""
    sound = {"name": name, "destination": destination, "processes": 1, "group": "Stable", "lag": 0}
    return StageStatus.model_validate({**sound, **fields})


def said(one: StageStatus) -> list[tuple[str, str, str]]:
    """Severity, what and mend of each finding, all at that stage."""
    found = judged(Status(at=NOW, stages=(one,))).findings
    assert {finding.place for finding in found} <= {one.name}
    return [(finding.severity, finding.what, finding.mend) for finding in found]


def only(one: StageStatus) -> tuple[str, str, str]:
    [found] = said(one)
    return found


def test_of_a_sound_stage_nothing_is_said() -> None:
    busy = stage("deliver-helpdesk", lag=12, oldest_waiting_s=3.0, open_tickets=4, oldest_undelivered_s=8.0)
    assert said(stage()) == said(busy) == said(stage("ingest", processes=0, done=True)) == []
    assert lines(Status(at=NOW, stages=(stage(),)))[-1] == "all is well"


def test_a_stage_that_nobody_runs_says_what_waits_and_how_to_start_it() -> None:
    severity, what, mend = only(stage("deliver-helpdesk", processes=0, lag=1200, oldest_waiting_s=7200.0))
    assert (severity, what) == ("fail", "no process does its work; 1,200 tickets waiting, the oldest for 2 h")
    assert "`plaint run deliver --destination helpdesk`" in mend


def test_a_stopped_process_is_named_with_the_signal_that_lets_it_go_on() -> None:
    severity, what, mend = only(stage(stopped=(41, 42), lag=3, moves=False))
    assert severity == "fail"
    assert "process 41 42 is stopped by a signal" in what
    assert "`kill -CONT 41 42`" in mend


def test_a_stage_that_acknowledges_nothing_may_be_stopped_on_another_machine() -> None:
    severity, what, mend = only(stage(lag=40, oldest_waiting_s=12.0, moves=False))
    assert (severity, "40 posts waiting, the oldest for 12 s" in what) == ("fail", True)
    assert "kill -CONT" in mend


def test_records_that_aged_out_unread_are_lost_and_told() -> None:
    severity, what, mend = only(stage("route", lost=17))
    assert (severity, what) == ("fail", "17 labelled posts aged out of the topic before this stage read them")
    assert "retention.ms" in mend


def test_a_stage_that_is_behind_wants_more_of_it() -> None:
    severity, what, mend = only(stage(lag=9000, oldest_waiting_s=300.0))
    assert (severity, what) == ("warn", "it is behind; 9,000 posts waiting, the oldest for 5 min")
    assert "kafka.partitions" in mend


def test_an_open_breaker_tells_the_answer_and_what_that_answer_wants() -> None:
    error = LastError(at=NOW - timedelta(seconds=2), what="the destination answered 401")
    one = stage(
        "deliver-helpdesk",
        breaker="open",
        breaker_since=NOW - timedelta(minutes=5),
        open_tickets=12,
        oldest_undelivered_s=300.0,
        last_error=error,
    )
    severity, what, mend = only(one)
    assert severity == "fail"
    assert what == (
        "helpdesk is taken to be down for 5 min; it says: the destination answered 401; 12 tickets not delivered, "
        "the oldest for 5 min"
    )
    assert "destinations.helpdesk.secret_file" in mend


def test_a_disabled_destination_is_named_with_how_to_enable_it() -> None:
    severity, what, mend = only(stage("deliver-helpdesk", disabled="it answered 410"))
    assert (severity, what) == ("fail", "helpdesk is disabled and gets nothing: it answered 410")
    assert "destinations.helpdesk.url" in mend
    assert "`plaint destination enable helpdesk`" in mend
    by_hand = only(stage("deliver-helpdesk", disabled="they are moving house"))
    assert by_hand[2] == "once that is over `plaint destination enable helpdesk` sends again"


def test_refused_tickets_are_told_by_the_answer() -> None:
    gone = DeadTally(reason="refused", count=3, newest="410 this hook is gone")
    severity, what, mend = only(stage("deliver-helpdesk", dead=(gone,)))
    assert (severity, what) == ("fail", "3 dead letters in the last hour, refused: 410 this hook is gone")
    assert "destinations.helpdesk.url" in mend
    worse = DeadTally(reason="invalid_json", count=1, newest="no JSON")
    assert only(stage(dead=(worse,)))[0] == "warn"


def test_a_model_that_was_refused_is_told_once_with_what_goes_on_and_how_to_go_back() -> None:
    why = "classify.model: model.int8.onnx has another sha256; restore it"
    refused = {"version": "small", "engine": "e", "refused": (why,)}
    error = LastError(at=NOW, what="model: the one that is chosen was refused, small stays in use")
    told = {"stage": "classify", "instance": "a", "pid": 1, "version": "1", "started_at": NOW, "at": NOW, "ready": True}
    state = StageState.model_validate({**told, "model": refused, "last_error": error})
    severity, what, mend = only(stage(kept=kept([state, state]), last_error=error))
    assert (severity, what) == ("warn", f"what it was to take up was refused, model small stays in use: {why}")
    assert "`plaint models rollback`" in mend


def test_an_old_error_is_not_told() -> None:
    assert said(stage(last_error=LastError(at=NOW - timedelta(hours=1), what="once"))) == []
    severity, what, _ = only(stage(last_error=LastError(at=NOW - timedelta(minutes=3), what="boom")))
    assert (severity, what) == ("warn", "3 min ago: boom")


def test_the_worst_stands_first() -> None:
    found = judged(
        Status(at=NOW, stages=(stage(lag=9000, oldest_waiting_s=300.0), stage("route", processes=0)))
    ).findings
    assert [one.severity for one in found] == ["fail", "warn"]


def test_processes_of_two_versions_are_told() -> None:
    found = judged(Status(at=NOW, stages=(stage(versions=("0.1.0",)), stage("route", versions=("0.2.0",))))).findings
    assert [one.what for one in found] == ["processes of several versions run: 0.1.0, 0.2.0"]


@pytest.mark.parametrize(
    ("detail", "status", "mend"),
    [
        ("401 bad signature", 401, "secret_file"),
        ("the destination answered 404", 404, "helpdesk.url"),
        ("422 the queue is unknown", 422, "`plaint dead replay --reason refused --force`"),
        ("18 tries; the last: 503 busy", 503, "the receiver itself fails"),
        ("302", 302, "redirects are not followed"),
        ("no connection: Connection refused", None, "whether it runs"),
        (
            "no connection to the proxy: Connection refused",
            None,
            "whether the proxy runs, at destinations.helpdesk.proxy",
        ),
        ("the proxy answered 407", None, "set destinations.helpdesk.proxy_login"),
        ("the destination: the proxy answered 403", None, "to let the host in destinations.helpdesk.url through"),
        ("18 tries; the last: the proxy answered 502", None, "the proxy can't reach the receiver"),
        ("no line through the proxy in time", None, "the proxy can't reach the receiver"),
        ("the proxy answered 405", None, "the address of an HTTP proxy"),
        ("401 the proxy answered 407", 401, "secret_file"),
        ("its certificate is not trusted, or TLS failed otherwise", None, "certificate"),
        ("plaint.triaged[0]: TopicAuthorizationFailedError('plaint.triaged')", None, "`plaint doctor` names it"),
        ("order 401 is late", None, "look at its log"),
    ],
)
def test_each_answer_has_its_mend(detail: str, status: int | None, mend: str) -> None:
    assert status_of(detail) == status
    assert mend in mend_of(detail, "helpdesk")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/opt/plaint/bin/python /opt/plaint/bin/plaint run classify", "classify"),
        ("python -P -m plaint --config a.yaml run route", "route"),
        ("python -m plaint run deliver --destination helpdesk", "deliver-helpdesk"),
        ("python -m plaint run deliver --destination=desk-2", "deliver-desk-2"),
        ("vim plaint/commands/run.py", None),
        ("python -m plaint up", None),
        ("", None),
    ],
)
def test_a_worker_is_known_by_its_command_line(command: str, name: str | None) -> None:
    assert stage_of(command.split()) == name

"""What the board shows: the numbers over time, the stages in a word, and posts that mean harm, at any size."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.cells import cell_len

from plaint.board.numbers import History, Numbers, quantile, read_numbers
from plaint.board.urgent import UrgentPost
from plaint.board.view import Shown, lines, one_row, plain
from plaint.monitoring.state import ChildState, RunState, StageState

BEGAN = datetime(2026, 11, 20, 10, tzinfo=UTC)
METRICS = """\
# HELP plaint_records_total Records
# TYPE plaint_records_total counter
plaint_records_total{outcome="result",reason="",stage="classify"} 207.0
plaint_records_total{outcome="dropped",reason="repeated",stage="classify"} 3.0
plaint_records_total{outcome="dead",reason="invalid_json",stage="classify"} 2.0
plaint_records_total{outcome="dead",reason="refused",stage="deliver",destination="helpdesk"} 1.0
plaint_records_total{outcome="result",reason="",stage="route"} 165.0
plaint_triaged_posts_total{intent="complaint",stage="classify",urgency="3"} 30.0
plaint_triaged_posts_total{intent="complaint",stage="classify",urgency="4"} 10.0
plaint_triaged_posts_total{intent="question",stage="classify",urgency="1"} 5.0
plaint_urgent_posts_total{intent="complaint",stage="classify"} 38.0
plaint_urgent_posts_total{intent="question",stage="classify"} 2.0
plaint_post_to_ticket_seconds_bucket{destination="helpdesk",le="0.5",stage="deliver"} 4.0
plaint_post_to_ticket_seconds_bucket{destination="helpdesk",le="+Inf",stage="deliver"} 5.0
plaint_post_to_ticket_seconds_bucket{destination="service",le="0.5",stage="deliver"} 1.0
plaint_post_to_ticket_seconds_bucket{destination="service",le="+Inf",stage="deliver"} 1.0
plaint_post_to_ticket_seconds_count{destination="service",stage="deliver"} 1.0
process_cpu_seconds_total{stage="up"} 1.24
"""


def a_look(at: float, posts: int = 0, buckets: dict[float, int] | None = None) -> Numbers:
    return Numbers(at, posts, 0, 0, {}, buckets or {})


def a_stage(**fields: Any) -> StageState:
    whole = {"stage": "deliver", "destination": "helpdesk", "instance": "a", "pid": 1, "version": "1", "ready": True}
    return StageState.model_validate({**whole, "started_at": BEGAN, "at": BEGAN, "lag": 0, **fields})


def a_child(name: str = "deliver-helpdesk", state: StageState | None = None, **fields: Any) -> ChildState:
    return ChildState(name=name, pid=1, state=state, **fields)


def a_run(*children: ChildState, **fields: Any) -> RunState:
    whole = {"pid": 1, "version": "1", "started_at": BEGAN, "at": BEGAN + timedelta(minutes=5), "ready": True}
    return RunState.model_validate({**whole, "healthy": True, "children": children, **fields})


def drawn(shown: Shown, width: int = 80, height: int = 24) -> list[str]:
    return [line.plain for line in lines(shown, width, height)]


def urgent(*texts: str) -> Sequence[UrgentPost]:
    return [UrgentPost(BEGAN, "complaint", 4, text) for text in texts]


def test_the_numbers_are_summed_over_stages_and_destinations() -> None:
    found = read_numbers(METRICS, 1.0)
    assert (found.posts, found.urgent, found.dead) == (212, 40, 3)
    assert found.intents == {"complaint": 40, "question": 5}
    assert found.buckets == {0.5: 5, math.inf: 6}
    with pytest.raises(ValueError, match=r"."):
        read_numbers("plaint_records_total{ <html>", 1.0)


def test_the_rate_is_that_of_the_last_seconds_and_a_restart_makes_it_not_negative() -> None:
    history = History()
    assert history.posts_a_second() is None
    history.add(a_look(0, 100))
    assert history.posts_a_second() is None
    for at, posts in ((3, 130), (6, 160), (9, 190), (12, 490), (15, 790)):
        history.add(a_look(at, posts))
    assert history.posts_a_second(over_s=6) == 100
    assert history.rates() == [10, 10, 10, 100, 100]
    history.add(a_look(18, 5))
    assert history.posts_a_second(over_s=3) == 0


def test_old_looks_are_forgotten() -> None:
    history = History(keep_s=60)
    for at in range(0, 600, 3):
        history.add(a_look(at, at))
    assert len(history.rates()) == 20 + 1


def test_latency_is_that_of_the_last_minute_and_of_all_time_where_that_had_none() -> None:
    history = History(keep_s=60)
    assert history.seconds_to_ticket(0.5) is None
    history.add(a_look(0, buckets={0.5: 0, 1.0: 100, math.inf: 100}))
    assert history.seconds_to_ticket(0.5) == (0.75, False)
    history.add(a_look(3, buckets={0.5: 10, 1.0: 110, math.inf: 110}))
    assert history.seconds_to_ticket(0.5) == (0.25, True)


@pytest.mark.parametrize(
    ("buckets", "share", "found"),
    [
        ({1.0: 0, math.inf: 0}, 0.5, None),
        ({1.0: 100, 2.0: 100, math.inf: 100}, 0.99, 0.99),
        ({1.0: 50, 2.0: 100, math.inf: 100}, 0.99, 1.98),
        ({1.0: 50, math.inf: 100}, 0.99, math.inf),
    ],
)
def test_a_quantile_lies_straight_within_its_bucket(
    buckets: dict[float, int], share: float, found: float | None
) -> None:
    assert quantile(buckets, share) == (None if found is None else pytest.approx(found))


@pytest.mark.parametrize(
    ("child", "word", "note"),
    [
        (a_child(state=a_stage(lag=1234)), "ok", ""),
        (a_child(state=a_stage(ready=False, missing=["a partition"])), "starting", "a partition"),
        (a_child(state=a_stage(healthy=False, unhealthy_why="nothing moved for 60 s")), "stalled", "nothing moved"),
        (a_child(state=a_stage(breaker={"state": "open"}, open_tickets=12)), "breaker open", "12 open"),
        (
            a_child(state=a_stage(disabled={"why": "it answered 410"})),
            "off",
            "`plaint destination enable helpdesk` once",
        ),
        (a_child(state=a_stage(window_full=True, oldest_undelivered_s=200)), "full", "oldest 3 min"),
        (
            a_child(state=a_stage(last_error={"at": BEGAN, "what": "no \x1b[31mline"}), restarts=2),
            "ok",
            "2 restarts, no",
        ),
        (a_child(silent="is starting"), "starting", "is starting"),
        (a_child(silent="it is not running, exit code 70"), "not running", "it is not running, exit code 70"),
        (a_child(done=True), "done", ""),
    ],
)
def test_each_stage_is_told_in_a_word_and_why(child: ChildState, word: str, note: str) -> None:
    line, *notes = [line for line in drawn(Shown(run=a_run(child))) if "deliver-helpdesk" in line]
    assert f"deliver-helpdesk   {word}" in line
    assert [f" deliver-helpdesk: {note}" in told for told in notes] == ([True] if note else [])
    wide = next(line for line in drawn(Shown(run=a_run(child)), 160) if "deliver-helpdesk" in line)
    assert note in wide
    assert ("1,234" in line) == (child.state is not None and child.state.lag == 1234)
    assert "\x1b" not in line + wide
    assert f"deliver-helpdesk {word}" in one_row(Shown(run=a_run(child)))


def test_what_keeps_a_run_from_being_well_stands_at_the_top() -> None:
    assert "all well" in drawn(Shown(run=a_run(), inbox="http://127.0.0.1:8321"))[0]
    assert "http://127.0.0.1:8321" in drawn(Shown(run=a_run(), inbox="http://127.0.0.1:8321"))[0]
    found = drawn(Shown(run=a_run(faults=("route: no broker", "classify: stalled"), healthy=False)))
    assert "route: no broker (+1)" in found[0]
    assert "does not tell" in drawn(Shown(run=a_run(), away="http://x does not tell"))[0]


HOSTILE = (
    "red \x1b[31m\x1b]0;title\x07 \x9b2J \r\nfaked 12:00:00 critical line\ttab \u202egnp.exe \u2028 \x00 "
    "[bold red]markup[/bold red] [link=file:///etc/passwd]x[/link] 日本語のとても長い文章 Z"
    + "\u0336\u0322" * 200
    + "algo"
)


def test_a_post_that_means_harm_is_one_line_of_text() -> None:
    found = lines(Shown(run=a_run(), urgent=urgent(HOSTILE, "below")), 400, 24)
    (line,) = [line for line in found if "markup" in line.plain]
    assert "[bold red]markup[/bold red] [link=file:///etc/passwd]x[/link]" in line.plain
    assert "\\x1b[31m\\x1b]0;title\\x07" in line.plain
    assert line.plain.isprintable()
    assert "faked 12:00:00 critical line tab \\u202egnp.exe" in line.plain
    assert "Z\u0336\u0322algo" in line.plain
    assert all(span.style.link is None for span in line.spans if not isinstance(span.style, str))
    assert "below" in found[found.index(line) + 1].plain
    assert plain("a\n\n b\r\nc") == "a b c"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60), (60, 30), (40, 10), (20, 5), (1, 1)])
def test_it_fits_whatever_the_size(width: int, height: int) -> None:
    children = [a_child(f"deliver-{name}", a_stage()) for name in "abcdefg"]
    history = History()
    history.add(read_numbers(METRICS, 0.0))
    shown = Shown(
        run=a_run(*children),
        history=history,
        urgent=urgent(*[HOSTILE] * 50),
        log=["a line " * 50] * 100,
        inbox="http://i",
    )
    assert all(line.isascii() for line in drawn(replace(shown, ascii_only=True), width, height))
    found = drawn(shown, width, height)
    assert len(found) <= height
    assert all(cell_len(line) <= width for line in found)
    if height >= 24 and width >= 80:
        assert sum("critical" in line for line in found) >= 2
        assert sum("a line" in line for line in found) >= 2
        assert any("complaint" in line and "deliver-a" in line for line in found)


def test_without_numbers_and_posts_it_says_so() -> None:
    text = "\n".join(drawn(Shown(run=a_run())))
    assert "no numbers yet" in text
    assert "nothing urgent so far" in text
    assert "may not read" in "\n".join(drawn(Shown(run=a_run(), trouble="anna may not read plaint.triaged")))
    assert one_row(Shown()) == "nothing is known yet"


def test_drawing_is_cheap() -> None:
    history = History()
    history.add(read_numbers(METRICS, 0.0))
    children = [a_child(f"deliver-{name}", a_stage()) for name in "abcdefg"]
    shown = Shown(run=a_run(*children), history=history, urgent=urgent(*["my router is dead " * 30] * 50))
    began = time.process_time()
    for _ in range(50):
        lines(shown, 80, 24)
    assert (time.process_time() - began) / 50 < 0.02

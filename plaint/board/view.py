"""The board as lines: pure, for a width and a height. What came with a post is on one line, escaped, and last in it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rich.style import Style
from rich.text import Text

from plaint.board.numbers import History, Numbers
from plaint.board.urgent import UrgentPost
from plaint.monitoring.state import ChildState, RunState, StageState
from plaint.terminal import one_line, span
from schemas.labels import INTENTS, URGENCY_WORDS

BOLD, SOFT = Style(bold=True), Style(dim=True)
GOOD, WAIT, BAD = Style(color="green"), Style(color="yellow"), Style(color="red", bold=True)
COLOURS = {"complaint": "red", "question": "cyan", "praise": "green", "marketing": "magenta", "other": "white"}
SPARKS = "▁▂▃▄▅▆▇█"
LEFT = 30
"""Columns of the intents; the stages have the rest."""
WIDE = 70
"""From here on intents and stages stand side by side."""
WIDER = 110
"""From here on what there is to say of a stage stands behind it, else below all of them."""
MAX_NOTES = 3
MAX_SHOWN_CHARS = 500
_MARKS = re.compile(
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{2})[\u0300-\u036f\u0483-\u0489"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)


@dataclass(frozen=True)
class Shown:
    """All that the board knows. ``away`` says why the run's state can't be had now; ``log`` is oldest first."""

    run: RunState | None = None
    away: str = ""
    history: History = field(default_factory=History)
    urgent: Sequence[UrgentPost] = ()
    trouble: str = ""
    inbox: str = ""
    log: Sequence[str] | None = None
    ascii_only: bool = False


def lines(shown: Shown, width: int, height: int) -> list[Text]:
    """At most ``height`` lines, each at most ``width`` cells."""
    top = [_head(shown), _pulse(shown), Text()]
    children = shown.run.children if shown.run else ()
    stages = [_title("Stages", "lag"), *(_stage(child, with_note=width >= WIDER) for child in children)]
    intents = [_title("Posts by intent"), *_intents(shown.history.newest, shown.ascii_only)]
    top += _side_by_side(intents, stages, width) if width >= WIDE else [*stages, *intents]
    if width < WIDER:
        top += _notes(children)
    left = height - len(top)
    log_lines = [] if shown.log is None else list(shown.log)[-max(0, min(6, left - 8)) :] if left > 9 else []
    rows = left - 2 - (len(log_lines) + 2 if log_lines else 0)
    top += [Text(), _title("Urgent now"), *_urgent(shown, max(0, rows))]
    if log_lines:
        top += [Text()] * (height - len(top) - len(log_lines) - 2)
        top += [Text(), _title("Log"), *(Text(one_line(line, MAX_SHOWN_CHARS), style=SOFT) for line in log_lines)]
    for line in top:
        line.no_wrap = True
        if shown.ascii_only:
            line.plain = _in_ascii(line.plain)
        line.truncate(width, overflow="crop" if shown.ascii_only else "ellipsis")
    return top[:height]


def plain(text: str) -> str:
    """``text`` on one line, without what a terminal would obey and with at most two marks over a letter."""
    return one_line(_MARKS.sub(r"\1", " ".join(text.split())), MAX_SHOWN_CHARS)


def one_row(shown: Shown) -> str:
    """The board in one line, for terminals and files that can't be drawn on."""
    if shown.run is None:
        return shown.away or "nothing is known yet"
    stages = ", ".join(
        f"{child.name} {_health(child)[0]}" + (f" lag {child.state.lag}" if child.state and child.state.lag else "")
        for child in shown.run.children
    )
    row = f"{_pulse(shown).plain.strip()} | {stages}"
    return _in_ascii(row) if shown.ascii_only else row


def _in_ascii(text: str) -> str:
    """``text`` as long as it is, with a question mark for each sign that ASCII lacks."""
    return text.replace("–", "-").encode("ascii", "replace").decode()


def _head(shown: Shown) -> Text:
    found = Text.assemble((" plaint ", BOLD))
    if shown.away:
        return found.append(f" {plain(shown.away)}", BAD)
    if shown.run is None:
        return found.append(" looking …", SOFT)
    found.append(f" up {span((shown.run.at - shown.run.started_at).total_seconds())}  ", SOFT)
    if shown.run.faults:
        more = f" (+{len(shown.run.faults) - 1})" if len(shown.run.faults) > 1 else ""
        return found.append(plain(shown.run.faults[0]) + more, BAD if not shown.run.healthy else WAIT)
    found.append("all well" if shown.run.ready else "starting", GOOD if shown.run.ready else WAIT)
    return found.append(f"  inbox {shown.inbox}" if shown.inbox else "", SOFT)


def _pulse(shown: Shown) -> Text:
    """Rate, latency and what ended badly."""
    look = shown.history.newest
    if look is None:
        return Text(" no numbers yet", SOFT)
    rate = shown.history.posts_a_second()
    found = Text(" ").append(f"{rate:.1f}" if rate is not None else "–", BOLD).append(" posts/s ")
    if not shown.ascii_only:
        found.append(_spark(shown.history.rates()[-12:]), Style(color="blue")).append(" ")
    found.append(" to ticket")
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        found.append(f" {name} ").append(*_latency(shown.history.seconds_to_ticket(share)))
    found.append(f"  urgent {look.urgent:,}")
    return found.append(f"  dead {look.dead:,}", BAD if look.dead else SOFT)


def _latency(told: tuple[float, bool] | None) -> tuple[str, Style]:
    if told is None:
        return "–", SOFT
    seconds, is_fresh = told
    text = "over 1 h" if seconds == float("inf") else f"{seconds:.2f} s" if seconds < 10 else span(seconds)
    return text, SOFT if not is_fresh else GOOD if seconds <= 1 else WAIT


def _spark(rates: Sequence[float]) -> str:
    most = max(rates, default=0.0)
    return "".join(SPARKS[int(rate / most * (len(SPARKS) - 1))] if most else SPARKS[0] for rate in rates)


def _title(name: str, right: str = "") -> Text:
    return Text(f" {name}" + (f"{right:>{38 - len(name)}}" if right else ""), style=BOLD)


def _intents(look: Numbers | None, ascii_only: bool) -> Iterator[Text]:
    counts = look.intents if look is not None else {}
    most = max((counts.get(intent, 0) for intent in INTENTS), default=0) or 1
    for intent in INTENTS:
        count = counts.get(intent, 0)
        bar = ("#" if ascii_only else "█") * (round(9 * count / most) or (1 if count else 0))
        yield Text(f" {intent:<10}{count:>8,} ").append(bar, Style(color=COLOURS[intent]))


def _stage(child: ChildState, with_note: bool) -> Text:
    word, style = _health(child)
    lag = child.state.lag if child.state else None
    found = Text(f" {child.name[:18]:<18} ").append(f"{word[:12]:<12}", style)
    found.append(f"{lag:>7,}" if lag is not None else f"{'':>7}")
    return found.append(f"  {plain(_note(child))}" if with_note else "", SOFT)


def _notes(children: Sequence[ChildState]) -> list[Text]:
    """What there is to say of the stages, those first that are not well."""
    told = [(child, _note(child)) for child in sorted(children, key=lambda child: _health(child)[1] is not BAD)]
    return [
        Text(" ").append(f"{child.name}: ", _health(child)[1]).append(plain(note), SOFT) for child, note in told if note
    ][:MAX_NOTES]


def _health(child: ChildState) -> tuple[str, Style]:
    """The state of a process in a word, the most pressing one."""
    state = child.state
    if child.done:
        return "done", SOFT
    if state is None:
        return ("starting" if child.pid is not None and "start" in child.silent else "not running"), BAD
    for holds, word, style in (
        (not state.healthy, "stalled", BAD),
        (state.disabled is not None, "off", BAD),
        (state.breaker is not None and state.breaker.state == "open", "breaker open", BAD),
        (not state.ready, "starting", WAIT),
        (state.window_full, "full", WAIT),
    ):
        if holds:
            return word, style
    return "ok", GOOD


def _note(child: ChildState) -> str:
    state = child.state
    if state is None:
        return child.silent
    told = [
        f"{state.open_tickets:,} open" if state.open_tickets else "",
        f"oldest {span(state.oldest_undelivered_s)}" if state.oldest_undelivered_s else "",
        f"{child.restarts} restarts" if child.restarts else "",
        _why(state),
    ]
    return ", ".join(filter(None, told))


def _why(state: StageState) -> str:
    if state.disabled is not None:  # what to do comes first: the answer may be long
        return f"`plaint destination enable {state.destination}` once this is mended: {state.disabled.why}"
    return state.unhealthy_why or "; ".join(state.missing) or (state.last_error.what if state.last_error else "")


def _urgent(shown: Shown, rows: int) -> list[Text]:
    if shown.trouble:
        return [Text(f" {plain(shown.trouble)}", WAIT)][:rows]
    if not shown.urgent:
        return [Text(" nothing urgent so far", SOFT)][:rows]
    return [_urgent_line(post) for post in list(shown.urgent)[:rows]]


def _urgent_line(post: UrgentPost) -> Text:
    found = Text(f" {_local(post.at):%H:%M:%S} ", SOFT)
    found.append(f"{URGENCY_WORDS[post.urgency]:<9}", BAD if post.urgency >= 3 else WAIT)
    return found.append(plain(post.text), Style())


def _local(moment: datetime) -> datetime:
    return moment.astimezone()


def _side_by_side(left: Sequence[Text], right: Sequence[Text], width: int) -> list[Text]:
    rows = []
    for number in range(max(len(left), len(right))):
        row = left[number].copy() if number < len(left) else Text()
        row.truncate(LEFT, overflow="ellipsis", pad=True)
        rows.append(row.append_text(right[number]) if number < len(right) else row)
    return rows

"""A post's whole story as people read it: what plaint's topics tell, in the order in which it happened."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from plaint.inbox.cards import parts_of, visible
from plaint.lookup.explanation import Explanation, Label, Letter, PostSeen, RuleTried, Step, TicketAsked, TicketLife
from plaint.lookup.words import UNSENT
from schemas.labels import URGENCY_WORDS

TOLD_CHARS = 400
EVENTS = {"create": "Received", "edit": "Edited", "delete": "Deleted"}


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that happened. ``tone`` is ``good``, ``bad`` or ``wait`` where that can be said.

    ``clock`` has the day too unless the whole story is of the day on which it is told.
    """

    title: str
    text: str = ""
    clock: str = ""
    at: str = ""
    tone: str = ""


EMPTY_ITEM = Item("")
"""What the page's script copies and fills."""


@dataclass(frozen=True, slots=True)
class Story:
    """``steps`` in the order of time, ``rules`` in the order in which they were tried, ``notes`` on what else to know."""

    post: str
    summary: str
    steps: tuple[Item, ...]
    rules: tuple[Item, ...]
    notes: tuple[Item, ...]


def story(told: Explanation) -> Story:
    """``told`` in words; every string is ready to be shown."""
    steps = sorted(_steps(told), key=lambda step: step[0])
    if any(at.date() != told.at.date() for at, _ in steps):
        steps = [(at, replace(item, clock=f"{at:%-d %b} {item.clock}")) for at, item in steps]
    notes = [
        *(Item(visible(drop.reason), visible(drop.why), tone="bad") for drop in told.drops),
        *(Item("Not known", visible(what)) for what in told.unknown),
        *(Item("To do", visible(what)) for what in told.check),
    ]
    rules = tuple(_rule(tried) for tried in told.routing.tried) if told.routing else ()
    if told.routing is not None and told.routing.silenced:
        rules = (Item("silenced", visible(told.routing.silenced), tone="bad"), *rules)
    return Story(told.post_id, visible(told.summary), tuple(item for _, item in steps), rules, tuple(notes))


def _steps(told: Explanation) -> Iterator[tuple[datetime, Item]]:
    for post in told.posts:
        yield post.at, _post(post)
    for label in told.labels:
        yield label.at, _label(label)
    for life in told.tickets:
        yield from _life(life)
    for letter in told.dead_letters:
        yield letter.at, _letter(letter)


def _life(life: TicketLife) -> Iterator[tuple[datetime, Item]]:
    for asked in life.asked:
        yield asked.at, _asked(life.destination, asked)
    for step in life.steps:
        yield step.at, _step(life.destination, step)


def _item(at: datetime, title: str, text: str = "", tone: str = "") -> Item:
    shown = visible(text)
    short = shown if len(shown) <= TOLD_CHARS else shown[:TOLD_CHARS] + " …"
    return Item(visible(title), short, f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}", at.isoformat(), tone)


def _post(post: PostSeen) -> Item:
    source = f" from {post.source}" if post.source else ""
    return _item(post.at, f"{EVENTS.get(post.event or '', 'Record')}{source}", f"{post.place}: {post.became}")


def _label(label: Label) -> Item:
    kind = f"{label.intent}, confidence {label.confidence:.2f}" if label.intent else label.event
    parts = parts_of(label.urgency_parts)
    urgency = f"{URGENCY_WORDS[label.urgency]} urgency{f' = {parts}' if parts else ''}"
    also = "" if label.counts else "; an earlier triage counts instead"
    marks = ", urgent" * label.urgent + ", unsure" * label.unsure
    return _item(label.at, f"Classified: {kind}{marks}", f"{urgency}; model {label.model_version}{also}")


def _asked(destination: str, asked: TicketAsked) -> Item:
    again = f", generation {asked.generation}" if asked.generation else ""
    rule = ": ".join(filter(None, (asked.rule, asked.why)))
    title = f"Routed to {destination}: {asked.op} of revision {asked.revision}{again}"
    return _item(asked.at, title, f"{asked.priority} priority; rule {rule}" if rule else "")


def _step(destination: str, step: Step) -> Item:
    status = f"status {step.status}" if step.status is not None else ""
    due = f"next try at {_due(step.due_at, step.at)}" if step.due_at is not None and step.attempt else ""
    text = ", ".join(filter(None, (status, step.reason, due)))
    match step.state:
        case "accepted":
            title, tone = ("taken on", "") if not step.attempt else (f"attempt {step.attempt} failed", "wait")
        case "sending":
            title, tone, text = f"attempt {step.attempt} sent", "", status
        case "done" if step.reason in UNSENT:
            title, tone, text = UNSENT[step.reason], "", ""
        case "done":
            done = "withdrawn" if step.op == "withdraw" else "delivered"
            title, tone = f"{done} as {step.remote_id}" if step.remote_id else done, "good"
        case _:
            title, tone = "given up", "bad"
    overruled = "" if step.counts else " (overruled)"
    return _item(step.at, f"{destination}: {title}{overruled}", text, tone)


def _due(at: datetime, since: datetime) -> str:
    return f"{at:%H:%M:%S} UTC" if at.date() == since.date() else f"{at:%-d %b %H:%M:%S} UTC"


def _letter(letter: Letter) -> Item:
    replayed = f"; replayed {len(letter.replays)} times" if letter.replays else ""
    return _item(letter.at, f"Dead letter at {letter.stage}: {letter.reason}", f"{letter.detail}{replayed}", "bad")


def _rule(tried: RuleTried) -> Item:
    name = visible(" › ".join((*tried.parents, tried.rule)))
    if not tried.took:
        return Item(name, visible(tried.unmet))
    where = ", ".join(tried.destinations) or "nowhere"
    return Item(name, visible(f"took it, to {where}. {tried.why}"), tone="good")

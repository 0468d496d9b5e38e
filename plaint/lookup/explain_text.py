"""An explanation for a person at a terminal. Whatever came from outside is escaped here."""

from collections.abc import Iterable, Iterator

from plaint.lookup.explanation import (
    Explanation,
    Label,
    Letter,
    PostSeen,
    Routing,
    RuleTried,
    Step,
    TicketAsked,
    TicketLife,
)
from plaint.lookup.words import URGENCY_LEVELS, life_words
from plaint.terminal import clock, one_line, span
from schemas.labels import Unsure

MAX_TEXT = 300
MAX_SHORT = 120


def lines(told: Explanation) -> Iterator[str]:
    """The explanation, a line each."""
    yield f"{one_line(told.post_id)}: {one_line(told.summary)}"
    yield from _section("post", _posts(told.posts))
    yield from _section("label", _labels(told.labels))
    yield from _section("rules, as they are now", _routing(told.routing))
    for life in told.tickets:
        if life.state != "none":
            yield from _section(f"ticket {life.key}", _life(life))
    yield from _section("dropped", (one_line(f"{drop.reason}: {drop.why} ({drop.place})") for drop in told.drops))
    yield from _section("dead letters", _letters(told.dead_letters))
    yield from _section("not known", map(one_line, told.unknown))
    yield from _section("to look at" if told.found else "to check", map(one_line, told.check))


def _section(title: str, content: Iterable[str]) -> Iterator[str]:
    found = list(content)
    if found:
        yield ""
        yield title
        yield from (f"  {line}" for line in found)


def _posts(posts: Iterable[PostSeen]) -> Iterator[str]:
    for post in posts:
        if post.revision is None:
            yield f"{clock(post.at)} {post.place}: {post.became}"
            continue
        yield f"{clock(post.at)} {post.event}, revision {post.revision}, {post.place}: {post.became}"
        said = {"network": post.network, "source": post.source, "author": post.author, "url": post.url}
        told = ", ".join(f"{name} {one_line(value, MAX_SHORT)}" for name, value in said.items() if value)
        if told:
            yield f"  {told}"
        if post.text:
            yield f"  “{one_line(post.text, MAX_TEXT)}”"


def _labels(labels: Iterable[Label]) -> Iterator[str]:
    for label in labels:
        if label.intent is None:
            yield f"{clock(label.triaged_at)} revision {label.revision}: the post was deleted, so it has no label"
            continue
        note = "" if label.counts else " (does not count: an earlier one decided)"
        unsure = ", unsure" if label.unsure else ""
        yield (
            f"{clock(label.triaged_at)} revision {label.revision}: {label.intent} {label.confidence:.0%}{unsure}, "
            f"{label.sentiment}, urgency {label.urgency} ({URGENCY_LEVELS[label.urgency]}){', urgent' * label.urgent}{note}"
        )
        others = sorted(label.intents.items(), key=lambda item: -item[1])[1:3]
        if others:
            yield f"  next likely: {', '.join(f'{intent} {p:.0%}' for intent, p in others)}"
        for part in label.urgency_parts:
            yield f"  {part.points:+6.2f} {one_line(part.name, 40)}: {one_line(part.why, MAX_SHORT)}"
        if label.unsure:
            yield f"  unsure: {one_line(_why_unsure(label), MAX_SHORT)}"
        yield f"  model {one_line(label.model_version, 40)}, policy {one_line(label.policy_version, 40)}"


def _why_unsure(label: Label) -> str:
    whys = {
        Unsure.CONFIDENCE: "the likeliest intent is not likely enough",
        Unsure.LANGUAGE: f"the model was not measured in its language ({label.language})",
    }
    return "; ".join(whys[why] for why in label.unsure_why) or "an older plaint did not say why"


def _routing(routing: Routing | None) -> Iterator[str]:
    if routing is None:
        return
    if routing.silenced:
        yield f"silenced {one_line(routing.silenced)}"
    elif not routing.tried:
        yield "deleted: a withdraw goes to every destination"
    yield from map(_rule, routing.tried)


def _rule(rule: RuleTried) -> str:
    name = " > ".join((*rule.parents, rule.rule))
    if not rule.took:
        return f"no   {name}: {one_line(rule.unmet)}"
    return f"yes  {name} → {', '.join(rule.destinations) or 'nowhere'}: {one_line(rule.why, MAX_SHORT)}"


def life_lines(life: TicketLife) -> Iterator[str]:
    """A ticket's whole life, a line each."""
    post = f" of {one_line(life.post_id)}" if life.post_id else ""
    yield f"ticket {life.key}{post}"
    yield from (f"  {line}" for line in _life(life))
    if life.hold is not None:
        yield f"  to do: {one_line(life.hold.mend)}"
    if life.requests_lost:
        yield f"  of {life.requests_lost} earlier requests only the number is known; the delivery log is compacted"


def _life(life: TicketLife) -> Iterator[str]:
    yield f"{one_line(life_words(life))}; webhook-id {life.webhook_id}"
    if life.remote_url:
        yield one_line(life.remote_url)
    events = [(asked.at, _asked(asked)) for asked in life.asked] + [(step.at, _step(step)) for step in life.steps]
    began = events[0][0] if events else None
    for at, words in sorted(events, key=lambda event: event[0]):
        after = f" +{span((at - began).total_seconds())}" if began is not None and at > began else ""
        yield f"{clock(at)}{after} {words}"


def _asked(asked: TicketAsked) -> str:
    again = f", generation {asked.generation}" if asked.generation else ""
    rule = f", rule {one_line(asked.rule, 80)}" if asked.rule else ""
    return f"asked for: {asked.op}, revision {asked.revision}{again}, {asked.priority}{rule} ({asked.place})"


def _step(step: Step) -> str:
    late = "" if step.counts else " (came too late to count)"
    if step.state == "accepted":
        tries = f" after {step.attempt} request{'s' * (step.attempt > 1)}" if step.attempt else ""
        answer = f", the last answered {step.status}" if step.status is not None else ""
        return f"accepted: {step.op}, revision {step.revision}, due {clock(step.due_at)}{tries}{answer}{late}"
    if step.state == "sending":
        return f"sending {step.attempt}{late}"
    said = [str(step.status)] if step.status is not None else []
    said += [step.reason] if step.reason else []
    said += [f"as {one_line(step.remote_id, 80)}"] if step.remote_id else []
    return f"{step.state}{': ' if said else ''}{', '.join(said)}{late}"


def _letters(letters: Iterable[Letter]) -> Iterator[str]:
    for letter in letters:
        maybe = "" if letter.certain else " (perhaps of this post: its bytes hold the id)"
        yield f"{letter.id}  {clock(letter.at)} {one_line(letter.stage, 20)}, {letter.reason}{maybe}, {one_line(letter.place)}"
        yield f"  {one_line(letter.detail, MAX_TEXT)}"
        for replay in letter.replays:
            yield f"  sent again {clock(replay.at)} as {one_line(replay.place)}"

"""An explanation in sentences: what it comes to, what can't be known, what to look at next."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from plaint.lookup.explanation import Explanation, Label, Letter, Routing, TicketLife
from plaint.lookup.hold_words import hold_words
from plaint.lookup.verdicts import WAITING
from plaint.terminal import clock
from schemas.labels import URGENCY_WORDS
from schemas.reasons import DropReason
from schemas.topics import DAY_MS, POSTS_RETENTION_MS, TICKETS_RETENTION_MS

_DAY = timedelta(milliseconds=DAY_MS)
UNSENT: dict[str, str] = {
    DropReason.COLLAPSED: "withdrawn before anything was sent",
    DropReason.NOTHING_TO_WITHDRAW: "it had nothing to withdraw",
}
"""What became of a ticket that ended without a request."""
URGENCY_LEVELS = ("none", *URGENCY_WORDS[1:])
"""Beside the number: ``urgency 3 (high)``."""


def summary(facts: Explanation) -> str:
    """One sentence."""
    if not facts.found:
        return "nothing is known of this post"
    said = [_label_words(facts), *map(life_words, _lives(facts))]
    return "; ".join(part for part in said if part) or "known from its dead letters alone"


def newest_label(facts: Explanation) -> Label | None:
    """The label that decides."""
    return next((label for label in reversed(facts.labels) if label.counts), None)


def _label_words(facts: Explanation) -> str:
    label = newest_label(facts)
    if label is None:
        return _unlabelled(facts)
    if label.intent is None:
        return "deleted"
    words = (
        f"{label.intent}{', urgent' if label.urgent else ''} (urgency {label.urgency}, {URGENCY_LEVELS[label.urgency]})"
    )
    if facts.routing is not None and facts.routing.drop and not _rules_differ(facts):
        words += f"; no ticket: {facts.routing.drop}"
    return words


def _unlabelled(facts: Explanation) -> str:
    if not facts.posts:
        return ""
    became = facts.posts[-1].became
    return "it waits for its triage" if became == WAITING else f"no triage: {became}"


def _lives(facts: Explanation) -> list[TicketLife]:
    return [life for life in facts.tickets if life.state != "none"]


def life_words(life: TicketLife) -> str:
    """How a ticket stands, and what holds it back: ``helpdesk: done (201) as 17``."""
    held = f"; {hold_words(life.hold)}" if life.hold is not None else ""
    return f"{_stand(life)}{held}"


def _stand(life: TicketLife) -> str:
    status = f" ({life.status})" if life.status is not None else ""
    reason = f", {life.reason}" if life.reason else ""
    if life.state == "asked":
        return f"{life.destination}: asked for, not taken on yet"
    ends = [step for step in life.steps if step.counts and step.state == "done"]
    if life.reason == DropReason.NOTHING_TO_WITHDRAW and any(step.reason != life.reason for step in ends):
        return f"{life.destination}: withdrawn before"
    if life.reason in UNSENT:
        return f"{life.destination}: {UNSENT[life.reason]}"
    if life.state == "done":
        done = "withdrawn" if ends and ends[-1].op == "withdraw" else "done"
        return f"{life.destination}: {done}{status}{reason}{f' as {life.remote_id}' if life.remote_id else ''}"
    if life.state == "dead":
        return f"{life.destination}: dead{reason}{status}"
    if life.state == "sending":
        return f"{life.destination}: request {life.steps[-1].attempt} is under way, or its worker has died"
    if life.hold is not None:
        return f"{life.destination}: open, waiting"
    return f"{life.destination}: open, next try {clock(life.next_try)}"


def unknowns(facts: Explanation, missing: Sequence[str], no_routes: bool) -> tuple[str, ...]:
    """What the topics can't tell (any more)."""
    return tuple(_unknowns(facts, missing, no_routes))


def _unknowns(facts: Explanation, missing: Sequence[str], no_routes: bool) -> Iterator[str]:
    if missing:
        yield f"these topics do not exist, or this user may not see them: {', '.join(missing)}"
    if no_routes:
        yield "the routes can't be read, so that the rules are not told: run plaint check-config"
    kept = POSTS_RETENTION_MS // DAY_MS
    if not facts.posts and facts.found:
        yield f"plaint.posts holds nothing of it: posts are kept for {kept} days"
    if not facts.labels and any(life.state != "none" for life in facts.tickets):
        yield f"its triage is gone, and with it the label: triages are kept for {kept} days"
    if facts.posts and facts.at - facts.posts[0].at > _DAY:
        yield "of a post that is older than a day only the newest record may be left: earlier revisions are compacted away"
    for life in _lives(facts):
        if life.requests_lost:
            lost = f"{life.requests_lost} earlier request{'s' * (life.requests_lost > 1)}"
            yield f"{life.destination}: of {lost} only the number is known; the delivery log is compacted"
        if not life.asked:
            days = TICKETS_RETENTION_MS // DAY_MS
            yield f"{life.destination}: what route asked for is gone; tickets are kept for {days} days"
    if facts.routing is not None and _rules_differ(facts):
        yield "the rules shown are those of now; the ticket was made by another rule, so the routes have changed since"


def _rules_differ(facts: Explanation) -> bool:
    assert facts.routing is not None, "it was asked before"
    took = {one.rule for one in facts.routing.tried if one.took}
    asked = [life.asked[-1] for life in facts.tickets if life.asked]
    made = {one.rule for one in asked if one.op != "withdraw" and one.revision == facts.routing.revision and one.rule}
    return not made <= took


def checks(facts: Explanation) -> tuple[str, ...]:
    """What to look at or to do, most telling first."""
    return tuple(dict.fromkeys(_checks(facts)))


def _checks(facts: Explanation) -> Iterator[str]:
    if not facts.found:
        yield from _not_found()
        return
    for letter in facts.dead_letters:
        yield f"plaint dead show {letter.id}: the record that {letter.stage} refused ({letter.reason})"
    if facts.posts and facts.posts[-1].became == WAITING:
        yield "no triage yet: is classify running, and how far behind is it? plaint status tells"
    yield from _missing_tickets(facts)
    for life in facts.tickets:
        yield from _ticket_checks(life, facts.dead_letters, life.destination in facts.removed)


def _not_found() -> Iterator[str]:
    yield "the id must be the post's own, whole: plaint tail posts --since 1d --grep WORDS finds it by its text"
    yield "a line that could not be read has no post: plaint dead list --stage ingest"
    yield f"posts are kept for {POSTS_RETENTION_MS // DAY_MS} days, tickets for {TICKETS_RETENTION_MS // DAY_MS}"
    yield "is ingest running, and does it read this source? plaint status tells"


def _missing_tickets(facts: Explanation) -> Iterator[str]:
    routing = facts.routing
    if routing is None:
        return
    if routing.silenced:
        yield "a silence in the routes keeps it from getting tickets"
    elif routing.drop:
        yield "to send such posts somewhere, add a rule to the routes; plaint route test tries it"
    yield from _absent(facts, routing)
    unknown = [name for name in routing.destinations if name not in {life.destination for life in facts.tickets}]
    if unknown:
        yield f"the rules name {', '.join(unknown)}, which the settings don't"


def _absent(facts: Explanation, routing: Routing) -> Iterator[str]:
    """Tickets that the rules ask for and that were never made."""
    absent = [life for life in facts.tickets if life.destination in routing.destinations and life.state == "none"]
    label = newest_label(facts)
    if not absent or label is None or not routing.tried:
        return
    if any(letter.stage == "route" and letter.place == label.place for letter in facts.dead_letters):
        return  # how that is mended is told with the letter
    names = ", ".join(life.destination for life in absent)
    if routing.settled:
        yield (
            f"no ticket for {names}: route settled it by the routes of then, which have changed since; "
            "it gets none unless an edit comes"
        )
        return
    known = "" if routing.settled is False else "; or route settled it already, and the routes have changed since"
    yield f"no ticket for {names} yet: is route running, and how far behind is it? plaint status tells{known}"
    yield from (f"{hold_words(life.hold)}; {life.hold.mend}" for life in absent if life.hold is not None)


def _ticket_checks(life: TicketLife, letters: Sequence[Letter], is_removed: bool) -> Iterator[str]:
    if is_removed:
        if life.state not in ("none", "done"):
            yield f"{life.destination} is not in the settings, so that nobody delivers it: plaint check-config --broker"
        return
    if life.state == "asked":
        yield f"{life.destination}: is its deliver worker running? plaint status tells"
    elif life.state in ("accepted", "sending") and life.hold is None:
        yield f"{life.destination}: plaint tickets retry {life.key} makes it due now"
    elif life.state == "dead":
        found = [letter.id for letter in letters if letter.stage == "deliver"]
        again = f"plaint dead replay {found[-1]} --force" if found else f"plaint tickets retry {life.key}"
        yield f"{life.destination}: once what refused it is mended, {again} sends it again"
    if life.hold is not None and life.state != "none":
        until = "it would wait all the same: " if life.state == "dead" else ""
        yield f"{life.destination}: {until}{life.hold.mend}"

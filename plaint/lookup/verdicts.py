"""What became of each record of a post: what counts, what was dropped and why, and what the routes say of the rest."""

from collections.abc import Mapping, Sequence

from classify.meant import as_meant
from classify.text import is_blank
from plaint.kafka.reading import Stored
from plaint.lookup.explanation import Drop, Label, PostSeen, Routing, RuleTried
from plaint.lookup.letters import HeldLetter
from route.rules import RouteTable
from schemas.post import Post
from schemas.reasons import DropReason
from schemas.record import RecordDropped, RecordInvalid
from schemas.topics import REPLAYED_HEADER
from schemas.triage import Triage

TRIAGED, WAITING = "triaged", "waiting"
Triages = Sequence[tuple[Stored, Triage]]


def triage_in(record: Stored) -> Triage | None:
    """The triage in a record, or None: then it has a dead letter."""
    try:
        return Triage.from_bytes(record.value)
    except (RecordInvalid, RecordDropped):
        return None


def labels_of(triages: Triages) -> tuple[list[Label], list[Drop]]:
    """The labels in the order in which they were written, and which of them changed nothing: the first of a revision counts."""
    newest, labels, drops = -1, [], []
    for record, triage in triages:
        revision = triage.post.revision
        counts = revision > newest or (revision == newest and is_replay(record))
        if not counts:
            drops.append(_again(record, revision, newest, "triage"))
        newest = max(newest, revision)
        labels.append(_label(record, triage, counts))
    return labels, drops


def is_replay(record: Stored) -> bool:
    """Whether a stage had refused this record, and a person has sent it again: then it counts although it came before."""
    return any(name == REPLAYED_HEADER for name, _ in record.headers)


def _label(record: Stored, triage: Triage, counts: bool) -> Label:
    return Label(
        place=record.place,
        at=record.at,
        counts=counts,
        event=triage.post.event,
        revision=triage.post.revision,
        intent=triage.intent,
        confidence=triage.confidence,
        intents=triage.intents,
        sentiment=triage.sentiment,
        urgency=triage.urgency,
        urgent=triage.urgent,
        urgency_parts=triage.urgency_parts,
        unsure=triage.unsure,
        unsure_why=triage.unsure_why,
        language=triage.language,
        model_version=triage.model_version,
        policy_version=triage.policy_version,
        triaged_at=triage.triaged_at,
    )


def _again(record: Stored, revision: int, newest: int, what: str) -> Drop:
    if revision == newest:
        why = f"revision {revision} was there before; a second {what} of it changes nothing"
        return Drop(reason=DropReason.REPEATED, place=record.place, why=why)
    why = f"revision {revision} came after revision {newest}"
    return Drop(reason=DropReason.STALE_REVISION, place=record.place, why=why)


def posts_of(
    records: Sequence[Stored], triaged: set[int], letters: Sequence[HeldLetter]
) -> tuple[list[PostSeen], list[Drop]]:
    """The records of the post in order, and those that were dropped. ``triaged`` are the revisions that have a triage."""
    buried = {held.letter.place: held.letter.reason for held in letters}
    newest, seen, drops = -1, [], []
    for record in records:
        post, became = _read(record)
        drop = _dropped(record, post, became, newest)
        if drop is not None:
            became = drop.reason
            drops.append(drop)
        elif post is not None:
            became = buried.get(record.place) or (TRIAGED if post.revision in triaged else WAITING)
        if post is not None:
            newest = max(newest, post.revision)
        seen.append(_seen(record, post, became))
    return seen, drops


def _dropped(record: Stored, post: Post | None, became: str, newest: int) -> Drop | None:
    """Why classify counts this record and goes on, if it does; ``newest`` is the highest revision before it."""
    if became == DropReason.UNKNOWN_EVENT:
        return Drop(reason=became, place=record.place, why="its event is none that this version knows")
    if post is None:
        return None
    if post.revision < newest or (post.revision == newest and not is_replay(record)):
        return _again(record, post.revision, newest, "record")
    if post.event == "create" and is_blank(post.text):
        return Drop(reason=DropReason.EMPTY_TEXT, place=record.place, why="nothing in its text can be seen")
    return None


def _read(record: Stored) -> tuple[Post | None, str]:
    try:
        return as_meant(Post.from_bytes(record.value), record.timestamp), ""
    except RecordInvalid as refusal:
        return None, refusal.reason
    except RecordDropped as drop:
        return None, drop.reason


def _seen(record: Stored, post: Post | None, became: str) -> PostSeen:
    if post is None:
        return PostSeen(place=record.place, at=record.at, became=became)
    return PostSeen(
        place=record.place,
        at=record.at,
        became=became,
        event=post.event,
        revision=post.revision,
        text=post.text,
        author=post.author.handle or post.author.id,
        network=post.network,
        source=post.source,
        url=post.url,
        created_at=post.created_at,
        received_at=post.received_at,
    )


def routing_of(
    triages: Triages, labels: Sequence[Label], table: RouteTable | None, routed: Mapping[int, int] | None
) -> tuple[Routing | None, list[Drop]]:
    """What the routes make of the newest triage that counts. ``routed`` is before which offset route has settled all, by
    partition; None: that is not known.
    """
    counting = [pair for pair, label in zip(triages, labels, strict=True) if label.counts]
    if not counting or table is None:
        return None, []
    record, triage = counting[-1]
    revision = triage.post.revision
    settled = None if routed is None else routed.get(record.partition, 0) > record.offset
    if triage.post.event == "delete":
        return Routing(revision=revision, tried=(), destinations=table.destinations, settled=settled), []
    silence = table.silence(triage)
    if silence is not None:
        words = silence.words()
        drop = Drop(reason=DropReason.SILENCED, place=record.place, why=f"silenced {words}")
        routing = Routing(
            revision=revision, tried=(), destinations=(), settled=settled, silenced=words, drop=drop.reason
        )
        return routing, [drop]
    tried = tuple(
        RuleTried(
            rule=one.rule,
            why=one.why,
            parents=one.parents,
            took=one.took,
            unmet=str(one.unmet) if one.unmet else "",
            destinations=one.destinations,
        )
        for one in table.trace(triage)
    )
    destinations = tuple(dict.fromkeys(name for one in tried if one.took for name in one.destinations))
    if destinations:
        return Routing(revision=revision, tried=tried, destinations=destinations, settled=settled), []
    names = ", ".join(one.rule for one in tried if one.took)
    drop = Drop(reason=DropReason.UNROUTED, place=record.place, why=f"rule {names} sends it nowhere")
    return Routing(revision=revision, tried=tried, destinations=(), settled=settled, drop=drop.reason), [drop]

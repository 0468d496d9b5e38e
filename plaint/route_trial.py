"""Tries routes on posts without a broker: the work of ``plaint route test``.

A line of the file is a post, which the model labels, or a post with its labels (an ``intent`` at least): what
``plaint tail triage --json`` writes, what ``plaint classify`` writes, or what a person writes, such as
``{"id": "1", "intent": "complaint", "urgent": true, "text": "…"}``.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import orjson

from classify.batch import Classifier
from ingest.decode import post_from_json
from ingest.lines import without_mark
from route.examples import example
from route.fields import FIELDS
from route.operators import ConditionInvalid
from route.rules import RouteTable
from route.trial import Routed, routed
from route.tried import Tried
from schemas.post import Post
from schemas.record import MAX_RECORD_BYTES, RecordInvalid
from schemas.triage import Triage

CHUNK = 512
_EXTRAS = {"v", "model", "post.v"}
"""What stands in lines that plaint writes, and is no field of a post."""


@dataclass(frozen=True)
class Line:
    """One post of the file. ``expected`` is what stands in the column of expectations; ``given`` whether it has one."""

    number: int
    triage: Triage
    given: bool = False
    expected: Any = None


@dataclass(frozen=True)
class Unread:
    """A line that can't be used, and why."""

    number: int
    why: str


@dataclass(frozen=True)
class Trial:
    """What the routes make of one post. ``wrong`` says how that differs from what was expected; empty if it doesn't.

    ``other`` is what the routes to compare with make of it.
    """

    line: Line
    routed: Routed
    wrong: str = ""
    other: Routed | None = None
    tried: Sequence[Tried] = ()

    @property
    def changes(self) -> bool:
        """Whether the two tables differ on this post."""
        return self.other is not None and self.other != self.routed


def read_lines(
    raw: Iterable[bytes], expect: str | None, at: datetime | None, classifier: Callable[[], Classifier]
) -> Iterator[Line | Unread]:
    """The posts of a file in JSON Lines, in order. ``classifier`` is only asked for if a post has no labels.

    ``at`` is the time at which those are triaged that name none; None: now. It decides on hours and silences.
    """
    chunk: list[Line | Unread | tuple[int, Post, dict[str, Any]]] = []
    for number, line in enumerate(without_mark(raw), 1):
        if not line.strip():
            continue
        chunk.append(_read(number, line, expect, at))
        if len(chunk) == CHUNK:
            yield from _labelled(chunk, expect, at, classifier)
            chunk = []
    yield from _labelled(chunk, expect, at, classifier)


def _read(
    number: int, line: bytes, expect: str | None, at: datetime | None
) -> Line | Unread | tuple[int, Post, dict[str, Any]]:
    if len(line) > 2 * MAX_RECORD_BYTES:
        return Unread(number, f"has {len(line):,} bytes")
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Unread(number, f"is no JSON: {error}")
    if not isinstance(fields, dict):
        return Unread(number, "is no JSON object")
    try:
        if "intent" not in fields:
            return number, post_from_json(line), fields
        return _line(number, _with_labels(fields, expect, at or datetime.now(UTC)), fields, expect)
    except RecordInvalid as refusal:
        return Unread(number, refusal.detail)
    except ConditionInvalid as refusal:
        return Unread(number, f"{refusal.what}; {refusal.mend}")


def _labelled(
    chunk: Sequence[Line | Unread | tuple[int, Post, dict[str, Any]]],
    expect: str | None,
    at: datetime | None,
    classifier: Callable[[], Classifier],
) -> Iterator[Line | Unread]:
    bare = [one for one in chunk if isinstance(one, tuple)]
    triages = iter(classifier().triage([post for _, post, _ in bare]) if bare else ())
    for one in chunk:
        if not isinstance(one, tuple):
            yield one
            continue
        number, _, fields = one
        triage = next(triages)
        yield _line(number, triage.model_copy(update={"triaged_at": at}) if at else triage, fields, expect)


def _line(number: int, triage: Triage, fields: dict[str, Any], expect: str | None) -> Line:
    return Line(number, triage, expect is not None and expect in fields, fields.get(expect) if expect else None)


def _with_labels(fields: dict[str, Any], expect: str | None, at: datetime) -> Triage:
    """Fields of a post may stand beside its labels or under ``post``. Raises ConditionInvalid."""
    found: dict[str, Any] = {"triaged_at": at.isoformat()}
    for name, value in fields.items():
        if name in _EXTRAS or name == expect or value is None or _is_foreign(name):
            continue
        is_of_post = name in Post.model_fields and name not in Triage.model_fields
        if name == "post" and isinstance(value, dict):
            value = {key: inner for key, inner in value.items() if key != "v"}
        found[f"post.{name}" if is_of_post else name] = str(value) if name == "id" else value
    return example(found)


def _is_foreign(name: str) -> bool:
    """Whether this is no field at all, rather than one that is misspelt; a team's own columns stand there too."""
    known = {field.partition(".")[0] for field in FIELDS} | Post.model_fields.keys()
    return "." not in name and name not in known and not get_close_matches(name, known, n=1, cutoff=0.75)


def tried(
    lines: Iterable[Line], table: RouteTable, other: RouteTable | None = None, trace: bool = False
) -> Iterator[Trial]:
    """What ``table``, and ``other`` beside it, make of each post."""
    for line in lines:
        found = routed(table, line.triage)
        yield Trial(
            line,
            found,
            unexpected(found, line.expected) if line.given else "",
            None if other is None else routed(other, line.triage),
            table.trace(line.triage) if trace and line.triage.post.event != "delete" else (),
        )


def unexpected(found: Routed, expected: Any) -> str:
    """How ``found`` differs from what was expected, or "".

    Expected is a rule's name, a list of destinations, or an object with ``rule``, ``destinations`` or ``priority``.
    """
    wanted = expected if isinstance(expected, dict) else {}
    if isinstance(expected, str):
        wanted = {"rule": expected}
    elif isinstance(expected, list):
        wanted = {"destinations": expected}
    if not wanted or wanted.keys() - {"rule", "destinations", "priority"}:
        return (
            "what is expected is no rule's name, no list of destinations and no object of rule, destinations, priority"
        )
    return "; ".join(filter(None, (_differs(found, key, value) for key, value in wanted.items())))


def _differs(found: Routed, key: str, wanted: Any) -> str:
    if key == "rule":
        return "" if wanted in found.rules else f"expected rule {wanted}, got {', '.join(found.rules) or 'none'}"
    if key == "priority":
        return "" if wanted == found.priority else f"expected priority {wanted}, got {found.priority}"
    names = sorted(map(str, wanted)) if isinstance(wanted, list) else [str(wanted)]
    got = sorted(found.destinations)
    return "" if names == got else f"expected {', '.join(names) or 'nobody'}, got {', '.join(got) or 'nobody'}"


@dataclass
class Sum:
    """What became of all posts of a file."""

    posts: int = 0
    unread: int = 0
    wrong: int = 0
    changed: int = 0
    expected: int = 0

    def __post_init__(self) -> None:
        self.rules: Counter[str] = Counter()
        self.destinations: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.unrouted: Counter[str] = Counter()

    def add(self, trial: Trial) -> None:
        """Count one post."""
        found = trial.routed
        self.posts += 1
        self.expected += trial.line.given
        self.wrong += bool(trial.wrong)
        self.changed += trial.changes
        self.rules.update(found.rules)
        self.destinations.update(found.destinations)
        self.kinds[found.kind] += 1
        if found.kind == "unrouted":
            self.unrouted[str(trial.line.triage.intent or "unknown")] += 1

    def json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "posts": self.posts,
            "rules": dict(self.rules),
            "destinations": dict(self.destinations),
            "unrouted": dict(self.unrouted),
            "silenced": self.kinds["silenced"],
            "unread": self.unread,
            "expected": self.expected,
            "wrong": self.wrong,
            "changed": self.changed,
        }

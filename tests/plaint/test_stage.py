"""Every record that enters a stage leaves it: as results, as a counted drop, or as a dead letter."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256

import pytest

from plaint.kafka.publisher import OutRecord
from plaint.workers.stage import Dropped, InRecord, Outcome, Result, StageBroken, Stretch, decoded, outcomes
from schemas.deadletter import DeadLetter
from schemas.post import Post
from schemas.reasons import DeadReason, DropReason

CANARY = InRecord("in", 0, -1, b"canary", b"canary", 0.0)


def record(value: bytes, offset: int = 0) -> InRecord:
    return InRecord("in", 2, offset, b"key", value, 0.0)


class Copy:
    """A stage that copies each value, unless ``poison`` says that it raises."""

    name = "copy"
    input_topic = "in"

    def __init__(self, poison: Callable[[Sequence[InRecord]], bool] = lambda records: False) -> None:
        self.poison = poison
        self.stood: list[bytes | None] = []

    def process(self, records: Sequence[InRecord]) -> list[Outcome]:
        if self.poison(records):
            raise ValueError("can't do that")
        return [Result((OutRecord("out", r.partition, r.key, r.value or b""),)) for r in records]

    def took(self, records: Sequence[InRecord]) -> None:
        self.stood += [record.value for record in records]

    def unknown(self, records: Sequence[InRecord]) -> list[Stretch]:
        return []

    def remember(self, records: Sequence[InRecord]) -> None: ...


def test_a_sound_batch_gives_one_result_a_record_in_order() -> None:
    stage = Copy()
    found = outcomes(stage, [record(b"a"), record(b"b")], CANARY)
    assert [r.records[0].value for r in found if isinstance(r, Result)] == [b"a", b"b"]
    assert stage.stood == [b"a", b"b"]


def test_one_poisonous_record_is_dead_lettered_and_its_neighbours_pass() -> None:
    stage = Copy(lambda records: any(r.value == b"bad" for r in records))
    first, second, third = outcomes(stage, [record(b"a", 7), record(b"bad", 8), record(b"c", 9)], CANARY)
    assert isinstance(first, Result)
    assert isinstance(third, Result)
    assert isinstance(second, DeadLetter)
    assert (second.reason, second.place, second.value) == (DeadReason.STAGE_ERROR, "in[2]@8", b"bad")
    assert second.detail == "ValueError: can't do that"
    assert stage.stood == [b"a", b"c"], "the stage is told what it gave an outcome, and nothing else"


def test_a_batch_that_fails_only_as_a_whole_passes_record_by_record() -> None:
    found = outcomes(Copy(lambda records: len(records) > 1), [record(b"a"), record(b"b")], CANARY)
    assert all(isinstance(outcome, Result) for outcome in found)


def test_a_stage_that_fails_on_a_sound_record_too_is_broken_and_kills_no_record() -> None:
    with pytest.raises(StageBroken, match="fails on a sound record too"):
        outcomes(Copy(lambda records: True), [record(b"a")], CANARY)


def test_a_stage_that_forgets_a_record_is_broken() -> None:
    class Forgetful(Copy):
        def process(self, records: Sequence[InRecord]) -> list[Outcome]:
            return super().process(records)[1:]

    with pytest.raises(StageBroken):
        outcomes(Forgetful(), [record(b"a"), record(b"b")], CANARY)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", DeadReason.INVALID_JSON),
        (b"\xff\xfe", DeadReason.INVALID_JSON),
        (None, DeadReason.INVALID_JSON),
        (b"[]", DeadReason.INVALID_RECORD),
        (b'{"id":"1"}', DeadReason.INVALID_RECORD),
        (b'{"id":"1","text":"\\ud800"}', DeadReason.INVALID_JSON),
        (b'{"id":"1","text":"a","created_at":"9999-12-31T23:59:59-10:00"}', DeadReason.INVALID_RECORD),
    ],
)
def test_what_is_no_post_becomes_a_dead_letter_with_its_place(value: bytes | None, reason: DeadReason) -> None:
    letter = decoded("classify", InRecord("plaint.posts", 1, 42, None, value, 17.5), Post.from_bytes)
    assert isinstance(letter, DeadLetter)
    assert letter.written_at == datetime.fromtimestamp(17.5, UTC)
    assert (letter.reason, letter.place, letter.value) == (reason, "plaint.posts[1]@42", value or b"")


def test_an_event_that_this_version_does_not_know_is_a_counted_drop() -> None:
    assert decoded("classify", record(b'{"id":"1","text":"a","event":"boost"}'), Post.from_bytes) == Dropped(
        DropReason.UNKNOWN_EVENT
    )


def test_a_fault_never_shows_the_text_of_the_post() -> None:
    letter = decoded("classify", record(b'{"id":"1","text":["secret words"]}'), Post.from_bytes)
    assert isinstance(letter, DeadLetter)
    assert "secret" not in letter.detail
    assert letter.detail.startswith("text: ")


def test_a_dead_letter_survives_kafka() -> None:
    letter = DeadLetter.of(DeadReason.REFUSED, "deliver", "x:1", "no\r\nheader: injected", b"v" * 300_000, b"k")
    assert len(letter.value) == 256 * 1024
    assert (letter.size, letter.sha256) == (300_000, sha256(b"v" * 300_000).hexdigest())
    assert DeadLetter.from_kafka(letter.key, letter.value, letter.headers()) == letter


def test_a_dead_letter_has_room_for_no_more_than_a_header_and_a_key_take() -> None:
    letter = DeadLetter.of(DeadReason.REFUSED, "deliver", "x:1", "d" * 10_000, b"", b"k" * 10_000)
    assert (len(letter.detail), len(letter.key)) == (2000, 1024)

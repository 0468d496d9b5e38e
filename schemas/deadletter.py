"""A record that can never pass. Its value is the original bytes, everything said about it stands in the headers."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Self

from schemas.post import Moment
from schemas.reasons import DeadReason
from schemas.record import MAX_RECORD_BYTES, Record

Header = tuple[str, bytes]
MAX_DETAIL_CHARS = 2000
_MARK = "plaint-replayed-"


class Replayed(Record):
    """The mark that a dead letter was sent again: a record without text beside it in ``plaint.deadletters``.

    ``letter`` is the partition and offset of that letter, ``2@17``; ``place`` is where the copy of its record lies.
    """

    letter: str
    place: str
    at: Moment

    def headers(self) -> list[Header]:
        """Kafka headers; no name is one of a dead letter's, so that neither is taken for the other."""
        return [(f"{_MARK}{name}", str(field).encode()) for name, field in self.model_dump(mode="json").items()]

    @classmethod
    def from_kafka(cls, headers: Sequence[Header]) -> Self:
        """Read one back. Raises pydantic.ValidationError if the headers aren't a mark's."""
        return cls.model_validate(
            {name.removeprefix(_MARK): field.decode("utf-8", "replace") for name, field in headers}
        )


class DeadLetter(Record):
    """Where a record stood and why it can't pass.

    ``place`` is where a person finds it: ``posts.jsonl:17`` or ``plaint.posts[3]@1042``. ``value`` is cut at 256 KiB;
    ``size`` and ``sha256`` are those of the whole. ``written_at`` is Kafka's time of a record, None of what was none.
    """

    reason: DeadReason
    stage: str
    place: str
    detail: str
    size: int
    sha256: str
    at: Moment
    written_at: Moment | None = None
    key: bytes = b""
    value: bytes = b""

    @classmethod
    def of(
        cls,
        reason: DeadReason,
        stage: str,
        place: str,
        detail: str,
        value: bytes | None,
        key: bytes | None = None,
        written_at: datetime | None = None,
    ) -> Self:
        """The dead letter of ``value``, cut to what a topic takes."""
        whole = value or b""
        return cls(
            reason=reason,
            stage=stage,
            place=place,
            detail=detail[:MAX_DETAIL_CHARS],
            size=len(whole),
            sha256=sha256(whole).hexdigest(),
            at=datetime.now(UTC),
            written_at=written_at,
            key=(key or b"")[:1024],
            value=whole[:MAX_RECORD_BYTES],
        )

    def headers(self) -> list[Header]:
        """Kafka headers, all text in UTF-8."""
        fields = self.model_dump(mode="json", exclude={"key", "value"}, exclude_none=True)
        return [(f"plaint-{name}", str(field).encode("utf-8", "replace")) for name, field in fields.items()]

    @classmethod
    def from_kafka(cls, key: bytes | None, value: bytes | None, headers: Sequence[Header]) -> Self:
        """Read one back. Raises pydantic.ValidationError if the headers aren't a dead letter's."""
        fields = {name.removeprefix("plaint-"): field.decode("utf-8", "replace") for name, field in headers}
        return cls.model_validate({**fields, "key": key or b"", "value": value or b""})

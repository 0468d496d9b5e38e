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


class DeadLetter(Record):
    """Where a record stood and why it can't pass.

    ``place`` is where a person finds it: ``posts.jsonl:17`` or ``plaint.posts[3]@1042``. ``value`` is cut at 256 KiB;
    ``size`` and ``sha256`` are those of the whole.
    """

    reason: DeadReason
    stage: str
    place: str
    detail: str
    size: int
    sha256: str
    at: Moment
    key: bytes = b""
    value: bytes = b""

    @classmethod
    def of(
        cls, reason: DeadReason, stage: str, place: str, detail: str, value: bytes | None, key: bytes | None = None
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
            key=(key or b"")[:1024],
            value=whole[:MAX_RECORD_BYTES],
        )

    def headers(self) -> list[Header]:
        """Kafka headers, all text in UTF-8."""
        fields = self.model_dump(mode="json", exclude={"key", "value"})
        return [(f"plaint-{name}", str(field).encode("utf-8", "replace")) for name, field in fields.items()]

    @classmethod
    def from_kafka(cls, key: bytes | None, value: bytes | None, headers: Sequence[Header]) -> Self:
        """Read one back. Raises pydantic.ValidationError if the headers aren't a dead letter's."""
        fields = {name.removeprefix("plaint-"): field.decode("utf-8", "replace") for name, field in headers}
        return cls.model_validate({**fields, "key": key or b"", "value": value or b""})

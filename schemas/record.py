"""The base of everything that travels, and how bytes become a record or one of the two ways out."""

from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.reasons import DeadReason, DropReason

MAX_RECORD_BYTES = 256 * 1024
"""Largest record that ingest publishes, so that every record also fits into a dead letter."""


class Record(BaseModel):
    """Frozen; unknown fields are ignored, so that an older worker reads what a newer one wrote.

    Every record that travels has ``v``, the version of its schema. It is raised by a change that an older reader can't
    take; a field added with a default is no such change.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    def to_bytes(self) -> bytes:
        """Compact JSON in UTF-8, without the fields that are None."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def from_bytes(cls, value: bytes | None) -> Self:
        """Read a Kafka value. Raises RecordInvalid, or RecordDropped for an event that this version doesn't know."""
        return decode(cls, value)


class RecordDropped(Exception):
    """The record is sound but gives no result; ``reason`` says why."""

    def __init__(self, reason: DropReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class RecordInvalid(Exception):
    """The record can never pass; ``reason`` and ``detail`` (place and what is wrong) go into its dead letter."""

    def __init__(self, reason: DeadReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


R = TypeVar("R", bound=Record)


def decode(kind: type[R], value: bytes | None) -> R:
    """``value`` as a record of ``kind``. Raises RecordInvalid or RecordDropped (see there)."""
    if value is None:
        raise RecordInvalid(DeadReason.INVALID_JSON, "the record has no value")
    try:
        return kind.model_validate_json(value)
    except ValidationError as error:
        raise _refusal(error) from None


def faults(error: ValidationError) -> str:
    """Every fault of a record in one line, ``author.followers: Input should be …``; never the value itself."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'record'}: {e['msg']}" for e in found[:20])


def _refusal(error: ValidationError) -> Exception:
    found = error.errors(include_url=False, include_context=False)
    if any(e["type"] == "json_invalid" for e in found):
        return RecordInvalid(DeadReason.INVALID_JSON, faults(error))
    unknown_event = (e["type"] == "literal_error" and e["loc"][-1:] == ("event",) for e in found)
    if any(unknown and isinstance(e["input"], str) for unknown, e in zip(unknown_event, found, strict=True)):
        return RecordDropped(DropReason.UNKNOWN_EVENT)
    return RecordInvalid(DeadReason.INVALID_RECORD, faults(error))

"""How the inbox fails when it is told to: the rules, and the draw that decides which of them a request meets."""

from collections.abc import Iterator
from random import Random
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class _Rule(BaseModel):
    """``share`` of the requests of ``queue`` (of all queues without it) meet the rule, drawn by chance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    queue: str | None = None
    share: Annotated[float, Field(ge=0, le=1)] = 1.0


class Wait(_Rule):
    """Let the sender wait, then go on to the next rule."""

    do: Literal["wait"]
    seconds: Annotated[float, Field(ge=0, le=3600)]


class Answer(_Rule):
    """Answer ``status``, with ``Retry-After`` if given, having taken the ticket or not."""

    do: Literal["answer"]
    status: Annotated[int, Field(ge=200, le=599)]
    retry_after: str | None = Field(default=None, pattern=r"^[ -~]{1,64}$")
    taken: bool = False


class Drop(_Rule):
    """Drop the line without an answer, having taken the ticket or not."""

    do: Literal["drop"]
    taken: bool = False


class Hang(_Rule):
    """Never answer and leave the line open, having taken the ticket or not."""

    do: Literal["hang"]
    taken: bool = False


Failure = Answer | Drop | Hang
Rule = Annotated[Wait | Answer | Drop | Hang, Field(discriminator="do")]


class Faults(BaseModel):
    """Rules in the order in which a request meets them. The same seed and requests give the same draws."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    rules: Annotated[tuple[Rule, ...], Field(max_length=100)] = ()

    def to_json(self) -> dict[str, JsonValue]:
        """The rules as they came in, without what was left at its default."""
        kept: dict[str, JsonValue] = self.model_dump(mode="json", exclude_none=True)
        return kept


class Chance:
    """Draws for each request which rules it meets."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._random = Random(faults.seed)  # noqa: S311 - chance of a test, no secret

    def draw(self, queue: str) -> Iterator[Wait | Failure]:
        """The rules that one request of ``queue`` meets: waits, and at most one failure, which comes last."""
        for rule in self.faults.rules:
            if rule.queue not in (None, queue) or self._random.random() >= rule.share:
                continue
            yield rule
            if not isinstance(rule, Wait):
                return

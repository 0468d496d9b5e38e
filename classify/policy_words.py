"""Reads the words that raise urgency, ``policy_words.yaml``: what they are for and how they are written stands there."""

import re
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

_FILE = Path(__file__).with_name("policy_words.yaml")
_SET = re.compile(r"<(\w+)>")


class Words(BaseModel):
    """One kind of words: ``points`` are added up to ``ceiling``, both on the scale of urgency; patterns by heading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    points: Annotated[float, Field(gt=0, le=4)]
    ceiling: Annotated[float, Field(gt=0, le=4)]
    patterns: dict[str, str]

    def regex(self, sets: dict[str, str]) -> str:
        """All patterns as one, in RE2's syntax. Raises KeyError for a set that isn't there."""
        lines = [line for heading in self.patterns.values() for line in heading.splitlines()]
        return rf"\b(?:{'|'.join(_SET.sub(lambda name: sets[name[1]], line) for line in lines)})\b"


class PolicyWords(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sets: dict[str, str]
    kinds: tuple[Words, ...]


def load_policy_words() -> PolicyWords:
    """The shipped words."""
    return PolicyWords.model_validate(yaml.safe_load(_FILE.read_text(encoding="utf-8")))

"""Which model labels the posts, as the settings name it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.labels import Intent, Sentiment

HUGGING_FACE = "hf:"
"""What a text begins with that names a model of Hugging Face."""

Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
Level = Annotated[int, Field(ge=0, le=4)]


def user_data_folder() -> Path:
    """``$XDG_DATA_HOME/plaint``, or ``~/.local/share/plaint``."""
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if Path(base).is_absolute() else _home() / ".local" / "share") / "plaint"


def _home() -> Path:
    """The user's; ``/`` of one whom this machine does not know, as container engines have it."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


class Part(BaseModel):
    """A sequence classifier in the format of Hugging Face: a folder on this machine, or a name on the hub."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hugging_face: Annotated[
        str, Field(min_length=1, description="Folder of a sequence classifier, or its name on the hub: OWNER/NAME.")
    ]
    revision: Annotated[
        str, Field(description="Commit, tag or branch on the hub. Name a commit, and the model can't change unseen.")
    ] = ""
    labels: Annotated[dict[str, Any], Field(description="What each of its labels means.")] = {}

    @property
    def text(self) -> str:
        """As ``hf:NAME``, with the revision where there is one."""
        return f"{HUGGING_FACE}{self.hugging_face}{f'@{self.revision}' if self.revision else ''}"


class SentimentModel(Part):
    """A second model, for the sentiment alone."""

    labels: Annotated[
        dict[str, Sentiment], Field(description="What each of its labels means: negative, neutral or positive.")
    ] = {}


class UrgencyModel(Part):
    """A second model, for the urgency alone."""

    labels: Annotated[
        dict[str, Level], Field(description="The urgency of each of its labels, 0 (none) to 4 (critical).")
    ]
    urgent_threshold: Annotated[
        float,
        Field(gt=0, lt=1, description="A complaint of urgency 3 or 4 with at least this probability is urgent."),
    ] = 0.5


class ModelChoice(Part):
    """``classify.model``: a text, or a map for a model of Hugging Face.

    The text is the name of a model that `plaint models list` shows, the folder of one, or `hf:` and a model of Hugging Face
    whose labels are called as those of plaint.
    """

    model_config = ConfigDict(json_schema_extra={"takes": "text or map"})

    name: Annotated[str, Field(description="A model in plaint's own format: its name, or its folder.")] = ""
    hugging_face: Annotated[
        str, Field(description="A sequence classifier that says what posts ask: its folder, or OWNER/NAME on the hub.")
    ] = ""
    labels: Annotated[
        dict[str, Intent],
        Field(
            description="What each of its labels means: complaint, question, praise, marketing or other. Several may mean "
            "the same. Not needed for labels that are called so."
        ),
    ] = {}
    languages: Annotated[
        tuple[Language, ...],
        Field(
            description="Languages that you have measured it in, such as en. A post in another is unsure; where none is "
            "named every post is."
        ),
    ] = ()
    sentiment: Annotated[
        SentimentModel | None,
        Field(description="A model for the sentiment. Without it the one that plaint ships says it."),
    ] = None
    urgency: Annotated[
        UrgencyModel | None, Field(description="A model for the urgency. Without it the one that plaint ships says it.")
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        if isinstance(given, Path):
            return {"name": str(given)}
        if not isinstance(given, str):
            return given
        if given.startswith(HUGGING_FACE):
            name, _, revision = given.removeprefix(HUGGING_FACE).partition("@")
            return {"hugging_face": name, "revision": revision}
        return {"name": given}

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if bool(self.name) == bool(self.hugging_face):
            raise ValueError("names no model, or two; give the name of one, its folder, or hugging_face")
        if self.name and self.model_fields_set - {"name"} and self != ModelChoice(name=self.name):
            raise ValueError(f"{self.name} brings its labels along; leave all but the name out")
        return self

    @property
    def text(self) -> str:
        """As it can be written in the settings, in one line."""
        return self.name or super().text

    @property
    def parts(self) -> Sequence[tuple[str, Part]]:
        """Each of its models of Hugging Face, with the key that it stands under."""
        others = (("sentiment", self.sentiment), ("urgency", self.urgency))
        return [("", self), *((key, one) for key, one in others if one is not None)]

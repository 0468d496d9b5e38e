"""Settings of a source, as a map or as one short text: ``file:posts.csv.gz,columns.id=tweet_id,columns.text=body,loop``."""

import stat
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from ingest.lines import STDIN
from schemas.post import Post

KINDS = "file:PATH, file:- or stdin"
SWITCHES = {"loop"}
STDIN_PATHS = ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
"""Other names of standard input. Each process has its own under them, so they are read as ``-``."""


def _post_fields() -> tuple[str, ...]:
    """``id``, ``text``, ``author.handle`` …: what a column can be."""
    names = []
    for name, field in Post.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += [f"{name}.{part}" for part in field.annotation.model_fields]
        elif name != "v":
            names.append(name)
    return tuple(names)


POST_FIELDS = _post_fields()


class SourceSettings(BaseModel):
    """One entry of ``sources:``. A text instead of a map is ``file:PATH`` with options after commas.

    Where the path or a column's name has a comma in it, write the map.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Annotated[Literal["file"], Field(description="What the posts come from: file.")] = "file"
    path: Annotated[str, Field(min_length=1, description="A file, plain or gzip; - is standard input.")]
    name: Annotated[
        str,
        Field(
            max_length=100,
            description="Given to posts that don't say where they come from. Empty: file:NAME or stdin.",
        ),
    ] = ""
    format: Annotated[
        Literal["auto", "jsonl", "csv"],
        Field(
            description="jsonl: one JSON object a line. csv: a table in UTF-8 whose first row names the columns. "
            "auto: csv if columns are given or the file's name ends in .csv or .csv.gz, else jsonl."
        ),
    ] = "auto"
    columns: Annotated[
        dict[str, str],
        Field(
            description="For csv: field of the post = name of the column, such as id=tweet_id,author.handle=user. Only "
            "these are read. Empty: every column that is named like a field. An empty cell is a field not given; a row "
            "with an empty id gets one that is made of its content."
        ),
    ] = {}
    constants: Annotated[
        dict[str, str], Field(description="For csv: fields with one value for all rows, such as network=x.")
    ] = {}
    rate: Annotated[
        float | None,
        Field(gt=0, le=1e6, description="Posts a second, evenly. Empty: as fast as the broker takes them."),
    ] = None
    loop: Annotated[
        bool,
        Field(
            description="Read the file again and again until stopped, to make load. A post seen twice would be dropped, "
            "so each round after the first gives new ids: ID~2, ID~3 …"
        ),
    ] = False

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        return _parse(given) if isinstance(given, str) else given

    @field_validator("path")
    @classmethod
    def _one_name_for_stdin(cls, given: str) -> str:
        return STDIN if given in STDIN_PATHS else given

    @field_validator("columns", "constants", mode="before")
    @classmethod
    def _pairs(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        pairs = [part.partition("=") for part in given.split(",") if part]
        return {field.strip(): value.strip() for field, _, value in pairs}

    @field_validator("columns", "constants")
    @classmethod
    def _known_fields(cls, given: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        for field, value in given.items():
            if field not in POST_FIELDS:
                raise ValueError(f"{field} is no field of a post; it takes {', '.join(POST_FIELDS)}")
            if not value:
                raise ValueError(f"{field} has no value; write {field}=VALUE")
        if info.field_name == "constants" and "id" in given:
            raise ValueError("id can't be the same for all posts; map it to a column")
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.loop and self.path == STDIN:
            raise ValueError("standard input can't be read again; leave loop out or give a file")
        if not self.is_csv and (self.columns or self.constants):
            raise ValueError("JSON Lines have no columns; leave columns and constants out or say format=csv")
        if both := self.columns.keys() & self.constants.keys():
            raise ValueError(f"{', '.join(sorted(both))}: is both a column and a constant; leave one out")
        return self

    @property
    def is_csv(self) -> bool:
        """Whether the source is read as a table."""
        if self.format == "auto":
            return bool(self.columns) or self.path.lower().endswith((".csv", ".csv.gz"))
        return self.format == "csv"

    @property
    def is_stream(self) -> bool:
        """Whether it is standard input, a pipe or a device: what was taken from it can't be read again."""
        if self.path == STDIN:
            return True
        try:
            return not stat.S_ISREG(Path(self.path).stat().st_mode)
        except OSError:  # what is wrong with it is told as a fault
            return False


def _parse(text: str) -> dict[str, Any]:
    """``file:PATH,option=value,columns.id=COLUMN,loop`` as a map. Raises ValueError."""
    head, *options = text.split(",")
    kind, colon, path = head.partition(":")
    if head == "stdin":
        path = STDIN
    elif kind != "file" or not colon:
        raise ValueError(f"{head!r} names no source; it takes {KINDS}")
    found: dict[str, Any] = {"path": path}
    for option in options:
        key, equals, value = option.partition("=")
        section, dot, field = key.partition(".")
        if key in SWITCHES and not equals:
            found[key] = True
        elif dot and section in ("columns", "constants"):
            found.setdefault(section, {})[field] = value
        elif equals:
            found[key] = value
        else:
            raise ValueError(f"{option!r} is no option; write option=value (or loop) after a comma")
    return found

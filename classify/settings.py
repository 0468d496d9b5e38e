"""How posts are classified."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from models.choice import ModelChoice, user_data_folder


class ClassifySettings(BaseModel):
    """``classify:`` in the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[
        ModelChoice | None,
        Field(
            description="Which model: a name of `plaint models list`, a folder, or a model of Hugging Face. None: the one that "
            "`plaint models use` chose, else the one that plaint ships."
        ),
    ] = None
    models: Path = Field(
        default_factory=lambda: user_data_folder() / "models",
        description="Folder of your own models, a folder each. `plaint models use` notes there which one is used; without it "
        "plaint/models in the user's folder for data.",
    )
    threads: Annotated[
        int | None, Field(ge=1, le=256, description="Threads that the model computes with; none: one a core.")
    ] = None
    batch: Annotated[
        int,
        Field(ge=1, le=10_000, description="Most posts in one batch: more is faster a post, but each waits longer."),
    ] = 512
    linger_s: Annotated[
        float, Field(gt=0, le=10, description="Seconds that a post waits for others to share its batch.")
    ] = 0.05
    unsure_below: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="A post whose most likely intent is below this confidence is unsure; none: the threshold that was "
            "chosen with the model's weights.",
        ),
    ] = None
    remember: Annotated[
        int, Field(ge=0, le=10_000_000, description="How many of the last post ids are known again as repeated.")
    ] = 50_000

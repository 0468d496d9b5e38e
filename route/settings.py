"""How posts are routed."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class RouteSettings(BaseModel):
    """``route:`` in the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    routes: Annotated[
        Path | None, Field(description="File of routing rules; none: the ones that plaint ships (route/routes.yaml).")
    ] = None
    abandoned: Annotated[
        tuple[str, ...],
        Field(description="Removed destinations whose undelivered tickets are given up on purpose."),
    ] = ()
    remember: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="Posts a partition whose first triage is known, so that a second one makes no other ticket.",
        ),
    ] = 10_000

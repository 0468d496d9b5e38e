"""The state of processes as JSON, for people and programs that ask why: ``GET /state``.

A stage answers with a ``StageState``, ``plaint up`` with a ``RunState`` that holds those of its children.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

StageName = Literal["ingest", "classify", "route", "deliver", "inbox"]


class _Shown(BaseModel):
    """Unknown fields are ignored, so that an older reader takes what a newer process says."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class LastError(_Shown):
    """The last thing that went wrong in a process, in one line without control characters."""

    at: datetime
    what: str


class BreakerState(_Shown):
    """Whether the destination is taken to be down. ``since`` is when that last changed, None if it never did."""

    state: Literal["closed", "open"]
    since: datetime | None = None


class Disabled(_Shown):
    """A destination that gets nothing until a person acts."""

    why: str
    since: datetime | None = None


class LimitsState(_Shown):
    """The limits of a destination, as its settings of the same names have them."""

    max_per_minute: int | None = None
    max_per_author_per_hour: int | None = None


class ModelState(_Shown):
    """What classifies: the version of the weights and what runs them. ``refused``: why the last try to load another failed."""

    version: str
    engine: str
    refused: tuple[str, ...] = ()


class RoutesState(_Shown):
    """What routes: the version of the file, in use ``since`` then. ``refused``: why the last try to read it again failed."""

    version: str
    since: datetime
    refused: tuple[str, ...] = ()


class StageState(_Shown):
    """One process of one stage. Times are in UTC, ages in seconds, lags in records."""

    stage: StageName
    destination: str = ""
    """Id of the destination of a deliver process."""
    instance: str
    """PLAINT_INSTANCE, else host and process id."""
    pid: int
    version: str
    """Of plaint."""
    started_at: datetime
    at: datetime
    """When this was told."""
    ready: bool
    missing: tuple[str, ...] = ()
    """What it still waits for, each in one line; empty once it is ready."""
    healthy: bool = True
    unhealthy_why: str = ""
    """Why ``/healthz`` answers 503, with what was seen."""
    partitions: tuple[int, ...] = ()
    """Partitions of its input topic that it owns now."""
    last_progress_at: datetime | None = None
    """When it last dealt with a record; None if it never did."""
    lag: int | None = None
    """Records of its partitions that are not acknowledged yet; None where that is not known, or has no meaning."""
    lags: dict[int, int] = Field(default_factory=dict)
    """The same by partition."""
    open_tickets: int | None = None
    """Tickets that a deliver process has taken on and not brought to an end."""
    oldest_undelivered_s: float | None = None
    """Age of the oldest of them, from when its post was received, or its author's turn came if it had to wait for that; None
    if there is none but such as still wait for it."""
    window_full: bool = False
    """So many tickets are open that it reads no more for now, on purpose."""
    breaker: BreakerState | None = None
    disabled: Disabled | None = None
    limits: LimitsState | None = None
    last_error: LastError | None = None
    model: ModelState | None = None
    routes: RoutesState | None = None

    @property
    def name(self) -> str:
        """As ``plaint up`` names the process: ``classify``, ``deliver-helpdesk``."""
        return f"{self.stage}-{self.destination}" if self.destination else self.stage


class ChildState(_Shown):
    """A process that ``plaint up`` keeps running."""

    name: str
    """``ingest``, ``classify``, ``route``, ``deliver-helpdesk``, ``inbox``."""
    pid: int | None
    """None while it is not running."""
    restarts: int = 0
    done: bool = False
    """It has ended well and is not started again: a source that came to its end."""
    last_exit: int | None = None
    """Exit code of its last end, 128 + signal as in a shell."""
    silent: str = ""
    """Why its state can't be had: it is not running, is still starting, or does not answer."""
    state: StageState | None = None


class BrokerState(_Shown):
    """The broker that ``plaint up`` brought along."""

    name: str
    address: str
    pid: int
    alive: bool


class RunState(_Shown):
    """A running ``plaint up``."""

    kind: Literal["up"] = "up"
    pid: int
    version: str
    started_at: datetime
    at: datetime
    ready: bool
    healthy: bool
    faults: tuple[str, ...] = ()
    """What keeps it from being ready or healthy, a line each, with the child's name."""
    broker: BrokerState | None = None
    """None with brokers of your own."""
    children: Annotated[tuple[ChildState, ...], Field(description="In the order of the way.")] = ()

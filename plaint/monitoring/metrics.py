"""Every metric of plaint, declared once: name, meaning, labels, and who tells it. docs/metrics.md is written from here.

Each sample carries ``stage``, and those of a deliver process ``destination``. No label ever holds what a post, an author or a
receiver says: each takes its values from a closed list, from the settings, or from the partitions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from ingest.http.outcomes import ANSWERS, NONE, Refusal
from plaint.monitoring.state import StageName
from schemas.labels import INTENTS, URGENCIES, Unsure
from schemas.reasons import DeadReason, DropReason

Kind = Literal["counter", "gauge", "histogram", "info"]

STAGES: tuple[StageName, ...] = get_args(StageName)
UP = "up"
"""``plaint up`` itself."""

INTENT = (*INTENTS, "none")
"""``none`` is a deleted post, which has no labels."""
SETTINGS, PARTITIONS = "one each in the settings", "one a partition"
"""What bounds a label without a closed list."""

POST_SECONDS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 120.0, 600.0, 3600.0)
"""Close around 1 s, which is the goal; the long end tells an outage from a slow minute."""
WORK_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
RECORDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True, eq=False)
class Metric:
    """One metric. A counter's samples are called ``name`` with ``_total`` behind it.

    ``labels`` says for each label which values it takes: a closed list, or what bounds it. ``sets`` are the combinations
    that are told from the start, at 0, in the order of the labels; without it those are all combinations of closed lists.
    """

    name: str
    kind: Kind
    help: str
    stages: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...] | str] = field(default_factory=dict)
    sets: tuple[tuple[str, ...], ...] | None = None
    buckets: tuple[float, ...] = ()

    @property
    def sample(self) -> str:
        """The name to look for in Prometheus; a histogram's has ``_bucket``, ``_sum`` and ``_count`` behind it."""
        return self.name + {"counter": "_total", "info": "_info"}.get(self.kind, "")


_BY_BATCH = ("classify", "route")
_READERS = (*_BY_BATCH, "deliver")
_WORKERS = ("ingest", *_READERS)
_OUTCOMES = (
    ("result", "none"),
    *(("dropped", reason.value) for reason in DropReason),
    *(("dead", reason.value) for reason in DeadReason),
)

RECORDS_DONE = Metric(
    "plaint_records",
    "counter",
    "Records that a stage has dealt with, by what became of them: a result, a counted drop or a dead letter. "
    "At deliver these are revisions of tickets that came to their end.",
    _WORKERS,
    {"outcome": ("result", "dropped", "dead"), "reason": "none for a result, else DropReason or DeadReason"},
    sets=_OUTCOMES,
)
TRIAGED = Metric(
    "plaint_triaged_posts",
    "counter",
    "Posts that were labelled, by what they ask and how urgent they are, from 0 (not at all) to 4 (critical).",
    ("classify",),
    {"intent": INTENT, "urgency": tuple(map(str, URGENCIES))},
)
URGENT = Metric(
    "plaint_urgent_posts",
    "counter",
    "Posts of which the policy says that they can't wait.",
    ("classify",),
    {"intent": INTENT},
)
UNSURE = Metric(
    "plaint_unsure_posts",
    "counter",
    "Posts whose labels are unsure, by why: the likeliest intent is not likely enough, or the model was not measured in the "
    "post's language. One that is unsure for both counts in both.",
    ("classify",),
    {"why": tuple(Unsure)},
)
UNROUTED = Metric(
    "plaint_unrouted_posts",
    "counter",
    "Posts that no rule of the routes sends anywhere, by what they ask and whose they are: own, of the brand's own accounts, "
    "which the shipped routes send nowhere on purpose, or other.",
    ("route",),
    {"intent": INTENT, "author": ("own", "other")},
)
TICKETS = Metric(
    "plaint_tickets",
    "counter",
    "Revisions of tickets written for each destination, withdraws included.",
    ("route",),
    {"destination": SETTINGS},
)
BATCH = Metric("plaint_batch_records", "histogram", "Records in a batch.", _BY_BATCH, buckets=RECORDS)
WAITED = Metric(
    "plaint_wait_seconds",
    "histogram",
    "From the time of a record in Kafka to the start of the work on its batch; of each record.",
    _BY_BATCH,
    buckets=POST_SECONDS,
)
COMPUTED = Metric(
    "plaint_compute_seconds", "histogram", "Work on a batch: the model, the rules.", _BY_BATCH, buckets=WORK_SECONDS
)
PUBLISHED = Metric(
    "plaint_publish_seconds",
    "histogram",
    "From the end of the work on a batch to Kafka's acknowledgement of its results.",
    _BY_BATCH,
    buckets=WORK_SECONDS,
)
MODEL_TEXTS = Metric(
    "plaint_model_texts",
    "counter",
    "Texts that were to be scored: computed by the model, or known since the same text came before.",
    ("classify",),
    {"how": ("computed", "known")},
)
TO_TRIAGE = Metric(
    "plaint_post_to_triage_seconds",
    "histogram",
    "From a post's receipt to its labels; of posts that carry the time of their receipt (received_at), as ingest writes it.",
    ("classify",),
    buckets=POST_SECONDS,
)
TO_TICKET = Metric(
    "plaint_post_to_ticket_seconds",
    "histogram",
    "From a post's receipt (received_at) to the answer by which the destination took its ticket; creates and updates.",
    ("deliver",),
    buckets=POST_SECONDS,
)
ATTEMPTS = Metric(
    "plaint_delivery_attempts",
    "counter",
    "Requests to the destination that ended, by outcome: taken; not_now, to be tried again; refused for good; fault, an error "
    "of plaint's own.",
    ("deliver",),
    {"outcome": ("taken", "not_now", "refused", "fault")},
)
REQUEST = Metric(
    "plaint_delivery_request_seconds",
    "histogram",
    "One request to the destination, from its start to its outcome.",
    ("deliver",),
    buckets=WORK_SECONDS,
)
PROBES = Metric(
    "plaint_delivery_probes",
    "counter",
    "Requests made while the breaker was open, to see whether it is back.",
    ("deliver",),
)
INCIDENTS = Metric(
    "plaint_delivery_incidents",
    "counter",
    "What delivery got through: unknown, a request of a former owner without outcome; withheld and abandoned, not sent or not "
    "written down since the partition may be another's; healed, a stopped owner's record overruled; unreadable, a record of "
    "the log passed over.",
    ("deliver",),
    {"kind": ("unknown", "withheld", "abandoned", "healed", "unreadable")},
)
LIMITED = Metric(
    "plaint_delivery_limited",
    "counter",
    "Requests that had to wait for max_per_minute, and new tickets that had to wait for max_per_author_per_hour.",
    ("deliver",),
    {"limit": ("minute", "author")},
)
DUE = Metric(
    "plaint_delivery_due_tickets",
    "gauge",
    "Tickets that are due and not under way: they wait for a limit, for the destination, or for their turn.",
    ("deliver",),
)
OPEN = Metric("plaint_open_tickets", "gauge", "Tickets taken on for delivery and not at their end.", ("deliver",))
IN_FLIGHT = Metric(
    "plaint_delivery_requests_in_flight", "gauge", "Requests to the destination under way.", ("deliver",)
)
OLDEST = Metric(
    "plaint_oldest_undelivered_seconds",
    "gauge",
    "Age of the oldest ticket that is not at its end, from its post's receipt, or from its author's turn if it had to wait for "
    "max_per_author_per_hour; 0 if there is none.",
    ("deliver",),
)
WINDOW_FULL = Metric(
    "plaint_delivery_window_full", "gauge", "1 while so many tickets are open that no more are read.", ("deliver",)
)
BREAKER_OPEN = Metric("plaint_breaker_open", "gauge", "1 while the destination is taken to be down.", ("deliver",))
BREAKER_OPENED = Metric(
    "plaint_breaker_openings", "counter", "Times that the destination was taken to be down.", ("deliver",)
)
DISABLED = Metric(
    "plaint_destination_disabled", "gauge", "1 while the destination gets nothing until a person acts.", ("deliver",)
)
UNACKNOWLEDGED = Metric(
    "plaint_ingest_unacknowledged_records",
    "gauge",
    "Records sent to Kafka and not acknowledged by it yet.",
    ("ingest",),
)
DOOR_REQUESTS = Metric(
    "plaint_door_requests",
    "counter",
    "Requests to the HTTP door by the status of their answer and why they were refused: none for an answer that is no "
    "refusal. With late_acknowledgement, failed and broken posts may have been written; with every other nothing was taken.",
    ("ingest",),
    {"status": tuple(sorted({status for status, _ in ANSWERS})), "why": (NONE, *Refusal)},
    sets=ANSWERS,
)
DOOR_POSTS = Metric(
    "plaint_door_posts", "counter", "Posts that came by the HTTP door and that Kafka has acknowledged.", ("ingest",)
)
DOOR_SECONDS = Metric(
    "plaint_door_request_seconds",
    "histogram",
    "From the head of a request to Kafka's acknowledgement of all its posts; of requests that were accepted.",
    ("ingest",),
    buckets=WORK_SECONDS,
)
LAG = Metric(
    "plaint_lag_records",
    "gauge",
    "Records of a partition's input that are not acknowledged; told by the process that owns the partition.",
    _READERS,
    {"partition": PARTITIONS},
)
READY = Metric("plaint_ready", "gauge", "1 once the process has all that it needs, as /readyz says.", STAGES)
STALLED = Metric(
    "plaint_stalled", "gauge", "1 while records wait for the stage and it does not move, as /healthz says.", _WORKERS
)
PROGRESS = Metric(
    "plaint_last_progress_timestamp_seconds",
    "gauge",
    "When the stage last dealt with a record, as Unix time; 0 if it never did.",
    _WORKERS,
)
ERRORS = Metric("plaint_logged_errors", "counter", "Lines that the process logged as ERROR or worse.", (*STAGES, UP))
BUILD = Metric("plaint_build", "info", "The version of plaint.", (*STAGES, UP), {"version": "one"})
MODEL = Metric(
    "plaint_model",
    "info",
    "The version of the model's weights and what runs them.",
    ("classify",),
    {"version": "one", "engine": "one"},
)
ROUTES = Metric(
    "plaint_routes",
    "info",
    "The version of the routes in use: the beginning of the SHA-256 of their file.",
    ("route",),
    {"version": "one"},
)
REFUSED = Metric(
    "plaint_reload_refused",
    "gauge",
    "1 if the last try to take up other routes, or another model, was refused: the former stay in use. /state says why.",
    _BY_BATCH,
)
CHILD_UP = Metric(
    "plaint_child_up",
    "gauge",
    "1 while a process that plaint up keeps running answers; one that has ended well counts as 1.",
    (UP,),
    {"child": "one a process"},
)
RESTARTS = Metric(
    "plaint_child_restarts",
    "counter",
    "Times that plaint up has started a process again.",
    (UP,),
    {"child": "one a process"},
)
BROKER_UP = Metric("plaint_broker_up", "gauge", "1 while the broker that plaint up started is running.", (UP,))

METRICS: tuple[Metric, ...] = (
    RECORDS_DONE,
    TRIAGED,
    URGENT,
    UNSURE,
    UNROUTED,
    TICKETS,
    TO_TRIAGE,
    TO_TICKET,
    BATCH,
    WAITED,
    COMPUTED,
    PUBLISHED,
    MODEL_TEXTS,
    ATTEMPTS,
    REQUEST,
    PROBES,
    INCIDENTS,
    LIMITED,
    DUE,
    OPEN,
    IN_FLIGHT,
    OLDEST,
    WINDOW_FULL,
    BREAKER_OPEN,
    BREAKER_OPENED,
    DISABLED,
    UNACKNOWLEDGED,
    DOOR_REQUESTS,
    DOOR_POSTS,
    DOOR_SECONDS,
    LAG,
    READY,
    STALLED,
    PROGRESS,
    ERRORS,
    BUILD,
    MODEL,
    ROUTES,
    REFUSED,
    CHILD_UP,
    RESTARTS,
    BROKER_UP,
)
PROCESS_HELP = (
    "Beside these each process tells what Prometheus' Python client knows of it (on Linux): `process_cpu_seconds_total`, "
    "`process_resident_memory_bytes`, `process_virtual_memory_bytes`, `process_start_time_seconds`, `process_open_fds`, "
    "`process_max_fds`."
)

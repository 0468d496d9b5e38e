"""What classify and route count: by batch, never twice, and what it costs."""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from plaint.monitoring import metrics
from plaint.monitoring.batches import BatchMeter, BatchSight, Place, lags
from plaint.monitoring.readings import Readings
from plaint.monitoring.routing import RouteSight
from plaint.monitoring.state import RoutesState
from plaint.monitoring.triaging import TriageMeter
from plaint.workers.route import RouteStage
from plaint.workers.stage import InRecord
from route.rules import RouteTable
from schemas import topics
from schemas.labels import Intent, Unsure
from schemas.post import Author, Post
from schemas.triage import Triage
from tests.plaint.monitoring.test_readings import samples

NOW = 1_000_000.0
ROUTES = RoutesState(version="0123456789ab", since=datetime(2026, 1, 1, tzinfo=UTC))


def records(count: int, age_s: float) -> list[InRecord]:
    """Records that Kafka took so long ago."""
    return [InRecord(topics.POSTS, 0, number, b"k", b"v", NOW - age_s) for number in range(count)]


def test_waiting_and_work_are_told_apart() -> None:
    meter = BatchMeter(now=lambda: NOW)
    meter.taken(records(100, 0.3))
    meter.computed.add(2.0)
    meter.written(0.004)
    sight = BatchSight(
        "classify",
        meter,
        SimpleNamespace(results=97, drops=Counter(repeated=2), dead=Counter(invalid_json=1)),
        lambda: {0: Place(5, 7), 1: Place(None, 3)},
        dict,
        lambda: True,
        topics.POSTS,
    )
    readings = Readings("classify")
    sight.read(readings)
    assert samples(readings, "plaint_batch_records_sum") == {(): 100}
    assert samples(readings, "plaint_wait_seconds_count") == {(): 100}
    assert samples(readings, "plaint_wait_seconds_sum")[()] == pytest.approx(30)
    assert samples(readings, "plaint_compute_seconds_sum") == {(): 2.0}
    assert samples(readings, "plaint_publish_seconds_sum") == {(): 0.004}
    told = {labels: value for labels, value in samples(readings, "plaint_records_total").items() if value}
    assert told == {("result", "none"): 97, ("dropped", "repeated"): 2, ("dead", "invalid_json"): 1}
    assert samples(readings, "plaint_lag_records") == {("0",): 2}
    assert sight.state() == {"partitions": (0, 1), "lags": {0: 2}, "last_progress_at": NOW}
    assert sight.acknowledged() == {0: 5, 1: None}


def test_a_paused_partition_lags_by_what_others_saw() -> None:
    places = {0: Place(5, 7), 1: Place(5, None), 2: Place(5, 4)}
    assert lags(places, {0: 50, 3: 9}) == {0: 45, 2: 0}


class Fixed:
    """A classifier that says what it was given, and a model that has counted."""

    version, computed, known = "m-1", 5, 2

    def __init__(self, found: list[Triage]) -> None:
        self.found = found

    def triage(self, posts: list[Post]) -> list[Triage]:
        return self.found


def triage(
    intent: Intent | None, urgency: int, received_s: float | None, urgent: bool = False, unsure: tuple[Unsure, ...] = ()
) -> Triage:
    """One of a post that was received so long before."""
    now = datetime.now(UTC)
    received = None if received_s is None else now - timedelta(seconds=received_s)
    post = Post(id="1", text="x", received_at=received)
    return Triage(
        post=post,
        intent=intent,
        urgency=urgency,
        urgent=urgent,
        unsure=bool(unsure),
        unsure_why=unsure,
        triaged_at=now,
    )


def test_labels_and_the_time_to_them_are_counted() -> None:
    found = [
        triage(Intent.COMPLAINT, 4, 0.25, urgent=True, unsure=(Unsure.CONFIDENCE, Unsure.LANGUAGE)),
        triage(Intent.COMPLAINT, 4, 0.25, unsure=(Unsure.LANGUAGE,)),
        triage(None, 0, None),
    ]
    fixed = Fixed(found)
    meter = TriageMeter(fixed, fixed, "engine 1")  # type: ignore[arg-type]
    assert meter.triage([]) is found
    readings = Readings("classify")
    meter.read(readings)
    labels = {key: value for key, value in samples(readings, "plaint_triaged_posts_total").items() if value}
    assert labels == {("complaint", "4"): 2, ("none", "0"): 1}
    assert samples(readings, "plaint_urgent_posts_total")[("complaint",)] == 1
    assert samples(readings, "plaint_unsure_posts_total") == {("confidence",): 1, ("language",): 2}
    assert samples(readings, "plaint_post_to_triage_seconds_count") == {(): 2}
    assert samples(readings, "plaint_post_to_triage_seconds_sum")[()] == pytest.approx(0.5)
    assert samples(readings, "plaint_model_texts_total") == {("computed",): 5, ("known",): 2}
    assert samples(readings, "plaint_model_info") == {("m-1", "engine 1"): 1}
    assert meter.state() == {"model": {"version": "m-1", "engine": "engine 1", "refused": ()}}


def test_what_no_rule_takes_is_told_by_intent_and_author_and_tickets_by_destination() -> None:
    stage = RouteStage(RouteTable.load(None, ["helpdesk", "service", "marketing"]), 4, 100)
    read = []
    brand = Author(handle="@norvik", own_account=True)
    posted = ((Intent.OTHER, Author()), (Intent.OTHER, Author()), (Intent.PRAISE, Author()), (Intent.COMPLAINT, brand))
    for number, (intent, author) in enumerate(posted):
        one = triage(intent, 0, None)
        one = one.model_copy(update={"post": one.post.model_copy(update={"id": str(number), "author": author})})
        read.append(InRecord(topics.TRIAGED, 0, number, b"k", one.to_bytes(), NOW))
    stage.process(read)
    stage.took(read)
    readings = Readings("route")
    RouteSight(["helpdesk", "service", "marketing"], stage.tickets, stage.unrouted, lambda: ROUTES).read(readings)
    unrouted = {labels: count for labels, count in samples(readings, "plaint_unrouted_posts_total").items() if count}
    assert unrouted == {("other", "other"): 2, ("complaint", "own"): 1}
    # ``destination`` is a label of the metric itself here.
    tickets = {
        s.labels["destination"]: s.value for f in readings.families() if f.name == "plaint_tickets" for s in f.samples
    }
    assert tickets == {"helpdesk": 0, "service": 0, "marketing": 1}


def test_metrics_cost_classify_less_than_five_microseconds_a_post() -> None:
    """Measured: 0.7 µs. The bound leaves room for a slow and busy machine; the best of many batches counts."""
    read, found = records(512, 0.3), [triage(Intent.COMPLAINT, 3, 0.3, urgent=True)] * 512
    fixed, batches = Fixed(found), BatchMeter(now=lambda: NOW)
    meter = TriageMeter(fixed, fixed, "e")  # type: ignore[arg-type]
    best = 1.0
    for _ in range(50):
        begun = time.perf_counter()
        batches.taken(read)
        meter.triage([])
        batches.written(0.1)
        best = min(best, time.perf_counter() - begun)
    assert best / 512 < 5e-6
    assert metrics.POST_SECONDS[7] == 1.0

"""What a process tells: declared once, at 0 from the start, and as Prometheus' own tool wants it."""

import shutil
import subprocess
from typing import Any

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from plaint.monitoring import metrics
from plaint.monitoring.histogram import Histogram
from plaint.monitoring.metrics import METRICS, STAGES, UP
from plaint.monitoring.readings import Readings
from schemas.labels import INTENTS
from schemas.reasons import DeadReason, DropReason


class Told:
    """Readings as a registry gives them to the writers of both formats."""

    def __init__(self, readings: Readings) -> None:
        self.collect = readings.families


def samples(readings: Readings, name: str) -> dict[tuple[str, ...], float]:
    """Values of one metric by the values of its own labels."""
    common = readings.common.keys()
    found = [sample for family in readings.families() for sample in family.samples if sample.name == name]
    return {tuple(value for key, value in s.labels.items() if key not in common): s.value for s in found}


def openmetrics(readings: Readings) -> dict[str, Any]:
    """The families by name, as who reads OpenMetrics finds them."""
    text = generate_openmetrics(Told(readings)).decode()  # type: ignore[no-untyped-call]
    return {family.name: family for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]


def test_every_reason_intent_and_outcome_stands_at_0_before_anything_happened() -> None:
    classify = Readings("classify")
    outcomes = samples(classify, "plaint_records_total")
    assert set(outcomes.values()) == {0}
    assert {reason for _, reason in outcomes} == {"none", *DropReason, *DeadReason}
    assert len(samples(classify, "plaint_triaged_posts_total")) == (len(INTENTS) + 1) * 5
    assert samples(Readings("deliver", "desk"), "plaint_delivery_attempts_total").keys() >= {("taken",), ("not_now",)}


def test_each_sample_names_its_stage_and_destination() -> None:
    for family in Readings("deliver", "desk").families():
        for sample in family.samples:
            assert (sample.labels["stage"], sample.labels["destination"]) == ("deliver", "desk")


def test_what_is_not_declared_cannot_be_told() -> None:
    with pytest.raises(KeyError):
        Readings("route").put(metrics.ATTEMPTS, 1, "taken")
    with pytest.raises(ValueError, match="plaint_records has the labels outcome, reason"):
        Readings("route").put(metrics.RECORDS_DONE, 1, "result")


def test_a_value_that_equals_a_bound_counts_under_it() -> None:
    histogram = Histogram([0.5, 1.0])
    histogram.add_all([0.5, 0.51, 1.0])
    histogram.add(7.0)
    assert histogram.cumulated() == [1, 3, 4]
    assert histogram.total == pytest.approx(9.01)


def test_a_post_of_a_clock_that_is_ahead_takes_nothing_from_the_sum_and_all_can_still_be_read() -> None:
    readings, histogram = Readings("classify"), Histogram(metrics.TO_TRIAGE.buckets)
    readings.put(metrics.TO_TRIAGE, histogram)
    histogram.add(-3600.0)
    assert openmetrics(readings).keys() == {family.name for family in readings.families()}
    histogram.add_all([2.5, -0.1])
    assert samples(readings, "plaint_post_to_triage_seconds_sum") == {(): 2.5}
    assert samples(readings, "plaint_post_to_triage_seconds_count") == {(): 3}


def test_every_metric_is_declared_as_the_convention_has_it() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.name.startswith("plaint_"), metric.name
        assert metric.help.endswith("."), metric.name
        assert not metric.name.endswith(("_total", "_info")), metric.name
        assert (metric.kind == "histogram") == bool(metric.buckets), metric.name
        assert list(metric.buckets) == sorted(metric.buckets)
        assert set(metric.stages) <= {*STAGES, UP}


def put_some(readings: Readings) -> None:
    """A value for every metric that this process tells."""
    for metric in METRICS:
        if readings.common["stage"] in metric.stages:
            value: Any = Histogram(metric.buckets) if metric.buckets else 1
            labels = [v[0] if isinstance(v, tuple) else "x" for v in metric.labels.values()]
            readings.put(metric, value, *(metric.sets[0] if metric.sets else labels))


@pytest.mark.parametrize("stage", [*STAGES, UP])
def test_promtool_finds_nothing_to_say(stage: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("NOT CHECKED WITH PROMTOOL: it is not installed (Debian: apt-get install prometheus)")
    readings = Readings(stage, "desk" if stage == "deliver" else "")
    put_some(readings)
    text = generate_latest(Told(readings))
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert text.count(b"# TYPE") == sum(stage in metric.stages for metric in METRICS)


@pytest.mark.parametrize("stage", [*STAGES, UP])
def test_the_same_is_told_in_openmetrics(stage: str) -> None:
    readings = Readings(stage)
    put_some(readings)
    told = openmetrics(readings)
    assert told.keys() == {family.name for family in readings.families()}
    assert all(told[family.name].type == family.type for family in readings.families())

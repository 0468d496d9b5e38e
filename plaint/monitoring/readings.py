"""What a process tells at one moment, from plain numbers to what Prometheus reads.

Whoever works counts in plain numbers of its own; they are put together here when somebody asks. So a metric costs the work
nothing but its counting, and a process that nobody asks never imports the client.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING

from plaint.monitoring.histogram import Histogram
from plaint.monitoring.metrics import METRICS, Metric

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

Value = float | Histogram
Labels = tuple[str, ...]


class Readings:
    """The metrics of one process of ``stage``: those that it has to tell stand at 0 until they are put."""

    def __init__(self, stage: str, destination: str = "") -> None:
        self.common = {"stage": stage} | ({"destination": destination} if destination else {})
        self._values: dict[Metric, dict[Labels, Value]] = {m: _at_zero(m) for m in METRICS if stage in m.stages}

    def put(self, metric: Metric, value: Value, *labels: str) -> None:
        """Set a value; ``labels`` in the order of the declaration. Raises KeyError or ValueError for what is not declared."""
        values = self._values[metric]
        if len(labels) != len(metric.labels):
            raise ValueError(f"{metric.name} has the labels {', '.join(metric.labels)}")
        values[labels] = value

    def put_all(self, metric: Metric, values: Mapping[str, float]) -> None:
        """Set the values of a metric with one label."""
        for label, value in list(values.items()):
            self.put(metric, value, label)

    def families(self) -> Iterator["Family"]:
        """All of them, as Prometheus' client writes them out."""
        for metric, values in self._values.items():
            yield self._family(metric, values)

    def _family(self, metric: Metric, values: Mapping[Labels, Value]) -> "Family":
        from prometheus_client.metrics_core import Metric as Family

        family = Family(metric.name, metric.help, metric.kind)
        for labels, value in values.items():
            named = self.common | dict(zip(metric.labels, labels, strict=True))
            if isinstance(value, Histogram):
                _add_histogram(family, named, value)
            else:
                family.add_sample(metric.sample, named, value)
        return family


def _add_histogram(family: "Family", labels: dict[str, str], histogram: Histogram) -> None:
    counts = histogram.cumulated()
    bounds = [*(str(float(bound)) for bound in histogram.bounds), "+Inf"]
    for bound, count in zip(bounds, counts, strict=True):
        family.add_sample(f"{family.name}_bucket", labels | {"le": bound}, count)
    family.add_sample(f"{family.name}_count", labels, counts[-1])
    family.add_sample(f"{family.name}_sum", labels, histogram.total)


def _at_zero(metric: Metric) -> dict[Labels, Value]:
    """The label sets that are told from the start: those of closed lists."""
    if metric.kind == "info":
        return {}
    sets = metric.sets
    if sets is None:
        closed = [values for values in metric.labels.values() if not isinstance(values, str)]
        sets = tuple(product(*closed)) if len(closed) == len(metric.labels) else ()
    zero = (lambda: Histogram(metric.buckets)) if metric.buckets else (lambda: 0.0)
    return {labels: zero() for labels in sets}

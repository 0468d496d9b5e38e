"""Asking a process as Prometheus and probes do."""

import json
import urllib.error
import urllib.request
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, ...], float]


def ask(address: str, path: str, **headers: str) -> tuple[int, str, str]:
    """Status, content type and body of a GET."""
    request = urllib.request.Request(address + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def state(address: str) -> Any:
    """What a process says of its state."""
    return json.loads(ask(address, "/state")[2])


def told(address: str) -> dict[str, Samples]:
    """Its metrics: by name, and by the values of the labels but ``stage`` and ``destination``, in the order of their names."""
    found: dict[str, Samples] = {}
    for family in text_string_to_metric_families(ask(address, "/metrics")[2]):
        for sample in family.samples:
            own = sorted((k, v) for k, v in sample.labels.items() if k not in ("stage", "destination"))
            found.setdefault(sample.name, {})[tuple(value for _, value in own)] = sample.value
    return found

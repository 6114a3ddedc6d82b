"""What Prometheus' own lint asks of names, kinds and help, over the text of a daemon."""

from __future__ import annotations

import re
from typing import Final

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

_NAME: Final = re.compile(r"moorage_[a-z0-9_]+")
_ODD_UNITS: Final = re.compile(r"_(usec|millis|milliseconds|minutes|kilobytes|kib|mib|percent|jiffies)(_|$)")


def read_exposition(text: str) -> dict[str, Metric]:
    """The families by the name of their samples; each is as the lint wants it, with samples that differ in labels."""
    found: dict[str, Metric] = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert name not in found, f"{name} is told twice"
        assert _NAME.fullmatch(name), name
        assert not _ODD_UNITS.search(name), f"{name} is not in a base unit"
        assert family.type in {"gauge", "counter", "histogram"}, f"{name} has no type"
        assert family.type == "counter" or not name.endswith("_total"), f"{name} is no counter"
        assert family.documentation.endswith("."), f"{name} has no help"
        labels = [(sample.name, *sorted(sample.labels.items())) for sample in family.samples]
        assert labels, name
        assert len(labels) == len(set(labels)), f"{name} repeats a sample"
        if family.type == "histogram":
            _check_histogram(family)
        found[name] = family
    return found


def _check_histogram(family: Metric) -> None:
    """Its buckets grow up to +Inf, which is its count."""
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    counts: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in family.samples:
        series = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
        if sample.name.endswith("_bucket"):
            buckets.setdefault(series, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_count"):
            counts[series] = sample.value
    assert buckets.keys() == counts.keys(), family.name
    for series, found in buckets.items():
        assert found == sorted(found), family.name
        assert [value for _, value in found] == sorted(value for _, value in found), family.name
        assert found[-1] == (float("inf"), counts[series]), family.name

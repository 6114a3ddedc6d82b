"""The text is what Prometheus' own parser reads back."""

from __future__ import annotations

import math

from prometheus_client.parser import text_string_to_metric_families

from kit.exposition import Histogram, counter, gauge, histogram, render_exposition
from tests.lint_exposition import read_exposition


def test_the_parser_of_prometheus_reads_every_value_and_label_back() -> None:
    odd = 'a "quoted" \\ word\nand a line'
    families = [
        gauge("moorage_lag_seconds", "How late it is.", ({}, 1e-09), ({"node": odd}, float(2**53))),
        counter("moorage_bytes_total", "Bytes.", ({"device": "8:0"}, 0.0), ({"device": "8:1"}, None)),
        gauge("moorage_unknown", "Nobody knows.", ({}, None)),
    ]
    read = list(text_string_to_metric_families(render_exposition(families).decode()))

    assert [(family.name, family.type, family.documentation) for family in read] == [
        ("moorage_lag_seconds", "gauge", "How late it is."),
        ("moorage_bytes", "counter", "Bytes."),
    ]
    assert [(sample.labels, sample.value) for sample in read[0].samples] == [
        ({}, 1e-09),
        ({"node": odd}, float(2**53)),
    ]
    assert [(sample.name, sample.labels, sample.value) for sample in read[1].samples] == [
        ("moorage_bytes_total", {"device": "8:0"}, 0.0)
    ]
    assert not any(math.isnan(sample.value) for family in read for sample in family.samples)


def test_a_histogram_counts_a_value_in_every_bucket_that_holds_it() -> None:
    took = Histogram((0.1, 1))
    for value in (0.05, 0.1, 0.5, 7.0):
        took.add(value)
    family = histogram("moorage_took_seconds", "How long it took.", ({"route": "/x"}, took))
    read = read_exposition(render_exposition([family]).decode())["moorage_took_seconds"]

    assert {sample.labels["le"]: sample.value for sample in read.samples if "le" in sample.labels} == {
        "0.1": 2.0,
        "1.0": 3.0,
        "+Inf": 4.0,
    }
    assert {sample.name: sample.value for sample in read.samples if "le" not in sample.labels} == {
        "moorage_took_seconds_sum": 7.65,
        "moorage_took_seconds_count": 4.0,
    }
    assert {sample.labels["route"] for sample in read.samples} == {"/x"}

"""Readings are summed over what could be read, and requests of several nodes come newest first."""

from __future__ import annotations

import datetime as dt

from controld.model.observed import ReplicaReading, RequestRecord
from controld.rules.readings import merge_requests, sum_readings
from wire.agent.metrics import ReplicaMetrics

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def reading(index: int, *, cpu: int | None = 0, memory: int | None = 0, told: bool = True) -> ReplicaReading:
    metrics = ReplicaMetrics(
        replica_id=f"r-{index}",
        deployment_id="d",
        index=index,
        recorded_at=NOW + dt.timedelta(seconds=index),
        cpu_usage_usec=cpu,
        memory_current_bytes=memory,
    )
    return ReplicaReading(
        replica_id=f"r-{index}",
        deployment_id="d",
        index=index,
        node_id="n",
        cpu_limit_millis=500,
        memory_limit_bytes=1000,
        metrics=metrics if told else None,
    )


def request(second: int) -> RequestRecord:
    return RequestRecord(
        service_name="web",
        method="GET",
        path="/",
        status=200,
        bytes=1,
        duration_ms=1,
        recorded_at=NOW + dt.timedelta(seconds=second),
        replica_id=None,
    )


def test_only_what_could_be_read_is_summed_and_every_replica_is_shown() -> None:
    replicas = [reading(0, cpu=5, memory=7), reading(1, cpu=3, memory=4), reading(2, cpu=9, memory=None)]
    found = sum_readings("web", [*replicas, reading(3, told=False)])

    assert found is not None
    assert (found.cpu_usage_usec, found.memory_current_bytes) == (8, 11)
    assert (found.cpu_limit_millis, found.memory_limit_bytes) == (1000, 2000)
    assert (found.recorded_at, len(found.replicas)) == (NOW, 4)


def test_nothing_is_told_when_nothing_could_be_read() -> None:
    assert sum_readings("web", []) is None
    assert sum_readings("web", [reading(0, told=False), reading(1, cpu=None)]) is None


def test_the_newest_requests_of_all_nodes_come_first() -> None:
    first, second = [request(9), request(5), request(1)], [request(7), request(6)]

    merged = merge_requests([first, second], most=4)
    assert [(each.recorded_at - NOW).seconds for each in merged] == [9, 7, 6, 5]

"""Sums of readings, and requests in order."""

from __future__ import annotations

import datetime as dt
import heapq
from collections.abc import Iterable, Sequence

from controld.model.observed import ReplicaReading, RequestRecord, ServiceReading


def sum_readings(service_name: str, replicas: Sequence[ReplicaReading]) -> ServiceReading | None:
    """The service as a whole; None when no replica's CPU and memory could both be read."""
    cpu = memory = cpu_limit = memory_limit = 0
    moments: list[dt.datetime] = []
    for replica in replicas:
        metrics = replica.metrics
        if metrics is None or metrics.cpu_usage_usec is None or metrics.memory_current_bytes is None:
            continue
        moments.append(metrics.recorded_at)
        cpu += metrics.cpu_usage_usec
        memory += metrics.memory_current_bytes
        cpu_limit += replica.cpu_limit_millis
        memory_limit += replica.memory_limit_bytes
    if not moments:
        return None
    return ServiceReading(
        service_name=service_name,
        recorded_at=min(moments),
        cpu_usage_usec=cpu,
        memory_current_bytes=memory,
        cpu_limit_millis=cpu_limit,
        memory_limit_bytes=memory_limit,
        replicas=tuple(replicas),
    )


def merge_requests(by_node: Iterable[Iterable[RequestRecord]], *, most: int) -> list[RequestRecord]:
    """The newest requests of all nodes, newest first; each node's come newest first."""
    merged = heapq.merge(*by_node, key=lambda request: request.recorded_at, reverse=True)
    return [request for _, request in zip(range(most), merged, strict=False)]

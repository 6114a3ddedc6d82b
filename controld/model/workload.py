"""A service as it runs: how many replicas of how many, and what they use."""

from __future__ import annotations

import dataclasses

from controld.model.deployment import Status


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One service now; what could not be read is None, never nought."""

    service_id: str
    service_name: str
    project_id: str
    deployment_id: str | None
    """The promoted deployment, else the newest; None: never deployed."""
    status: Status | None
    cpu_usage_usec: int | None
    memory_current_bytes: int | None
    replica_count: int
    """Replicas that should run and are placed."""
    healthy_replicas: int
    """Of these, by the newest word of nodes that are not silent."""
    wanted_replicas: int
    """How many should run; 0 while nothing is promoted."""
    problem: str | None
    """Why not all of them have their place."""

"""The JSON of services as they run."""

from __future__ import annotations

from controld.model.deployment import Status
from controld.model.workload import Workload
from wire.base import Lenient


class WorkloadShape(Lenient, frozen=True):
    """A service now; null is what is not known."""

    service_id: str
    service_name: str
    project_id: str
    deployment_id: str | None
    status: Status | None
    cpu_usage_usec: int | None
    memory_current_bytes: int | None
    replica_count: int
    healthy_replicas: int
    wanted_replicas: int
    problem: str | None
    """Why not all replicas have their place."""


def render_workload(workload: Workload) -> WorkloadShape:
    """A service now."""
    return WorkloadShape(**{name: getattr(workload, name) for name in WorkloadShape.__struct_fields__})

"""What a deployment needs to know of its service and project, at one moment."""

from __future__ import annotations

import dataclasses

from wire.spec import Health, Limits


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A service as its next replica would be launched: limits are effective, env is merged."""

    service_id: str
    service: str
    project_id: str
    project: str
    source_kind: str
    """`git`, `external_image` or `upload`."""
    image: str | None
    """The reference that the stored source names; absent for the other kinds."""
    port: int
    health: Health
    limits: Limits
    env: tuple[tuple[str, str], ...]
    replicas: int
    """How many the service should run, at least 1."""
    promoted_deployment_id: str | None

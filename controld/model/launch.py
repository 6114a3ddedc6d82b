"""What a deployment needs to know of its service and project, at one moment."""

from __future__ import annotations

import dataclasses

from controld.model.placement import ANYWHERE, Placement
from controld.model.service import AutoscalePolicy, GitSource
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
    """How many the service should run now; 0: none, until it is woken."""
    promoted_deployment_id: str | None
    git: GitSource | None = None
    """The repository that the stored source names; absent for the other kinds."""
    placement: Placement = ANYWHERE
    registry_id: str | None = None
    """The registry of the project that the image is in."""
    image_ref: str | None = None
    """Its path and tag there."""
    rolling_deployment_id: str | None = None
    """The deployment that shares the traffic with the promoted one while it takes over, batch by batch."""
    autoscale: AutoscalePolicy | None = None
    """What decides how many run; absent: nobody but who asked for them."""
    is_asleep: bool = False
    """It scaled to nothing, and no replica that was started since takes requests yet."""
    scale_problem: str | None = None
    """Why fewer run than the policy calls for."""

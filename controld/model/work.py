"""An image that is wanted: what is built or pulled, on which node, and until when."""

from __future__ import annotations

import dataclasses
import datetime as dt

from controld.model.deployment import DeploymentRequest
from controld.model.service import GitSource


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkOrder:
    """The order of a deployment, or of a job's run."""

    id: str
    """Names the work on its node: asking again joins it."""
    row_id: str
    """The deployment or the run whose lease is held, and in whose log the work speaks."""
    subject_id: str
    """The service or the job that it is for."""
    node_id: str | None
    deadline_at: dt.datetime | None
    request: DeploymentRequest
    project_id: str
    git: GitSource | None
    """The stored source of what is cloned; absent for the other kinds."""
    image: str | None
    """The reference to pull, with `registry_id` its path and tag there; absent for what is built."""
    repository: str
    """`<project>/<name>` in the hosted registry, for what is built."""
    tag: str
    """The tag that the push leaves beside the digest."""
    registry_id: str | None = None
    """The registry of the project that the image is in; absent: it is pulled anonymously."""
    stays_on_node: bool = False
    """Whether what is built is for its node alone, and pushed nowhere."""
    keeps_image: bool = False
    """Whether what is pulled with a sign-in goes to the hosted registry too, so that every node may have it."""

"""A service: what should run, where its image comes from, and how it shows that it serves."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum

from controld.model.placement import ANYWHERE, Placement

Env = tuple[tuple[str, str], ...]
"""Names and values in order; of a repeated name the last counts."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    """What one replica may use at the most."""

    cpu_millis: int
    memory_bytes: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """A path that answers 2xx or 3xx within the timeout when the replica serves."""

    path: str
    timeout_seconds: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GitSource:
    """A repository that is cloned and built."""

    repo_url: str
    git_ref: str
    dockerfile_path: str
    context_path: str
    credential: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExternalImageSource:
    """An image of another registry: a full reference, or a registry of the project and a reference in it."""

    image: str
    registry_id: str | None = None
    image_ref: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UploadSource:
    """A build context that comes with each deployment."""


ServiceSource = GitSource | ExternalImageSource | UploadSource


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AutoscalePolicy:
    """How many replicas follow the load."""

    min_replicas: int
    max_replicas: int
    target_cpu_pct: int
    scale_down_cooldown_s: int
    idle_timeout_s: int
    target_mem_pct: int | None = None


class Protocol(enum.Enum):
    """What an endpoint speaks."""

    HTTP = "http"
    TCP = "tcp"
    UDP = "udp"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEndpoint:
    """A port of the service by name. What speaks TCP has a public port at every node's ingress, or gets one for good
    when it is saved without; what speaks HTTP is found by its hostnames.
    """

    name: str
    protocol: Protocol
    internal_port: int
    public_port: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDraft:
    """A service as a caller wants it; `id` absent: a new one, or the one of this name."""

    project_id: str
    name: str
    domains: tuple[str, ...]
    source: ServiceSource
    internal_port: int
    health_check: HealthCheck
    id: str | None = None
    resource_limits: ResourceLimits | None = None
    """Absent: the project's default, then the built-in one."""
    env: Env = ()
    tls_enabled: bool = False
    autoscale: AutoscalePolicy | None = None
    endpoints: tuple[ServiceEndpoint, ...] = ()
    replicas: int | None = None
    """Absent: what is stored stays, and a new service has one."""
    placement: Placement | None = None
    """Absent: what is stored stays, and a new service may run anywhere."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A stored service."""

    id: str
    project_id: str
    name: str
    domains: tuple[str, ...]
    source: ServiceSource
    internal_port: int
    health_check: HealthCheck
    resource_limits: ResourceLimits | None
    env: Env
    tls_enabled: bool
    autoscale: AutoscalePolicy | None
    endpoints: tuple[ServiceEndpoint, ...]
    promoted_deployment_id: str | None
    """The deployment whose replicas take traffic."""
    assigned_hostname: str | None
    """The hostname that the platform gave it."""
    created_at: dt.datetime
    updated_at: dt.datetime
    replicas: int = 1
    """How many run while no policy says otherwise."""
    placement: Placement = ANYWHERE
    scaled_to: int | None = None
    """How many the policy called for last; absent: there is none, or it has not decided yet."""

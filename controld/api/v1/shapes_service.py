"""The JSON of services, and what it says of our records."""

from __future__ import annotations

from typing import Final

import msgspec

from controld.api.v1.shapes import Id
from controld.model.placement import ANYWHERE, Placement, Spread
from controld.model.service import (
    AutoscalePolicy,
    Env,
    ExternalImageSource,
    GitSource,
    HealthCheck,
    ResourceLimits,
    Service,
    ServiceDraft,
    ServiceEndpoint,
    ServiceSource,
    UploadSource,
)
from kit.faults import Invalid
from wire.base import Lenient

_NO_ID: Final = Id(int=0)
"""What older clients send for a service that has no id yet."""


class GitSourceShape(Lenient, frozen=True, tag_field="type", tag="git"):
    """A repository that is cloned and built."""

    repo_url: str
    git_ref: str
    dockerfile_path: str
    context_path: str
    credential: str


class ExternalImageSourceShape(Lenient, frozen=True, tag_field="type", tag="external_image"):
    """An image of another registry: `image`, or `registry_id` with `image_ref`; `credential` is always null."""

    image: str
    credential: str | None = None
    registry_id: Id | None = None
    image_ref: str | None = None


class UploadSourceShape(Lenient, frozen=True, tag_field="type", tag="upload"):
    """A build context that comes with each deployment."""


SourceShape = GitSourceShape | ExternalImageSourceShape | UploadSourceShape


class PlacementShape(Lenient, frozen=True):
    """Where replicas may go: on nodes that carry all `labels`, and of these on the `nodes` named, if any are."""

    labels: dict[str, str] | None = None
    nodes: tuple[str, ...] | None = None
    """Names or ids."""
    spread: Spread | None = None
    """Null and absent mean `prefer`."""


class PlacementTold(Lenient, frozen=True):
    """Where replicas may go."""

    labels: dict[str, str]
    nodes: tuple[str, ...]
    spread: Spread


class ServiceAsked(Lenient, frozen=True):
    """A service as it should be; without `id` a new one, or the one of this name in the project.

    Clients that know nothing of `replicas` and `placement` leave them as they are; null brings their defaults back.
    """

    project_id: Id
    name: str
    domains: tuple[str, ...]
    source: SourceShape
    internal_port: int
    health_check: HealthCheck
    id: Id | None = None
    resource_limits: ResourceLimits | None = None
    env: Env | None = None
    tls_enabled: bool | None = None
    autoscale: AutoscalePolicy | None = None
    endpoints: tuple[ServiceEndpoint, ...] | None = None
    replicas: int | msgspec.UnsetType | None = msgspec.UNSET
    placement: PlacementShape | msgspec.UnsetType | None = msgspec.UNSET


class ServiceShape(Lenient, frozen=True):
    """A service; `assigned_hostname` is the one that the platform gave it, and routes without more ado."""

    id: str
    project_id: str
    name: str
    domains: tuple[str, ...]
    source: SourceShape
    internal_port: int
    health_check: HealthCheck
    resource_limits: ResourceLimits | None
    env: Env
    tls_enabled: bool
    autoscale: AutoscalePolicy | None
    endpoints: tuple[ServiceEndpoint, ...]
    assigned_hostname: str | None
    replicas: int
    """How many run while no policy says otherwise."""
    placement: PlacementTold | None
    """Null: anywhere."""


def read_service(asked: ServiceAsked) -> ServiceDraft:
    """What the caller wants; raises Invalid for a credential on an external image."""
    return ServiceDraft(
        id=None if asked.id is None or asked.id == _NO_ID else str(asked.id),
        project_id=str(asked.project_id),
        name=asked.name,
        domains=tuple(domain.strip() for domain in asked.domains),
        source=read_source(asked.source),
        internal_port=asked.internal_port,
        health_check=asked.health_check,
        resource_limits=asked.resource_limits,
        env=asked.env or (),
        tls_enabled=asked.tls_enabled or False,
        autoscale=asked.autoscale,
        endpoints=asked.endpoints or (),
        replicas=None if asked.replicas is msgspec.UNSET else 1 if asked.replicas is None else asked.replicas,
        placement=_read_placement(asked.placement),
    )


def render_service(service: Service) -> ServiceShape:
    """A service."""
    return ServiceShape(
        id=service.id,
        project_id=service.project_id,
        name=service.name,
        domains=service.domains,
        source=render_source(service.source),
        internal_port=service.internal_port,
        health_check=service.health_check,
        resource_limits=service.resource_limits,
        env=service.env,
        tls_enabled=service.tls_enabled,
        autoscale=service.autoscale,
        endpoints=service.endpoints,
        assigned_hostname=service.assigned_hostname,
        replicas=service.replicas,
        placement=_render_placement(service.placement),
    )


def _read_placement(shape: PlacementShape | msgspec.UnsetType | None) -> Placement | None:
    """Null is anywhere; what is absent leaves what is stored."""
    if shape is msgspec.UNSET:
        return None
    if shape is None:
        return ANYWHERE
    return Placement(labels=shape.labels or {}, nodes=shape.nodes or (), spread=shape.spread or Spread.PREFER)


def _render_placement(placement: Placement) -> PlacementTold | None:
    if placement == ANYWHERE:
        return None
    return PlacementTold(labels=dict(placement.labels), nodes=placement.nodes, spread=placement.spread)


def read_source(shape: SourceShape) -> ServiceSource:
    """Where an image comes from; raises Invalid for a credential on an external image."""
    match shape:
        case GitSourceShape():
            return GitSource(
                repo_url=shape.repo_url,
                git_ref=shape.git_ref,
                dockerfile_path=shape.dockerfile_path,
                context_path=shape.context_path,
                credential=shape.credential,
            )
        case ExternalImageSourceShape():
            if shape.credential is not None:
                raise Invalid("cannot save source: an external image takes no credential; use a registry")
            registry_id = None if shape.registry_id is None else str(shape.registry_id)
            return ExternalImageSource(image=shape.image, registry_id=registry_id, image_ref=shape.image_ref)
        case UploadSourceShape():
            return UploadSource()


def render_source(source: ServiceSource) -> SourceShape:
    """Where an image comes from."""
    match source:
        case GitSource():
            return GitSourceShape(
                repo_url=source.repo_url,
                git_ref=source.git_ref,
                dockerfile_path=source.dockerfile_path,
                context_path=source.context_path,
                credential=source.credential,
            )
        case ExternalImageSource():
            return ExternalImageSourceShape(
                image=source.image,
                registry_id=None if source.registry_id is None else Id(source.registry_id),
                image_ref=source.image_ref,
            )
        case UploadSource():
            return UploadSourceShape()

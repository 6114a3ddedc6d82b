"""The JSON of services and their hostnames, and what it says of our records."""

from __future__ import annotations

import datetime as dt
from typing import Final

from controld.api.v1.shapes import Id
from controld.model.hostname import Hostname, HostnameStatus
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


class ServiceAsked(Lenient, frozen=True):
    """A service as it should be; without `id` a new one, or the one of this name in the project."""

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


class ServiceDomainShape(Lenient, frozen=True):
    """A hostname of a service."""

    id: str
    service_id: str
    hostname: str
    status: HostnameStatus
    challenge_token: str
    verified_at: dt.datetime | None
    last_check_at: dt.datetime | None
    last_error: str | None
    created_at: dt.datetime


def read_service(asked: ServiceAsked) -> ServiceDraft:
    """What the caller wants; raises Invalid for a credential on an external image."""
    return ServiceDraft(
        id=None if asked.id is None or asked.id == _NO_ID else str(asked.id),
        project_id=str(asked.project_id),
        name=asked.name,
        domains=tuple(domain.strip() for domain in asked.domains),
        source=_read_source(asked.source),
        internal_port=asked.internal_port,
        health_check=asked.health_check,
        resource_limits=asked.resource_limits,
        env=asked.env or (),
        tls_enabled=asked.tls_enabled or False,
        autoscale=asked.autoscale,
        endpoints=asked.endpoints or (),
    )


def render_service(service: Service) -> ServiceShape:
    """A service."""
    return ServiceShape(
        id=service.id,
        project_id=service.project_id,
        name=service.name,
        domains=service.domains,
        source=_render_source(service.source),
        internal_port=service.internal_port,
        health_check=service.health_check,
        resource_limits=service.resource_limits,
        env=service.env,
        tls_enabled=service.tls_enabled,
        autoscale=service.autoscale,
        endpoints=service.endpoints,
        assigned_hostname=service.assigned_hostname,
    )


def render_hostname(hostname: Hostname) -> ServiceDomainShape:
    """A hostname."""
    return ServiceDomainShape(
        id=hostname.id,
        service_id=hostname.service_id,
        hostname=hostname.hostname,
        status=hostname.status,
        challenge_token=hostname.challenge_token,
        verified_at=hostname.verified_at,
        last_check_at=hostname.last_check_at,
        last_error=hostname.last_error,
        created_at=hostname.created_at,
    )


def _read_source(shape: SourceShape) -> ServiceSource:
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


def _render_source(source: ServiceSource) -> SourceShape:
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

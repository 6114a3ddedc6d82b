"""The JSON of uploads, deployments and service actions, and what it says of our records."""

from __future__ import annotations

import datetime as dt

from controld.api.v1.shapes import Id
from controld.model.artifact import Artifact, ArtifactSource
from controld.model.deployment import (
    Deployment,
    DeploymentRequest,
    GitRequest,
    ImageRequest,
    RedeployRequest,
    UploadRequest,
)
from controld.model.upload import Upload
from wire.base import Lenient


class GitAsked(Lenient, frozen=True, tag_field="source", tag="git"):
    """Build the repository of the service's stored source."""

    service_id: Id
    repo_url: str
    """The stored one, or empty: another is refused."""
    git_ref: str
    """A branch, a tag, a commit in full or in short, or HEAD; empty: the stored one."""


class ImageAsked(Lenient, frozen=True, tag_field="source", tag="external_image"):
    """Run the image of the service's stored source; `image` is recorded only."""

    service_id: Id
    image: str


class UploadAsked(Lenient, frozen=True, tag_field="source", tag="upload"):
    """Build an uploaded context."""

    service_id: Id
    upload_id: str
    dockerfile_path: str
    context_path: str


class RedeployAsked(Lenient, frozen=True, tag_field="source", tag="redeploy"):
    """Run an artifact again, without a build or a pull."""

    service_id: Id
    artifact_id: Id | None = None
    """One that the service keeps; absent: the promoted one."""


DeploymentAsked = GitAsked | ImageAsked | UploadAsked | RedeployAsked


class UploadShape(Lenient, frozen=True):
    """An upload that waits for its deployment."""

    upload_id: str
    expires_at: dt.datetime


class DeploymentShape(Lenient, frozen=True):
    """A deployment."""

    id: str
    service_id: str
    number: int
    request: DeploymentRequest
    status: str
    reason: str | None
    created_at: dt.datetime
    finished_at: dt.datetime | None


class ArtifactShape(Lenient, frozen=True):
    """What a deployment runs."""

    id: str
    digest: str
    kind: str
    source: ArtifactSource
    created_at: dt.datetime


class DeploymentViewShape(DeploymentShape, frozen=True):
    """A deployment with what it runs; null until there is something."""

    artifact: ArtifactShape | None


class ServiceActionShape(Lenient, frozen=True):
    """What is being done to a service, and the deployment that does it where it takes one."""

    service_id: str
    action: str
    deployment_id: str | None


def read_request(asked: DeploymentAsked) -> DeploymentRequest:
    """The request as the core has it."""
    match asked:
        case GitAsked():
            return GitRequest(service_id=str(asked.service_id), repo_url=asked.repo_url, git_ref=asked.git_ref)
        case ImageAsked():
            return ImageRequest(service_id=str(asked.service_id), image=asked.image)
        case UploadAsked():
            return UploadRequest(
                service_id=str(asked.service_id),
                upload_id=asked.upload_id,
                dockerfile_path=asked.dockerfile_path,
                context_path=asked.context_path,
            )
        case RedeployAsked():
            artifact_id = None if asked.artifact_id is None else str(asked.artifact_id)
            return RedeployRequest(service_id=str(asked.service_id), artifact_id=artifact_id)


def render_upload(upload: Upload) -> UploadShape:
    """The upload."""
    return UploadShape(upload_id=upload.id, expires_at=upload.expires_at)


def render_deployment(deployment: Deployment) -> DeploymentShape:
    """The deployment by itself."""
    return DeploymentShape(
        id=deployment.id,
        service_id=deployment.service_id,
        number=deployment.number,
        request=deployment.request,
        status=deployment.status.value,
        reason=deployment.reason,
        created_at=deployment.created_at,
        finished_at=deployment.finished_at,
    )


def render_deployment_view(deployment: Deployment, artifact: Artifact | None) -> DeploymentViewShape:
    """The deployment with its artifact."""
    return DeploymentViewShape(
        id=deployment.id,
        service_id=deployment.service_id,
        number=deployment.number,
        request=deployment.request,
        status=deployment.status.value,
        reason=deployment.reason,
        created_at=deployment.created_at,
        finished_at=deployment.finished_at,
        artifact=None
        if artifact is None
        else ArtifactShape(
            id=artifact.id,
            digest=artifact.digest,
            kind=artifact.kind.value,
            source=artifact.source,
            created_at=artifact.created_at,
        ),
    )

"""A deployment: what was asked for, how far it has come, and what it says along the way."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import Final

import msgspec


class Status(enum.Enum):
    """How far a deployment has come; the words are those of the contract."""

    PENDING = "Pending"
    BUILDING = "Building"
    STARTING = "Starting"
    HEALTHY = "Healthy"
    FAILED = "Failed"
    STOPPED = "Stopped"
    INACTIVE = "Inactive"

    @property
    def is_finished(self) -> bool:
        """Whether no step is left to be taken."""
        return self not in UNFINISHED


UNFINISHED: Final = frozenset({Status.PENDING, Status.BUILDING, Status.STARTING})
RUNNING: Final = frozenset({Status.BUILDING, Status.STARTING})
"""The statuses that hold one of the places for work at one time."""


class _Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="source"):
    service_id: str


class GitRequest(_Request, frozen=True, tag="git"):
    """Build what a repository holds."""

    repo_url: str
    git_ref: str


class ImageRequest(_Request, frozen=True, tag="external_image"):
    """Run the image that the service's stored source names; `image` is recorded only."""

    image: str


class UploadRequest(_Request, frozen=True, tag="upload"):
    """Build an uploaded context; both paths are relative to its root."""

    upload_id: str
    dockerfile_path: str
    context_path: str


class RedeployRequest(_Request, frozen=True, tag="redeploy"):
    """Run a kept artifact of the service again, without a build or a pull."""

    artifact_id: str | None = None
    """Absent: the artifact of the promoted deployment."""


DeploymentRequest = GitRequest | ImageRequest | UploadRequest | RedeployRequest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One deployment of a service; `number` counts those of its service from 1."""

    id: str
    service_id: str
    number: int
    request: DeploymentRequest
    status: Status
    created_at: dt.datetime
    phase_at: dt.datetime
    """When it entered its status."""
    reason: str | None = None
    """Why it failed, or who asked for its end."""
    artifact_id: str | None = None
    node_id: str | None = None
    """The node that builds or pulls."""
    created_by: str | None = None
    deadline_at: dt.datetime | None = None
    """When its phase ends in failure; absent: it waits for its turn."""
    ready_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    cancel_requested_at: dt.datetime | None = None
    attempts: int = 0
    """How often its phase has been tried anew."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a deployment's log; `seq` counts from 1 without gaps."""

    seq: int
    at: dt.datetime
    phase: str
    text: str

"""An artifact: an image that a deployment of a service made or found."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum

import msgspec

from wire.spec import Origin


class ArtifactKind(enum.Enum):
    """What an artifact is."""

    OCI_IMAGE = "OciImage"
    ROOTFS_BUNDLE = "RootfsBundle"


class BuiltSource(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="build_kit"):
    """Built from a repository."""

    repo_url: str
    git_ref: str
    dockerfile_path: str
    context_path: str
    commit: str | None = None
    """What the ref meant, in full."""


class ImageSource(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="external_registry"):
    """Found in a registry under this reference."""

    image: str


class ContextSource(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="uploaded_context"):
    """Built from an uploaded context."""

    upload_id: str
    dockerfile_path: str
    context_path: str


ArtifactSource = BuiltSource | ImageSource | ContextSource


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An image by digest, and where nodes get it from."""

    id: str
    service_id: str
    digest: str
    kind: ArtifactKind
    source: ArtifactSource
    origin: Origin
    image: str
    """As `wire.spec.Replica.image` has it for the origin."""
    node_id: str | None
    """The node that made it, which alone has it when the origin is local."""
    size_bytes: int | None
    created_at: dt.datetime

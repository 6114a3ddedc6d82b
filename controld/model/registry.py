"""The hosted image registry: repositories, what they hold, and uploads under way."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Final

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """The images of one service."""

    project_id: str
    project: str
    service_id: str
    service: str
    name: str
    """How the registry calls it, as `rules/registry_names.py` makes it."""
    id: str | None
    """None until something is pushed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a token of the registry may be used for: actions on a repository, or on the registry as a whole."""

    kind: str
    """`repository` or `registry`."""
    name: str
    actions: frozenset[str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistryToken:
    """A token of a few minutes that stands for another credential within its scopes."""

    token_sha256: str
    credential_sha256: str
    """The hash of the credential that it was fetched with."""
    scopes: tuple[Scope, ...]
    expires_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BlobUpload:
    """A blob on its way in."""

    id: str
    repository_id: str
    touched_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A blob that a repository holds."""

    digest: str
    size_bytes: int
    linked_at: dt.datetime
    """When it was last pushed, mounted or asked about by a pusher."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest that a repository holds."""

    digest: str
    media_type: str
    size_bytes: int
    subject: str | None
    artifact_type: str | None
    annotations: Mapping[str, str] | None
    touched_at: dt.datetime | None = None
    """When it was last pushed, asked about by a pusher, or lost a tag; None: it is not kept yet."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HeldManifest:
    """A manifest of a repository with what decides how long it stays."""

    digest: str
    subject: str | None
    children: frozenset[str]
    """What it names: of these, manifests count."""
    is_needed: bool
    """By a tag that is not of a build, by an artifact that is kept, or by a replica."""
    touched_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFacts:
    """What a manifest's bytes say."""

    blobs: frozenset[str]
    """Configuration and layers that have to be in the repository."""
    manifests: frozenset[str]
    """Manifests of an index that have to be in the repository."""
    subject: str | None
    artifact_type: str | None
    annotations: Mapping[str, str] | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Bytes in a file that are ready to be sent."""

    digest: str
    media_type: str
    size_bytes: int
    path: Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A manifest that has been taken in."""

    digest: str
    subject: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a sorted list, and the element after which the next part starts; None at the end."""

    items: tuple[str, ...]
    last: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReferrersPage:
    """A part of the manifests whose subject is a certain one, by digest."""

    items: tuple[Manifest, ...]
    last: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A name for a manifest."""

    name: str
    digest: str
    size_bytes: int
    """The manifest with its configuration and layers."""
    updated_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryView:
    """A repository with its tags, by name."""

    repository: Repository
    tags: tuple[Tag, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistryTotals:
    """Sums over all repositories; a blob that several hold counts once."""

    repositories: int
    blobs: int
    total_bytes: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What one garbage collection did."""

    at: dt.datetime
    scanned_blobs: int
    deleted_blobs: int
    deleted_bytes: int
    deleted_manifests: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistryStatus:
    """The sums, and the last garbage collection of any process; None: there was none."""

    totals: RegistryTotals
    last: Collection | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """A file in the folder of blobs."""

    digest: str
    size_bytes: int
    modified_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeClaims:
    """What a node has to do with a service."""

    runs: bool
    """Its spec names a replica of the service, or a deployment of the service is under way on it."""
    builds: bool
    """A deployment of the service is building on it."""

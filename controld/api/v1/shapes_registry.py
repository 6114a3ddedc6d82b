"""The JSON of the image registry, and what it says of our records."""

from __future__ import annotations

import datetime as dt

from controld.model.registry import RegistryStatus, RepositoryView
from wire.base import Lenient


class TagShape(Lenient, frozen=True):
    """A tag; its size is that of the manifest with its configuration and layers."""

    tag: str
    digest: str
    size: int
    updated_at: dt.datetime


class RepositoryShape(Lenient, frozen=True):
    """The images of one service."""

    project_id: str
    project_name: str
    service_id: str
    service_name: str
    repository: str
    tags: list[TagShape]


class RegistryStatusShape(Lenient, frozen=True):
    """Sums over all repositories, and the last garbage collection."""

    repositories: int
    blobs: int
    total_bytes: int
    last_gc_at: dt.datetime | None
    last_gc_deleted_bytes: int


class CollectedShape(RegistryStatusShape, frozen=True):
    """The same after a garbage collection, and what it did."""

    scanned_blobs: int
    deleted_blobs: int
    deleted_bytes: int
    deleted_manifests: int


def render_repository(view: RepositoryView) -> RepositoryShape:
    """A repository with its tags."""
    return RepositoryShape(
        project_id=view.repository.project_id,
        project_name=view.repository.project,
        service_id=view.repository.service_id,
        service_name=view.repository.service,
        repository=view.repository.name,
        tags=[
            TagShape(tag=tag.name, digest=tag.digest, size=tag.size_bytes, updated_at=tag.updated_at)
            for tag in view.tags
        ],
    )


def render_status(status: RegistryStatus) -> RegistryStatusShape:
    """The sums."""
    return RegistryStatusShape(
        repositories=status.totals.repositories,
        blobs=status.totals.blobs,
        total_bytes=status.totals.total_bytes,
        last_gc_at=None if status.last is None else status.last.at,
        last_gc_deleted_bytes=0 if status.last is None else status.last.deleted_bytes,
    )


def render_collected(status: RegistryStatus) -> CollectedShape:
    """The sums, and what the last garbage collection did."""
    sums, last = render_status(status), status.last
    return CollectedShape(
        repositories=sums.repositories,
        blobs=sums.blobs,
        total_bytes=sums.total_bytes,
        last_gc_at=sums.last_gc_at,
        last_gc_deleted_bytes=sums.last_gc_deleted_bytes,
        scanned_blobs=0 if last is None else last.scanned_blobs,
        deleted_blobs=0 if last is None else last.deleted_blobs,
        deleted_bytes=sums.last_gc_deleted_bytes,
        deleted_manifests=0 if last is None else last.deleted_manifests,
    )

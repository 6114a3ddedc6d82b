"""The JSON of the images that nodes hold, and what it says of our records."""

from __future__ import annotations

import datetime as dt
from typing import Any

from controld.model.image_cache import CacheCollection, CacheStatus
from wire.base import Lenient


class ImageCacheShape(Lenient, frozen=True):
    """Images that were built or pulled for us and are on nodes; layers that images share count with each of them."""

    entries: int
    total_bytes: int
    oldest_entry_age_secs: int | None
    last_gc_at: dt.datetime | None
    last_gc_deleted_bytes: int
    last_gc_deleted_entries: int
    nodes: int
    """So many answered, and are what the sums are of."""
    silent_nodes: int
    """So many more could not be asked."""


class ImageCacheCollectedShape(ImageCacheShape, frozen=True):
    """The same after a collection, and what that has done."""

    deleted_entries: int
    deleted_bytes: int
    scanned_entries: int
    kept_in_use_entries: int
    kept_recent_entries: int


def render_image_cache(status: CacheStatus) -> ImageCacheShape:
    """The sums as they are."""
    return ImageCacheShape(**_sums(status))


def render_collected(status: CacheStatus, done: CacheCollection) -> ImageCacheCollectedShape:
    """The sums after a collection."""
    return ImageCacheCollectedShape(
        **_sums(status),
        deleted_entries=done.deleted_entries,
        deleted_bytes=done.deleted_bytes,
        scanned_entries=done.scanned_entries,
        kept_in_use_entries=done.kept_in_use_entries,
        kept_recent_entries=done.kept_recent_entries,
    )


def _sums(status: CacheStatus) -> dict[str, Any]:
    age = None if status.oldest_at is None else max(0, int((status.at - status.oldest_at).total_seconds()))
    return {
        "entries": status.entries,
        "total_bytes": status.total_bytes,
        "oldest_entry_age_secs": age,
        "last_gc_at": None if status.last is None else status.last.at,
        "last_gc_deleted_bytes": 0 if status.last is None else status.last.deleted_bytes,
        "last_gc_deleted_entries": 0 if status.last is None else status.last.deleted_entries,
        "nodes": status.nodes,
        "silent_nodes": status.silent_nodes,
    }

"""The images that nodes hold of ours, in sums over the nodes."""

from __future__ import annotations

import dataclasses
import datetime as dt


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CacheCollection:
    """What removing unneeded images has done, the last time."""

    at: dt.datetime
    deleted_entries: int
    deleted_bytes: int
    scanned_entries: int = 0
    kept_in_use_entries: int = 0
    kept_recent_entries: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CacheStatus:
    """How many images there are, of the nodes that answer."""

    entries: int
    total_bytes: int
    oldest_at: dt.datetime | None
    """When the oldest came to its node."""
    nodes: int
    silent_nodes: int
    """So many more could not be asked."""
    at: dt.datetime
    last: CacheCollection | None

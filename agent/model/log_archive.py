"""Logs that are kept of containers which are gone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedLog:
    """The log of one container, as it was when the agent removed it; moments are microseconds since 1970."""

    subject: str
    """The service whose replica it was."""
    container: str
    """The first 8 characters of the container's id."""
    replica_id: str
    replica_index: int | None
    first_usec: int
    last_usec: int
    """The earliest and the latest stamp of its lines."""
    kept_usec: int
    """Behind all of its lines, and soon behind its archiving.

    Whoever has read a line that is stamped later has read all of this log.
    """
    size_bytes: int
    """What it takes on disk."""

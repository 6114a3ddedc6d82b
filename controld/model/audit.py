"""Records of who changed what, and what may be asked of them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping

from controld.model.caller import Caller


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One change, or an attempt at one; it never holds a secret."""

    id: str
    at: dt.datetime
    actor: Mapping[str, str | None]
    address: str
    action: str
    object_kind: str
    object_id: str | None
    project_id: str | None
    outcome: str
    details: Mapping[str, object]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Something that somebody tried and was not let do."""

    at: dt.datetime
    caller: Caller | None
    """Absent: somebody who was not recognised."""
    address: str
    action: str
    object_kind: str
    object_id: str | None = None
    project_id: str | None = None
    details: Mapping[str, object]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which records are wanted; absent: any."""

    actor: str | None = None
    """The id or the name of who did it."""
    action: str | None = None
    """The whole of it, or what stands ahead of its dot."""
    object_kind: str | None = None
    object_id: str | None = None
    outcome: str | None = None
    since: dt.datetime | None = None
    """Records of this moment or later."""
    until: dt.datetime | None = None
    """Records from ahead of this moment."""
    projects: frozenset[str] | None = None
    """Records of these projects; absent: of all."""
    in_projects: bool = False
    """Leave out what is in no project."""

"""Records of who changed what."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping


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

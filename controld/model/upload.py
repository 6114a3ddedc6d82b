"""An upload: a build context that waits for its deployment."""

from __future__ import annotations

import dataclasses
import datetime as dt


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A tar.zst that was received whole and checked, for one service, until it expires."""

    id: str
    service_id: str
    sha256: str
    size_bytes: int
    uncompressed_bytes: int
    entries: int
    created_at: dt.datetime
    expires_at: dt.datetime

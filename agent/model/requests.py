"""The record of one request that the ingress answered for a service."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessEntry:
    """One request: `route` is the key of its route, `replica` the server that answered, None when none did.

    `path` has no query and no identifiers; `status` is 0 when no response was written; `duration_ms` runs from the
    first byte of the request to the last of the response, None when it is not known. `termination` is the proxy's word
    for how it ended, two letters.
    """

    route: str
    host: str
    replica: str | None
    method: str
    path: str
    status: int
    bytes: int
    duration_ms: int | None
    recorded_at: dt.datetime
    termination: str

"""A hostname that belongs to a service, and whether it routes."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum


class HostnameStatus(enum.Enum):
    """Whether ownership has been shown; only verified hostnames route."""

    PENDING = "pending"
    VERIFIED = "verified"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Hostname:
    """One hostname of one service; a hostname exists once across all projects."""

    id: str
    service_id: str
    hostname: str
    status: HostnameStatus
    assigned: bool
    """Given by the platform under its base domain, and so verified from the start."""
    challenge_token: str
    created_at: dt.datetime
    verified_at: dt.datetime | None = None
    last_check_at: dt.datetime | None = None
    last_error: str | None = None

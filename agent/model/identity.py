"""Who a node is, and how its link stands."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Everything that makes a machine a node; the key never leaves it."""

    node_id: str
    name: str
    control_url: str
    """controld's node side, `https://host:port`."""
    authority_pem: str
    certificate_pem: str
    key_pem: str = field(repr=False)
    serial: str
    not_after_at: dt.datetime
    renew_at: dt.datetime


class LinkPhase(enum.Enum):
    """How far the link has come."""

    DOWN = "down"
    DIALLING = "dialling"
    UP = "up"
    """The last heartbeat that is due was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStanding:
    """How the link stands, for people who ask the node."""

    phase: LinkPhase
    answered_at: dt.datetime | None
    """When controld last answered a heartbeat; None: not since the agent started."""
    fault: str | None
    """Why the last attempt ended; None while it is up."""

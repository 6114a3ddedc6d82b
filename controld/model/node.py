"""A node: a machine that runs what controld wants, and how it became one."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass


class NodeState(enum.Enum):
    """Where a node stands."""

    JOINING = "joining"
    """Enrolled, and not heard of since."""
    READY = "ready"
    SUSPECT = "suspect"
    """Silent for a few beats."""
    LOST = "lost"
    """Silent for so long that what it ran may move."""
    DRAINING = "draining"
    """Keeps what it runs until that has moved; gets nothing new."""
    DRAINED = "drained"
    REMOVED = "removed"
    """Its certificate is refused from then on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine that has enrolled."""

    id: str
    name: str
    state: NodeState
    labels: Mapping[str, str]
    address: str
    """Where its agent is dialled."""
    port: int
    certificate_serial: str
    previous_serial: str | None
    """The certificate that the current one replaces, good until the current one is first used."""
    certificate_expires_at: dt.datetime
    agent_version: str | None
    wire_version: int | None
    created_at: dt.datetime
    heard_at: dt.datetime | None
    """When it last sent a heartbeat, exact to a second or so; None: never."""
    removed_at: dt.datetime | None
    peer_port: int | None = None
    """Where its ingress takes what other nodes hand over; None: nowhere."""

    def accepts(self, serial: str) -> bool:
        """Whether a certificate with this serial still speaks for the node."""
        return self.state is not NodeState.REMOVED and serial in {self.certificate_serial, self.previous_serial}


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinToken:
    """A right to enrol once, of which only the hash of its secret is kept."""

    id: str
    secret_sha256: str
    created_by: str | None
    created_at: dt.datetime
    expires_at: dt.datetime
    node_id: str | None
    """The node that enrols again with it; None: a new node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedJoinToken:
    """A join token as it is shown, once."""

    token: str
    expires_at: dt.datetime

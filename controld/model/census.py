"""How many there are of what controld keeps, and when what it keeps runs out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from controld.model.deployment import Status
from controld.model.job import RunStatus
from controld.model.node import NodeState


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Counts over the whole database; what is not in a mapping is not there."""

    nodes: Mapping[NodeState, int]
    heard_at: Mapping[NodeState, dt.datetime]
    """The oldest last heartbeat among the nodes in a state."""
    node_certificate_expires_at: dt.datetime | None
    """The first certificate of a node to expire; None without nodes."""
    services: int
    deployments: Mapping[Status, int]
    jobs: int
    job_runs: Mapping[RunStatus, int]
    certificates: Mapping[str, dt.datetime]
    """By hostname, when what nodes serve for it expires."""
    orders_failed: int
    """Hostnames whose newest order of a certificate has failed."""

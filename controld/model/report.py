"""What a node last said of itself, put together from its heartbeats."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from wire.link import HostReport, JobRunReport, Part, ReplicaReport


@dataclass(slots=True, kw_only=True)
class NodeReport:
    """The newest word of a node on everything; kept up to date in place while the node is linked here.

    Mutable on purpose: one is written for each heartbeat of each node.
    """

    node_id: str
    heard_at: dt.datetime
    applied_digest: str | None = None
    converged: bool = False
    wire_version: int | None = None
    agent_version: str | None = None
    replicas: tuple[ReplicaReport, ...] = ()
    job_runs: tuple[JobRunReport, ...] = ()
    host: HostReport | None = None
    engine: Part | None = None
    ingress: Part | None = None

    def replica(self, replica_id: str) -> ReplicaReport | None:
        """The word on one replica, or None when the node does not have it."""
        return next((each for each in self.replicas if each.id == replica_id), None)

"""What the node can say of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from wire.link import HostReport, JobRunReport, Part, ReplicaReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The substance of a heartbeat; the link leaves out what it has said before."""

    applied_digest: str | None
    """Digest of the last spec that is written down; None: none yet."""
    converged: bool
    replicas: tuple[ReplicaReport, ...]
    host: HostReport | None
    """The newest reading; None: none yet."""
    job_runs: tuple[JobRunReport, ...] = ()
    engine: Part
    ingress: Part

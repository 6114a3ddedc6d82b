"""What is known of a node when replicas and builds are placed and watched."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping

from controld.model.node import NodeState
from wire.link import JobRunReport, ReplicaReport


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """One node with its newest report."""

    id: str
    name: str
    state: NodeState
    heard_at: dt.datetime | None
    is_current: bool = False
    """Its newest report comes from the spec that is wanted of it now."""
    cpu_count: int | None = None
    memory_bytes: int | None = None
    """Of the whole machine; absent: not told yet."""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    replicas: Mapping[str, ReplicaReport] = dataclasses.field(default_factory=dict)
    """What it reports of its replicas, by id."""
    job_runs: Mapping[str, JobRunReport] = dataclasses.field(default_factory=dict)
    """What it reports of attempts of jobs' runs, by key."""

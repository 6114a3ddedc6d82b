"""A node as people are shown it: what it last said of itself, what may run there, and what does."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from controld.model.node import Node
from wire.link import HostReport, Part, ReplicaState
from wire.spec import Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReplica:
    """A replica that is placed on the node, and what the node last said of it; None: nothing."""

    id: str
    service_id: str
    service: str
    deployment_id: str
    index: int
    wanted: Wanted
    state: ReplicaState | None
    since_at: dt.datetime | None
    reason: str | None
    waits_for: str | None
    """Why it cannot leave a node that is set aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A node with all that is known of it; whatever it said itself is as old as `node.heard_at`."""

    node: Node
    engine: Part | None
    ingress: Part | None
    converged: bool | None
    """Whether it observes what is wanted of it, as far as that can be had; None: it has not said."""
    host: HostReport | None
    promisable_cpu_millis: int | None
    """What the limits of replicas there may add up to; None: the node has not told its size."""
    promisable_memory_bytes: int | None
    promised_cpu_millis: int
    """What they add up to."""
    promised_memory_bytes: int
    replicas: tuple[NodeReplica, ...]

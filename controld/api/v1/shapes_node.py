"""The JSON of nodes, and what it says of our records."""

from __future__ import annotations

import datetime as dt
from typing import Any

from controld.api.v1.shapes import Id
from controld.api.v1.shapes_platform import NodeSnapshotShape, render_snapshot
from controld.model.node import IssuedJoinToken, Node, NodeState
from controld.model.node_view import NodeView
from wire.base import Lenient
from wire.link import Part, ReplicaState
from wire.spec import Wanted


class NodeShape(Lenient, frozen=True):
    """A node; whatever else it says is as old as `heard_at`."""

    id: str
    name: str
    state: NodeState
    labels: dict[str, str]
    address: str
    port: int
    heard_at: dt.datetime | None
    """When it was last heard; null: never."""
    agent_version: str | None
    certificate_expires_at: dt.datetime
    created_at: dt.datetime


class PartShape(Lenient, frozen=True):
    """Whether a part that the node leans on answers; `detail` is its version, or why it does not."""

    ok: bool
    detail: str


class CapacityShape(Lenient, frozen=True):
    """What the limits of the node's replicas may add up to, and what they do; null: it has not told its size."""

    promisable_cpu_millis: int | None
    promisable_memory_bytes: int | None
    promised_cpu_millis: int
    promised_memory_bytes: int
    replicas: int


class NodeTold(NodeShape, frozen=True):
    """A node with what it last said of itself."""

    engine: PartShape | None
    ingress: PartShape | None
    converged: bool | None
    """Whether it observes what is wanted of it."""
    capacity: CapacityShape


class NodeReplicaShape(Lenient, frozen=True):
    """A replica that is placed on the node; `state` is what the node last said of it."""

    id: str
    service_id: str
    service: str
    """`<project>/<service>`."""
    deployment_id: str
    index: int
    wanted: Wanted
    state: ReplicaState | None
    since_at: dt.datetime | None
    reason: str | None
    waits_for: str | None
    """Why it cannot leave a node that is set aside."""


class NodeDetailShape(NodeTold, frozen=True):
    """A node with its numbers and its replicas."""

    host: NodeSnapshotShape | None
    cpu_count: int | None
    replicas: list[NodeReplicaShape]


class LabelsAsked(Lenient, frozen=True):
    """All labels of a node."""

    labels: dict[str, str]


class LabelsChangeAsked(Lenient, frozen=True):
    """Labels of a node to set beside those that it has; null takes one away."""

    labels: dict[str, str | None]


class JoinTokenAsked(Lenient, frozen=True):
    """A join token: for a new node, or with `node_id` for that node to enrol again as itself."""

    node_id: Id | None = None


class JoinTokenShape(Lenient, frozen=True):
    """A fresh join token; it is told this once and serves once."""

    token: str
    expires_at: dt.datetime


class NodeRemoval(Lenient, frozen=True):
    """Whether a node that has replicas is removed all the same."""

    force: bool = False


def render_node(node: Node) -> NodeShape:
    """A node."""
    return NodeShape(
        id=node.id,
        name=node.name,
        state=node.state,
        labels=dict(node.labels),
        address=node.address,
        port=node.port,
        heard_at=node.heard_at,
        agent_version=node.agent_version,
        certificate_expires_at=node.certificate_expires_at,
        created_at=node.created_at,
    )


def render_view(view: NodeView) -> NodeTold:
    """A node with what it last said."""
    return NodeTold(**_told(view))


def render_detail(view: NodeView) -> NodeDetailShape:
    """A node whole."""
    return NodeDetailShape(
        **_told(view),
        host=None if view.host is None else render_snapshot(view.host),
        cpu_count=None if view.host is None else view.host.cpu_count,
        replicas=[
            NodeReplicaShape(**{name: getattr(replica, name) for name in NodeReplicaShape.__struct_fields__})
            for replica in view.replicas
        ],
    )


def _told(view: NodeView) -> dict[str, Any]:
    plain = render_node(view.node)
    return {
        **{name: getattr(plain, name) for name in NodeShape.__struct_fields__},
        "engine": _render_part(view.engine),
        "ingress": _render_part(view.ingress),
        "converged": view.converged,
        "capacity": CapacityShape(
            promisable_cpu_millis=view.promisable_cpu_millis,
            promisable_memory_bytes=view.promisable_memory_bytes,
            promised_cpu_millis=view.promised_cpu_millis,
            promised_memory_bytes=view.promised_memory_bytes,
            replicas=len(view.replicas),
        ),
    }


def _render_part(part: Part | None) -> PartShape | None:
    return None if part is None else PartShape(ok=part.ok, detail=part.detail)


def render_join_token(issued: IssuedJoinToken) -> JoinTokenShape:
    """A fresh join token."""
    return JoinTokenShape(token=issued.token, expires_at=issued.expires_at)

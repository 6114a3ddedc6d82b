"""The JSON of nodes, and what it says of our records."""

from __future__ import annotations

import datetime as dt

from controld.api.v1.shapes import Id
from controld.model.node import IssuedJoinToken, Node, NodeState
from wire.base import Lenient


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


def render_join_token(issued: IssuedJoinToken) -> JoinTokenShape:
    """A fresh join token."""
    return JoinTokenShape(token=issued.token, expires_at=issued.expires_at)

"""Nodes, and the tokens by which machines become them."""

from __future__ import annotations

from controld.api.v1.shapes import DeletedShape
from controld.api.v1.shapes_node import (
    JoinTokenAsked,
    JoinTokenShape,
    NodeRemoval,
    NodeShape,
    render_join_token,
    render_node,
)
from controld.core.enrolment import Enrolment
from controld.core.faults import NodeInUse, NodeNotFound
from controld.core.nodes import Nodes
from kit.faults import Forbidden
from kit.http.surface import Ask, Route


def routes(nodes: Nodes, enrolment: Enrolment) -> tuple[Route, ...]:
    """The rows of this file."""

    async def list_nodes(ask: Ask) -> list[NodeShape]:
        return [render_node(node) for node in await nodes.list(ask.caller)]

    async def get_node(ask: Ask) -> NodeShape:
        return render_node(await nodes.get(ask.caller, ask.path["node_id"]))

    async def create_join_token(ask: Ask) -> JoinTokenShape:
        body: JoinTokenAsked = ask.body
        return render_join_token(
            await enrolment.create_token(ask.caller, node_id=None if body.node_id is None else str(body.node_id))
        )

    async def delete_node(ask: Ask) -> DeletedShape:
        removal: NodeRemoval = ask.query
        await nodes.remove(ask.caller, ask.path["node_id"], force=removal.force)
        return DeletedShape()

    return (
        Route(
            method="GET",
            path="/v1/nodes",
            access="super-admin",
            handler=list_nodes,
            summary="Every node and when it was last heard, oldest first",
            answer=list[NodeShape],
            faults=(Forbidden,),
        ),
        Route(
            method="POST",
            path="/v1/nodes/join-tokens",
            access="super-admin",
            handler=create_join_token,
            summary="Make a join token; it is told this once and serves once",
            body=JoinTokenAsked,
            answer=JoinTokenShape,
            status=201,
            faults=(Forbidden, NodeNotFound),
        ),
        Route(
            method="GET",
            path="/v1/nodes/{node_id}",
            access="super-admin",
            handler=get_node,
            summary="One node and when it was last heard",
            answer=NodeShape,
            faults=(Forbidden, NodeNotFound),
        ),
        Route(
            method="DELETE",
            path="/v1/nodes/{node_id}",
            access="super-admin",
            handler=delete_node,
            summary="Remove a node: its certificate is refused from then on; with replicas only by force=true",
            query=NodeRemoval,
            answer=DeletedShape,
            faults=(Forbidden, NodeNotFound, NodeInUse),
        ),
    )

"""Nodes, and the tokens by which machines become them."""

from __future__ import annotations

from controld.api.v1.shapes import DeletedShape
from controld.api.v1.shapes_node import (
    JoinTokenAsked,
    JoinTokenShape,
    LabelsAsked,
    LabelsChangeAsked,
    NodeDetailShape,
    NodeRemoval,
    NodeShape,
    NodeTold,
    render_detail,
    render_join_token,
    render_node,
    render_view,
)
from controld.core.enrolment import Enrolment
from controld.core.faults import NodeInUse, NodeNotFound
from controld.core.node_views import NodeViews
from controld.core.nodes import Nodes
from kit.faults import Forbidden, Invalid
from kit.http.surface import Ask, Route

_PATH = "/v1/nodes/{node_id}"


def routes(nodes: Nodes, views: NodeViews, enrolment: Enrolment) -> tuple[Route, ...]:
    """The rows of this file."""
    return (*_list_routes(views, enrolment), *_one_routes(nodes, views))


def _list_routes(views: NodeViews, enrolment: Enrolment) -> tuple[Route, ...]:
    async def list_nodes(ask: Ask) -> list[NodeTold]:
        return [render_view(view) for view in await views.list(ask.caller)]

    async def create_join_token(ask: Ask) -> JoinTokenShape:
        body: JoinTokenAsked = ask.body
        return render_join_token(
            await enrolment.create_token(ask.caller, node_id=None if body.node_id is None else str(body.node_id))
        )

    return (
        Route(
            method="GET",
            path="/v1/nodes",
            access="super-admin",
            handler=list_nodes,
            summary="Every node, what it last said and when, oldest first",
            answer=list[NodeTold],
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
    )


def _one_routes(nodes: Nodes, views: NodeViews) -> tuple[Route, ...]:
    async def get_node(ask: Ask) -> NodeDetailShape:
        return render_detail(await views.get(ask.caller, ask.path["node_id"]))

    async def drain_node(ask: Ask) -> NodeShape:
        return render_node(await nodes.drain(ask.caller, ask.path["node_id"]))

    async def undrain_node(ask: Ask) -> NodeShape:
        return render_node(await nodes.undrain(ask.caller, ask.path["node_id"]))

    async def put_labels(ask: Ask) -> NodeShape:
        body: LabelsAsked = ask.body
        return render_node(await nodes.set_labels(ask.caller, ask.path["node_id"], body.labels, replace=True))

    async def change_labels(ask: Ask) -> NodeShape:
        body: LabelsChangeAsked = ask.body
        return render_node(await nodes.set_labels(ask.caller, ask.path["node_id"], body.labels, replace=False))

    async def delete_node(ask: Ask) -> DeletedShape:
        removal: NodeRemoval = ask.query
        await nodes.remove(ask.caller, ask.path["node_id"], force=removal.force)
        return DeletedShape()

    return (
        Route(
            method="GET",
            path=_PATH,
            access="super-admin",
            handler=get_node,
            summary="One node: what it last said and when, its numbers and what is placed on it",
            answer=NodeDetailShape,
            faults=(Forbidden, NodeNotFound),
        ),
        Route(
            method="POST",
            path=f"{_PATH}/drain",
            access="super-admin",
            handler=drain_node,
            summary="Set a node aside: its replicas move to others, each once its replacement takes requests",
            answer=NodeShape,
            status=202,
            faults=(Forbidden, NodeNotFound),
        ),
        Route(
            method="POST",
            path=f"{_PATH}/undrain",
            access="super-admin",
            handler=undrain_node,
            summary="Take a node that was set aside into use again",
            answer=NodeShape,
            faults=(Forbidden, NodeNotFound),
        ),
        Route(
            method="PUT",
            path=f"{_PATH}/labels",
            access="super-admin",
            handler=put_labels,
            summary="Give a node these labels in place of its own",
            body=LabelsAsked,
            answer=NodeShape,
            faults=(Forbidden, Invalid, NodeNotFound),
        ),
        Route(
            method="PATCH",
            path=f"{_PATH}/labels",
            access="super-admin",
            handler=change_labels,
            summary="Set some of a node's labels; null takes one away",
            body=LabelsChangeAsked,
            answer=NodeShape,
            faults=(Forbidden, Invalid, NodeNotFound),
        ),
        Route(
            method="DELETE",
            path=_PATH,
            access="super-admin",
            handler=delete_node,
            summary="Remove a node: its certificate is refused from then on; with replicas only by force=true",
            query=NodeRemoval,
            answer=DeletedShape,
            faults=(Forbidden, NodeNotFound, NodeInUse),
        ),
    )

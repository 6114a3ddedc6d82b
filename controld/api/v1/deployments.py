"""Deployments, their logs, and what is done to a running service."""

from __future__ import annotations

from contextlib import aclosing

import msgspec

from controld.api.v1.shapes_deployment import (
    DeploymentAsked,
    DeploymentShape,
    DeploymentViewShape,
    LogQuery,
    ServiceActionShape,
    read_request,
    render_deployment,
    render_deployment_view,
)
from controld.core.deployments import Deployments
from controld.core.faults import (
    DeploymentFinished,
    DeploymentNotFound,
    NothingToRun,
    ServiceNotFound,
    SourceUnavailable,
    TooManyStreams,
    UploadExpired,
    UploadForeign,
)
from controld.core.service_actions import Action, ServiceActions
from controld.model.caller import Caller
from controld.model.deployment import Status
from controld.rules.deployment_log import render_line
from kit.clock import Clock
from kit.faults import Forbidden, Invalid
from kit.http.sse import EventStream, frame
from kit.http.surface import Ask, Route

_PATH = "/v1/deployments/{deployment_id}"


def routes(deployments: Deployments, actions: ServiceActions, *, clock: Clock) -> tuple[Route, ...]:
    """The rows of this file."""

    async def create_deployment(ask: Ask) -> DeploymentShape:
        return render_deployment(await deployments.create(ask.caller, read_request(ask.body)))

    async def get_deployment(ask: Ask) -> DeploymentViewShape:
        return render_deployment_view(*await deployments.get(ask.caller, ask.path["deployment_id"]))

    async def cancel_deployment(ask: Ask) -> DeploymentShape:
        return render_deployment(await deployments.cancel(ask.caller, ask.path["deployment_id"]))

    async def list_deployments(ask: Ask) -> list[DeploymentViewShape]:
        found = await deployments.list_of_service(ask.caller, ask.path["service_id"])
        return [render_deployment_view(deployment, artifact) for deployment, artifact in found]

    async def follow_log(ask: Ask) -> object:
        deployment_id = ask.path["deployment_id"]
        news = await deployments.follow(ask.caller, deployment_id, after=_read_position(ask))

        async def admit(caller: Caller) -> None:
            await deployments.admit_reader(caller, deployment_id)

        async with aclosing(news), EventStream(ask, clock=clock, admit=admit) as stream:
            async for each in news:
                if isinstance(each, Status):
                    data = msgspec.json.encode({"status": each.value})
                    await stream.send(frame(data, event="done"))
                else:
                    await stream.send(b"".join(frame(render_line(line), id=str(line.seq)) for line in each))
            return stream.response

    async def act(ask: Ask) -> ServiceActionShape:
        service_id, word = ask.path["service_id"], ask.path["action"]
        action = next((each for each in Action if each.value == word), None)
        deployment = await actions.act(ask.caller, service_id, action, word=word)
        return ServiceActionShape(
            service_id=service_id, action=word, deployment_id=None if deployment is None else deployment.id
        )

    return (
        Route(
            method="POST",
            path="/v1/deployments",
            access="operator",
            handler=create_deployment,
            summary="Begin a deployment; those of one service run in order",
            body=DeploymentAsked,
            answer=DeploymentShape,
            status=202,
            faults=(Forbidden, ServiceNotFound, SourceUnavailable, UploadForeign, UploadExpired),
        ),
        Route(
            method="GET",
            path=_PATH,
            access="viewer",
            handler=get_deployment,
            summary="One deployment with its artifact",
            answer=DeploymentViewShape,
            faults=(DeploymentNotFound,),
        ),
        Route(
            method="POST",
            path=f"{_PATH}/cancel",
            access="operator",
            handler=cancel_deployment,
            summary="End an unfinished deployment; the one before it goes on serving",
            answer=DeploymentShape,
            status=202,
            faults=(Forbidden, DeploymentNotFound, DeploymentFinished),
        ),
        Route(
            method="GET",
            path=f"{_PATH}/logs/stream",
            access="operator",
            handler=follow_log,
            summary="The deployment's log: each line with its number as id, then `done` with the status",
            query=LogQuery,
            stream="text/event-stream",
            aliases=(f"{_PATH}/logs",),
            faults=(Invalid, Forbidden, DeploymentNotFound, TooManyStreams),
        ),
        Route(
            method="GET",
            path="/v1/services/{service_id}/deployments",
            access="viewer",
            handler=list_deployments,
            summary="The service's deployments, newest first",
            answer=list[DeploymentViewShape],
            faults=(ServiceNotFound,),
        ),
        Route(
            method="POST",
            path="/v1/services/{service_id}/{action}",
            access="operator",
            handler=act,
            summary="stop, start, restart or rollback",
            answer=ServiceActionShape,
            status=202,
            faults=(Invalid, Forbidden, ServiceNotFound, NothingToRun),
        ),
    )


def _read_position(ask: Ask) -> int | None:
    last = ask.request.headers.get("Last-Event-ID", "").strip()
    if last:
        if not last.isascii() or not last.isdigit() or len(last) > 18:
            raise Invalid("cannot follow the log: Last-Event-ID is not the id of one of its events")
        return int(last)
    query: LogQuery = ask.query
    return query.since

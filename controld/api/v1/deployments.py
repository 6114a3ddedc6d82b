"""Deployments, their logs, and what is done to a running service."""

from __future__ import annotations

from controld.api.v1.kept_logs import LogQuery, read_position, stream_log
from controld.api.v1.paging import LINK, PageQuery, answer_page, read_page
from controld.api.v1.shapes_deployment import (
    DeploymentAsked,
    DeploymentShape,
    DeploymentViewShape,
    ServiceActionShape,
    read_request,
    render_deployment,
    render_deployment_view,
)
from controld.core.deployments import Deployments
from controld.core.faults import (
    ArtifactNotFound,
    DeploymentFinished,
    DeploymentNotFound,
    NothingToRun,
    ServiceNotFound,
    TooManyStreams,
    UploadExpired,
    UploadNotFound,
)
from controld.core.service_actions import Action, ServiceActions
from controld.model.caller import Caller
from kit.clock import Clock
from kit.faults import Forbidden, Invalid
from kit.http.surface import Answer, Ask, Route

_PATH = "/v1/deployments/{deployment_id}"


def routes(deployments: Deployments, actions: ServiceActions, *, clock: Clock) -> tuple[Route, ...]:
    """The rows of this file."""

    async def create_deployment(ask: Ask) -> DeploymentShape:
        return render_deployment(await deployments.create(ask.caller, read_request(ask.body)))

    async def get_deployment(ask: Ask) -> DeploymentViewShape:
        return render_deployment_view(*await deployments.get(ask.caller, ask.path["deployment_id"]))

    async def cancel_deployment(ask: Ask) -> DeploymentShape:
        return render_deployment(await deployments.cancel(ask.caller, ask.path["deployment_id"]))

    async def list_deployments(ask: Ask) -> Answer:
        found = await deployments.list_of_service(ask.caller, ask.path["service_id"], read_page(ask.query))
        return answer_page(ask, found, lambda pair: render_deployment_view(*pair))

    async def follow_log(ask: Ask) -> object:
        deployment_id = ask.path["deployment_id"]
        news = await deployments.follow(ask.caller, deployment_id, after=read_position(ask))

        async def admit(caller: Caller) -> None:
            await deployments.admit_reader(caller, deployment_id)

        return await stream_log(ask, news, clock=clock, admit=admit)

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
            faults=(Invalid, Forbidden, ServiceNotFound, ArtifactNotFound, UploadNotFound, UploadExpired),
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
            summary="The service's deployments, newest first, a page at a time",
            query=PageQuery,
            answer=list[DeploymentViewShape],
            headers=LINK,
            faults=(Invalid, ServiceNotFound),
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

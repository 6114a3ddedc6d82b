"""Services."""

from __future__ import annotations

from controld.api.v1.shapes import DeletedShape
from controld.api.v1.shapes_service import (
    ServiceAsked,
    ServiceShape,
    read_service,
    render_service,
)
from controld.core.faults import HostnameTaken, PortTaken, ProjectNotFound, RegistryNotFound, ServiceNotFound
from controld.core.services import Services
from kit.faults import Forbidden, Invalid
from kit.http.surface import Ask, Route

_PATH = "/v1/services/{service_id}"


def routes(services: Services) -> tuple[Route, ...]:
    """The rows of this file."""

    async def list_services(ask: Ask) -> list[ServiceShape]:
        return [render_service(service) for service in await services.list(ask.caller)]

    async def put_service(ask: Ask) -> ServiceShape:
        return render_service(await services.put(ask.caller, read_service(ask.body)))

    async def get_service(ask: Ask) -> ServiceShape:
        return render_service(await services.get(ask.caller, ask.path["service_id"]))

    async def update_service(ask: Ask) -> ServiceShape:
        draft = read_service(ask.body)
        return render_service(await services.update(ask.caller, ask.path["service_id"], draft))

    async def delete_service(ask: Ask) -> DeletedShape:
        await services.delete(ask.caller, ask.path["service_id"])
        return DeletedShape()

    return (
        Route(
            method="GET",
            path="/v1/services",
            access="any",
            handler=list_services,
            summary="The services in the caller's projects, by name",
            answer=list[ServiceShape],
        ),
        Route(
            method="POST",
            path="/v1/services",
            access="operator",
            handler=put_service,
            summary="Create a service, or update the one with its id or its name",
            body=ServiceAsked,
            answer=ServiceShape,
            faults=(Invalid, Forbidden, ProjectNotFound, RegistryNotFound, HostnameTaken, PortTaken),
        ),
        Route(
            method="GET",
            path=_PATH,
            access="viewer",
            handler=get_service,
            summary="One service; env values are hidden below operator",
            answer=ServiceShape,
            faults=(ServiceNotFound,),
        ),
        Route(
            method="PUT",
            path=_PATH,
            access="operator",
            handler=update_service,
            summary="Replace a service; its project and name stay",
            body=ServiceAsked,
            answer=ServiceShape,
            faults=(Invalid, Forbidden, ServiceNotFound, RegistryNotFound, HostnameTaken, PortTaken),
        ),
        Route(
            method="DELETE",
            path=_PATH,
            access="operator",
            handler=delete_service,
            summary="Delete a service with its deployments, containers, routes and hostnames",
            answer=DeletedShape,
            faults=(Forbidden, ServiceNotFound),
        ),
    )

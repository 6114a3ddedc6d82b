"""The registries that a project pulls images from."""

from __future__ import annotations

from controld.api.v1.shapes import DeletedShape
from controld.api.v1.shapes_external_registry import (
    ExternalRegistryAsked,
    ExternalRegistryShape,
    read_registry,
    render_registry,
)
from controld.core.external_registries import ExternalRegistries
from controld.core.faults import InUse, NameTaken, ProjectNotFound, RegistryNotFound, StorageFailed
from kit.faults import Forbidden, Invalid, Malformed
from kit.http.surface import Ask, Route

_PATH = "/v1/projects/{project_id}/registries"
_ONE = f"{_PATH}/{{registry_id}}"


def routes(registries: ExternalRegistries) -> tuple[Route, ...]:
    """The rows of this file."""

    async def list_registries(ask: Ask) -> list[ExternalRegistryShape]:
        return [render_registry(each) for each in await registries.list(ask.caller, ask.path["project_id"])]

    async def create_registry(ask: Ask) -> ExternalRegistryShape:
        draft = read_registry(ask.body)
        return render_registry(await registries.create(ask.caller, ask.path["project_id"], draft))

    async def get_registry(ask: Ask) -> ExternalRegistryShape:
        path = ask.path
        return render_registry(await registries.get(ask.caller, path["project_id"], registry_id=path["registry_id"]))

    async def replace_registry(ask: Ask) -> ExternalRegistryShape:
        draft, path = read_registry(ask.body), ask.path
        return render_registry(
            await registries.replace(ask.caller, path["project_id"], draft, registry_id=path["registry_id"])
        )

    async def delete_registry(ask: Ask) -> DeletedShape:
        await registries.delete(ask.caller, ask.path["project_id"], registry_id=ask.path["registry_id"])
        return DeletedShape()

    replacing = (
        Route(
            method=method,
            path=_ONE,
            access="operator",
            handler=replace_registry,
            summary="Replace a registry whole, what signs in to it included",
            body=ExternalRegistryAsked,
            answer=ExternalRegistryShape,
            faults=(Invalid, Malformed, Forbidden, ProjectNotFound, RegistryNotFound, NameTaken, StorageFailed),
        )
        for method in ("PUT", "PATCH")
    )
    return (
        Route(
            method="GET",
            path=_PATH,
            access="viewer",
            handler=list_registries,
            summary="The project's registries by name, without what signs in to them",
            answer=list[ExternalRegistryShape],
            faults=(ProjectNotFound,),
        ),
        Route(
            method="POST",
            path=_PATH,
            access="operator",
            handler=create_registry,
            summary="Keep a registry, with what signs in to it",
            body=ExternalRegistryAsked,
            answer=ExternalRegistryShape,
            status=201,
            faults=(Invalid, Malformed, Forbidden, ProjectNotFound, NameTaken, StorageFailed),
        ),
        Route(
            method="GET",
            path=_ONE,
            access="viewer",
            handler=get_registry,
            summary="One registry of the project",
            answer=ExternalRegistryShape,
            faults=(ProjectNotFound, RegistryNotFound),
        ),
        *replacing,
        Route(
            method="DELETE",
            path=_ONE,
            access="operator",
            handler=delete_registry,
            summary="Forget a registry that nothing pulls from, and what signs in to it",
            answer=DeletedShape,
            faults=(Forbidden, ProjectNotFound, RegistryNotFound, InUse, StorageFailed),
        ),
    )

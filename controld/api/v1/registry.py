"""The image registry as its operators see it."""

from __future__ import annotations

from controld.api.v1.shapes_registry import (
    CollectedShape,
    RegistryStatusShape,
    RepositoryShape,
    render_collected,
    render_repository,
    render_status,
)
from controld.core.registry import Registry
from controld.core.registry_upkeep import RegistryUpkeep
from kit.faults import Forbidden
from kit.http.surface import Ask, Route


def routes(registry: Registry, upkeep: RegistryUpkeep) -> tuple[Route, ...]:
    """The rows of this file."""

    async def list_repositories(ask: Ask) -> list[RepositoryShape]:
        return [render_repository(view) for view in await registry.list_repositories(ask.caller)]

    async def get_status(ask: Ask) -> RegistryStatusShape:
        return render_status(await upkeep.get_status(ask.caller))

    async def collect(ask: Ask) -> CollectedShape:
        return render_collected(await upkeep.collect_for(ask.caller))

    return (
        Route(
            method="GET",
            path="/v1/registry/repositories",
            access="any",
            handler=list_repositories,
            summary="Repositories of the projects in which the caller has a role, by name, with their tags",
            answer=list[RepositoryShape],
        ),
        Route(
            method="GET",
            path="/v1/registry/status",
            access="member of a project",
            handler=get_status,
            summary="Sums over all repositories, for anyone with a role in some project",
            answer=RegistryStatusShape,
            faults=(Forbidden,),
        ),
        Route(
            method="POST",
            path="/v1/registry/gc",
            access="super-admin",
            handler=collect,
            summary="Remove what no image needs, now",
            answer=CollectedShape,
            faults=(Forbidden,),
        ),
    )

"""The images that nodes hold of ours, in sums, and their collection."""

from __future__ import annotations

from controld.api.v1.shapes_image_cache import (
    ImageCacheCollectedShape,
    ImageCacheShape,
    render_collected,
    render_image_cache,
)
from controld.core.faults import NodeOffline
from controld.core.image_cache import ImageCaches
from kit.faults import Forbidden
from kit.http.surface import Ask, Route


def routes(caches: ImageCaches) -> tuple[Route, ...]:
    """The rows of this file."""

    async def get_status(ask: Ask) -> ImageCacheShape:
        return render_image_cache(await caches.get_status(ask.caller))

    async def collect(ask: Ask) -> ImageCacheCollectedShape:
        return render_collected(*await caches.collect(ask.caller))

    return (
        Route(
            method="GET",
            path="/v1/oci/cache/status",
            aliases=("/v1/oci/cache",),
            access="member of a project",
            handler=get_status,
            summary="Sums over the images that nodes hold, for anyone with a role in some project",
            answer=ImageCacheShape,
            faults=(Forbidden,),
        ),
        Route(
            method="POST",
            path="/v1/oci/cache/gc",
            access="operator of a project",
            handler=collect,
            summary="Remove images from nodes that nothing has needed for long enough, now",
            answer=ImageCacheCollectedShape,
            faults=(Forbidden, NodeOffline),
        ),
    )

"""The images that the node holds of ours, as controld asks for them."""

from __future__ import annotations

from agent.core.faults import EngineUnavailable, HoldingsNotWritten
from agent.core.images import Images
from kit.http.surface import Ask, Route
from wire.agent.images import ImageCache, SweepAsked, SweepDone


class ImageRows:
    """The rows for images."""

    def __init__(self, images: Images) -> None:
        self._images = images

    def routes(self) -> tuple[Route, ...]:
        """The rows of the table."""
        return (
            Route(
                method="GET",
                path="/images",
                access="controld",
                handler=self._read,
                summary="How many images the node holds of ours",
                answer=ImageCache,
                faults=(EngineUnavailable,),
            ),
            Route(
                method="POST",
                path="/images/sweep",
                access="controld",
                handler=self._sweep,
                summary="Remove images of ours that nothing needs",
                body=SweepAsked,
                answer=SweepDone,
                faults=(EngineUnavailable, HoldingsNotWritten),
            ),
        )

    async def _read(self, _: Ask) -> ImageCache:
        return await self._images.read_cache()

    async def _sweep(self, ask: Ask) -> SweepDone:
        asked: SweepAsked = ask.body
        sweep, cache = await self._images.sweep(kept=asked.kept, newest=0, idle_seconds=asked.idle_seconds)
        return SweepDone(
            cache=cache,
            scanned=sweep.scanned,
            deleted=sweep.deleted,
            deleted_bytes=sweep.deleted_bytes,
            kept_in_use=sweep.kept_in_use,
            kept_recent=sweep.kept_recent,
        )

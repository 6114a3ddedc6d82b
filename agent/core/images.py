"""The images that this node holds of ours: told, and removed when nothing needs them."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from agent.core.ports import Engine
from agent.model.engine import HeldImage
from agent.model.images import Holdings, OwnImage, Sweep
from agent.rules.containers import locate_reference
from agent.rules.image_references import shorten
from agent.rules.leftovers import judge_images
from kit.clock import Clock
from wire.agent.images import ImageCache, KeptImage
from wire.spec import NodeSpec

_log = logging.getLogger(__name__)

_LONGEST_PULL: Final = dt.timedelta(hours=1)


class HoldingsFile(Protocol):
    """Where what is known of images is written down."""

    async def read(self) -> Holdings:
        """What was written last; nothing when there is none, or it cannot be read."""
        ...

    async def write(self, holdings: Holdings) -> None:
        """Write it in place of the former; raises HoldingsNotWritten."""
        ...


class Images:
    """Keeps account of the images that were built or pulled here.

    An image is needed while the spec, a container or a work that goes on names it. Nothing is removed before the
    first spec. `attach` tells what is needed; without it nothing is removed either.
    """

    def __init__(self, engine: Engine, file: HoldingsFile, *, clock: Clock, node_id: str, registry_port: int) -> None:
        self._engine = engine
        self._file = file
        self._clock = clock
        self._node_id = node_id
        self._registry_port = registry_port
        self._known: Holdings | None = None
        self._guard = asyncio.Lock()
        self._spec: Callable[[], NodeSpec | None] = lambda: None
        self._in_work: Callable[[], Collection[str]] = tuple

    def attach(self, *, spec: Callable[[], NodeSpec | None], in_work: Callable[[], Collection[str]]) -> None:
        """Ask these from now on for the spec, and for the references that builds and pulls are working on."""
        self._spec = spec
        self._in_work = in_work

    async def note(self, reference: str) -> None:
        """Write down that the reference comes here for us, unless the engine has it already."""
        reference = shorten(reference)
        async with self._guard:
            known = await self._load()
            if reference in known.brought or await self._engine.find_image(reference) is not None:
                return
            await self._save(Holdings(brought={**known.brought, reference: self._clock.now()}, unused=known.unused))

    async def read_cache(self) -> ImageCache:
        """How much there is."""
        async with self._guard:
            return _sum(await self._judge(wanted=(), kept=0))

    async def sweep(self, *, kept: Sequence[KeptImage], newest: int, idle_seconds: float) -> tuple[Sweep, ImageCache]:
        """Remove what nothing has needed for so long, but for the `newest` of each repository and what is `kept`."""
        async with self._guard:
            wanted = await self._find_wanted(kept)
            own = await self._judge(wanted=wanted or (), kept=newest)
            if wanted is None:
                return Sweep(scanned=len(own), kept_in_use=len(own)), _sum(own)
            now = self._clock.now()
            known = await self._load()
            unused = {each.id: known.unused.get(each.id, now) for each in own if not each.is_needed}
            await self._save(Holdings(brought=known.brought, unused=unused))
            idle = dt.timedelta(seconds=idle_seconds)
            due = [each for each in own if each.id in unused and not each.is_fresh and now - unused[each.id] >= idle]
            gone = [each for each in due if await self._remove(each)]
            left = await self._judge(wanted=wanted, kept=newest)
        if gone:
            _log.info("unneeded images removed", extra={"images": [name for each in gone for name in each.names]})
        return (
            Sweep(
                scanned=len(own),
                deleted=len(gone),
                deleted_bytes=sum(each.size_bytes for each in gone),
                kept_in_use=sum(each.is_needed for each in own),
                kept_recent=len(own) - len(gone) - sum(each.is_needed for each in own),
            ),
            _sum(left),
        )

    async def _find_wanted(self, kept: Sequence[KeptImage]) -> set[str] | None:
        """Everything by which a needed image may be named; None while that cannot be told."""
        spec = self._spec()
        if spec is None:
            return None
        port = self._registry_port
        named = [(one.image, one.origin) for one in spec.replicas]
        named += [(one.image, one.origin) for one in spec.job_runs]
        named += [(one.image, one.origin) for one in kept]
        wanted = {shorten(locate_reference(image, origin, registry_port=port)) for image, origin in named}
        wanted |= {container.image_id for container in await self._engine.list_containers()}
        return wanted | {shorten(reference) for reference in self._in_work()}

    async def _judge(self, *, wanted: Collection[str], kept: int) -> tuple[OwnImage, ...]:
        """The images of ours as the engine has them; what it does not have any more is forgotten."""
        known = await self._load()
        held = {image.id: image for image in await self._engine.list_images()}
        gone: set[str] = set()
        for reference, at in known.brought.items():
            image = await self._engine.find_image(reference)
            if image is None:
                # A pull that goes on has written its reference down already.
                if self._clock.now() - at > _LONGEST_PULL:
                    gone.add(reference)
                continue
            before = held.get(image.id)
            names = (*(() if before is None else before.references), reference, *image.digests)
            held[image.id] = HeldImage(
                id=image.id,
                references=tuple(dict.fromkeys(names)),
                node_id="" if before is None else before.node_id,
                created_at=at if before is None else before.created_at,
                size_bytes=image.size_bytes,
            )
        if gone:
            brought = {name: at for name, at in known.brought.items() if name not in gone}
            await self._save(Holdings(brought=brought, unused=known.unused))
        return judge_images(
            tuple(held.values()),
            node_id=self._node_id,
            registry=f"127.0.0.1:{self._registry_port}",
            brought=known.brought,
            wanted=wanted,
            kept=kept,
        )

    async def _remove(self, image: OwnImage) -> bool:
        """Remove every name of ours; whether the image is gone with them."""
        for name in image.names:
            await self._engine.remove_image(name)
        return await self._engine.find_image(image.id) is None

    async def _load(self) -> Holdings:
        if self._known is None:
            self._known = await self._file.read()
        return self._known

    async def _save(self, holdings: Holdings) -> None:
        if holdings != self._known:
            await self._file.write(holdings)
            self._known = holdings


def _sum(own: Collection[OwnImage]) -> ImageCache:
    return ImageCache(
        entries=len(own),
        total_bytes=sum(each.size_bytes for each in own),
        oldest_at=min((each.since for each in own), default=None),
    )

"""Looks at the engine and at the ingress, and remembers what each showed last and whether it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from agent.core.ports import Engine, Ingress
from agent.model.engine import Container
from agent.model.ingress import IngressObserved
from kit.clock import Clock
from kit.faults import Fault
from kit.tasks import Tasks
from wire.link import Part

PATIENCE_SECONDS: Final = 2.0
"""So long the engine is waited for before the node goes on with what it knows."""


class Lookout:
    """What the node's parts showed last; a part that does not answer keeps what it showed, and says why in its Part.

    An engine that takes longer than two seconds counts as silent meanwhile; `on_answer` is called when the look that
    waits for it has ended.
    """

    def __init__(self, engine: Engine, ingress: Ingress, *, clock: Clock, on_answer: Callable[[], None]) -> None:
        self._engine = engine
        self._ingress = ingress
        self._clock = clock
        self._on_answer = on_answer
        self._tasks = Tasks("lookout")
        self._looking: asyncio.Task[None] | None = None
        self.containers: tuple[Container, ...] | None = None
        """None until the engine has answered once."""
        self.ingress: IngressObserved | None = None
        """None while the proxy does not answer."""
        self.engine_part: Part | None = None
        self.ingress_part: Part | None = None
        self.image_bytes: dict[str, int] = {}
        """By reference, of every image that was looked up or pulled."""

    @property
    def engine_ok(self) -> bool:
        """Whether the engine answered when it was asked last."""
        return self.engine_part is not None and self.engine_part.ok

    @property
    def outage(self) -> str | None:
        """Why the engine does not answer; None when it does, or was not asked yet."""
        return None if self.engine_part is None or self.engine_part.ok else self.engine_part.detail

    @property
    def is_looking(self) -> bool:
        """Whether a look still waits for the engine."""
        return self._looking is not None and not self._looking.done()

    async def look_at_engine(self) -> None:
        """Read the containers again; what is known stays when the engine does not answer."""
        self._looking = self._tasks.start("engine", self._look_at_engine())
        if await self._is_done_soon(self._looking):
            self._looking.result()
            return
        self._looking.add_done_callback(lambda _: self._on_answer())
        self._silent("list containers")

    async def close(self) -> None:
        """Wait for the engine no longer."""
        await self._tasks.close()

    async def _look_at_engine(self) -> None:
        try:
            containers = await self._engine.list_containers()
            if not self.engine_ok:
                info = await self._engine.fetch_info()
                self.engine_part = Part(ok=True, detail=info.version)
            self.containers = containers
        except Fault as fault:
            self.engine_part = Part(ok=False, detail=fault.message)

    async def look_at_ingress(self) -> None:
        """Read what the proxy serves."""
        try:
            self.ingress = await self._ingress.observe()
        except Fault as fault:
            self.ingress = None
            self.ingress_part = Part(ok=False, detail=fault.message)
        else:
            self.ingress_part = Part(ok=True)

    async def is_same_proxy(self) -> bool:
        """Whether the proxy that was looked at last still serves; at little cost."""
        try:
            process = await self._ingress.identify()
        except Fault:
            return False
        return self.ingress is not None and process == self.ingress.process

    async def find_images(self, references: Collection[str]) -> frozenset[str]:
        """Those that the engine has, as far as it says so in time."""
        found: set[str] = set()
        if references:
            finding = self._tasks.start("images", self._find_images(references, found))
            if not await self._is_done_soon(finding):
                finding.cancel()
                self._silent("look for images")
        return frozenset(found)

    async def _find_images(self, references: Collection[str], found: set[str]) -> None:
        for reference in references:
            try:
                image = await self._engine.find_image(reference)
            except Fault as fault:
                self.engine_part = Part(ok=False, detail=fault.message)
                break
            if image is not None:
                found.add(reference)
                self.image_bytes[reference] = image.size_bytes

    async def count_sessions(self, names: Collection[str]) -> Mapping[str, int]:
        """Open sessions of each server, old proxy processes included; empty while the proxy does not answer."""
        if not names or self.ingress is None:
            return {}
        try:
            return await self._ingress.sessions(names)
        except Fault as fault:
            self.ingress = None
            self.ingress_part = Part(ok=False, detail=fault.message)
            return {}

    async def _is_done_soon(self, work: asyncio.Task[Any]) -> bool:
        timer = self._tasks.start("patience", self._clock.sleep(PATIENCE_SECONDS))
        await asyncio.wait([work, timer], return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        return work.done()

    def _silent(self, doing: str) -> None:
        if self.engine_ok or self.engine_part is None:
            detail = f"cannot {doing}: the container engine has not answered for {PATIENCE_SECONDS:g} s"
            self.engine_part = Part(ok=False, detail=detail)

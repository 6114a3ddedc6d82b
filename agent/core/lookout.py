"""Looks at the engine and at the ingress, and remembers what each showed last and whether it answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agent.core.ports import Engine, Ingress
from agent.model.engine import Container
from agent.model.ingress import IngressObserved
from kit.faults import Fault
from wire.link import Part


class Lookout:
    """What the node's parts showed last; a part that does not answer keeps what it showed, and says why in its Part."""

    def __init__(self, engine: Engine, ingress: Ingress) -> None:
        self._engine = engine
        self._ingress = ingress
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

    async def look_at_engine(self) -> None:
        """Read the containers again; what is known stays when the engine does not answer."""
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

    async def find_images(self, references: Collection[str]) -> frozenset[str]:
        """Those that the engine has."""
        found: set[str] = set()
        for reference in references:
            try:
                image = await self._engine.find_image(reference)
            except Fault as fault:
                self.engine_part = Part(ok=False, detail=fault.message)
                break
            if image is not None:
                found.add(reference)
                self.image_bytes[reference] = image.size_bytes
        return frozenset(found)

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

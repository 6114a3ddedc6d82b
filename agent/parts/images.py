"""The parts that know the engine and the images in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from typing import Final

from agent.core.images import Images
from agent.core.registry_guard import RegistryGuard
from agent.host.docker.engine import DockerEngine
from agent.host.holdings_file import DiskHoldings
from agent.host.lookup import look_up
from agent.loops.janitor import Janitor
from agent.settings import Settings
from kit.clock import Clock
from wire.spec import NodeSpec

_LOOPBACK: Final = "127.0.0.1"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageParts:
    """The engine, what it may pull, and what it holds of ours."""

    engine: DockerEngine
    images: Images
    guard: RegistryGuard
    janitor: Janitor

    def attach(self, *, spec: Callable[[], NodeSpec | None], in_work: Callable[[], Collection[str]]) -> None:
        """Ask these from now on for the spec, and for the references that builds and pulls are working on."""
        self.images.attach(spec=spec, in_work=in_work)
        self.guard.attach(allows_private=lambda: (now := spec()) is not None and now.allow_private_registries)


def open_images(settings: Settings, *, node_id: str, clock: Clock, stack: AsyncExitStack) -> ImageParts:
    """The parts; the stack closes the engine."""
    guard = RegistryGuard(look_up, own=f"{_LOOPBACK}:{settings.loopback_port}")

    async def admit(reference: str) -> None:
        await guard.check(reference)
        await images.note(reference)

    engine = DockerEngine(
        settings.docker_socket,
        node_id,
        clock=clock,
        log_max_bytes=settings.log_max_bytes,
        log_files=settings.log_max_files,
        call_timeout_seconds=settings.engine_seconds,
        proc_dir=settings.proc_dir,
        admit_pull=admit,
    )
    stack.push_async_callback(engine.close)
    images = Images(
        engine,
        DiskHoldings(settings.data_dir / "images.json"),
        clock=clock,
        node_id=node_id,
        registry_port=settings.loopback_port,
    )
    janitor = Janitor(
        images,
        clock=clock,
        kept=settings.images_kept,
        idle_seconds=settings.images_idle_seconds,
        pace_seconds=settings.images_sweep_seconds,
    )
    return ImageParts(engine=engine, images=images, guard=guard, janitor=janitor)
